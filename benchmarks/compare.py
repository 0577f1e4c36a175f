"""Our engines next to their peers: `python -m benchmarks compare`.

The standard generator with random weights, one image at a time, from a uint8 array to a uint8 array. Each peer has
its own process, the same number of threads and its turn in every round, so that a busy machine slows all alike. A row
also shows how close the images are to the float32 master's, and which share of the machine's arithmetic limit,
measured in the same rounds, the peer reaches.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks import report, results
from benchmarks.case import Case
from benchmarks.race import Settings, chosen, race
from stargan_rt import machine
from stargan_rt.bench.report import figure_class


@click.command()
@click.option("--rounds", type=click.IntRange(min=2), default=12, help="Number of turns of every peer.")
@click.option("--calls", type=click.IntRange(min=1), default=8, help="Number of calls that a turn counts.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of every peer  [default: all cores]")
@click.option("--peers", multiple=True, metavar="PATTERN", help="Only these, such as 'stargan*'  [default: all]")
@click.option("--device", type=click.Choice(["cpu", "gpu", "all"]), default="all", help="Device of the peers.")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64, help="Channels of the first convolution.")
@click.option("--blocks", type=click.IntRange(min=1), default=6, help="Number of residual blocks.")
@click.option("--image-size", type=click.IntRange(min=16), default=128, help="Side of the images in pixels.")
@results.output_option
@click.option("--plot", type=click.Path(path_type=Path), help="Also write a plot: .png, .svg or .pdf.")
def main(
    rounds: int,
    calls: int,
    threads: int | None,
    peers: tuple[str, ...],
    device: str,
    conv_dim: int,
    blocks: int,
    image_size: int,
    output: Path | None,
    plot: Path | None,
) -> None:
    """Our engines next to PyTorch, ONNX Runtime, OpenVINO and TensorRT, in turns."""
    if image_size % 4:
        raise click.UsageError(f"--image-size must be a multiple of 4; got {image_size}")
    if plot:
        figure_class()  # a missing matplotlib is reported before the race, which takes minutes
    contestants, settings = chosen(peers, device), Settings(rounds, calls)
    with (
        tempfile.TemporaryDirectory(prefix="stargan-rt-compare-") as folder,
        Progress(console=Console(stderr=True), transient=True) as bars,
    ):
        bar = bars.add_task("the generator and its graphs", total=None)
        case = Case(Path(folder), threads or machine.cores(), conv_dim, blocks, image_size)
        case.write()
        measured = race(
            case,
            contestants,
            settings,
            lambda phase, done, of: bars.update(bar, description=phase, completed=done, total=of),
        )
    result = {"machine": results.describe(case.threads), "settings": settings_dict(case, settings), **measured}
    click.echo(report.text(result))
    results.write(output, result)
    if plot:
        report.plot(result, plot)


def settings_dict(case: Case, settings: Settings) -> dict[str, int]:
    """Return the settings that a result records."""
    return {"conv_dim": case.conv_dim, "blocks": case.blocks, "image_size": case.image_size, **asdict(settings)}
