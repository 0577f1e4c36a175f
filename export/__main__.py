"""`python -m export`: export a checkpoint to an ONNX file; `python -m export norms`: which statistics it needs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from stargan_rt.cli.terminal import run
from stargan_rt.errors import InputError
from stargan_rt.faces.alignment import ALIGNMENTS


class ImageSize(click.ParamType):  # type: ignore[type-arg]
    """An image size: `128` or `WIDTHxHEIGHT`."""

    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", value)
        if not match:
            self.fail(f"{value!r} must be a number of pixels, such as 128, or WIDTHxHEIGHT", param, ctx)
        width = int(match[1])
        height = int(match[2] or width)
        if width % 4 or height % 4 or min(width, height) < 16 or max(width, height) > 4096:
            self.fail(f"{value!r}: sides must be multiples of 4 between 16 and 4096", param, ctx)
        return height, width


_labels_option = click.option(
    "--labels",
    multiple=True,
    metavar="[DATASET:]A,B,...",
    help="Labels of a checkpoint of the authors' code, in the order of training; repeat for each data set.",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="Checkpoint of python -m training, or 200000-G.ckpt of the authors' code.",
)
@click.option("--output", type=click.Path(path_type=Path), help="The ONNX file to write.")
@click.option("--image-size", type=ImageSize(), help="128 or WIDTHxHEIGHT  [default: as trained; 128 if unknown]")
@_labels_option
@click.option(
    "--weights",
    type=click.Choice(["best", "averaged", "last"]),
    default="best",
    show_default=True,
    help="Which copy of a checkpoint's generator to export: the moving average, the last one, or the better one.",
)
@click.option(
    "--alignment",
    type=click.Choice(ALIGNMENTS),
    help="How the training set shows faces.  [default: as trained; none if unknown]",
)
@click.pass_context
def main(
    ctx: click.Context,
    checkpoint: Path | None,
    output: Path | None,
    image_size: tuple[int, int] | None,
    labels: tuple[str, ...],
    weights: str,
    alignment: str | None,
) -> None:
    """Export a generator to ONNX and check that it gives the same pictures as PyTorch."""
    if ctx.invoked_subcommand:
        if checkpoint or output:
            raise click.UsageError(f"options of {ctx.invoked_subcommand} go after its name")
        return
    if checkpoint is None or output is None:
        raise click.UsageError("--checkpoint and --output are required; for example: --checkpoint CKPT --output g.onnx")
    from export.generator import load_generator
    from export.graph import to_onnx
    from export.parity import prove
    from stargan_rt.files import written_whole
    from stargan_rt.manifest import Manifest, write_to_onnx

    if output.suffix != ".onnx":
        raise InputError(f"--output must end in .onnx; got {output}")
    loaded = load_generator(checkpoint, labels, weights)
    size = image_size or loaded.size or (128, 128)
    model = to_onnx(loaded.generator, loaded.space.dim, size)
    parity = prove(model, loaded.generator, loaded.space, size)
    network = {name: value for name, value in loaded.model.items() if name != "label_dim"}
    manifest = Manifest(loaded.space, size, "fp32", source=loaded.source, parity=parity, **network)
    manifest = dataclasses.replace(manifest, alignment=alignment or loaded.alignment, int8_limits=loaded.int8_limits)
    write_to_onnx(manifest, model)
    data = model.SerializeToString()
    with written_whole(output) as temporary:
        temporary.write_bytes(data)
    if loaded.running:
        click.echo(f"left out {len(loaded.running)} running statistics: StarGAN uses the statistics of each image")
    described = f"{network.get('arch', 'paper')} generator, conv {network['conv_dim']}, {network['blocks']} blocks"
    click.echo(
        f"{output}: {size[1]}x{size[0]}, {len(loaded.space.names)} labels, {described}, {len(data) / 1e6:.1f} MB; "
        f"at most {parity['max_levels']} of 255 levels from PyTorch"
    )


@main.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="The checkpoint to render.")
@_labels_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="norm-modes.png",
    show_default=True,
    help="The picture to write.",
)
def norms(checkpoint: Path, labels: tuple[str, ...], output: Path) -> None:
    """Render a checkpoint with instance and with running statistics, and report which are right."""
    from export.norms import compare_norms

    click.echo(compare_norms(checkpoint, labels, output))


if __name__ == "__main__":
    run(main)
