"""What a rewrite of the graph gains on OpenVINO: `python -m benchmarks.rewrites`.

The standard generator (random weights) as it is and with its last convolution widened, in turns.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
import onnx
import torch

from export.graph import to_onnx
from stargan_rt import LabelSpace, Manifest, machine
from stargan_rt.backends.openvino import OpenVINO
from stargan_rt.bench import compare_latency
from stargan_rt.build.calibration import cover, load_images
from stargan_rt.build.half import to_half
from stargan_rt.build.quantize import activation_scales, quantize
from stargan_rt.build.rewrite import widen_last_convolution
from stargan_rt.files import written_whole
from stargan_rt.terminal import run
from training.model import Generator

INT8 = ("down", "residual", "up", "last")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--conv-dim", default=64)
@click.option("--rounds", default=12)
@click.option("--threads", type=int, help="CPU threads  [default: all cores]")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
def main(conv_dim: int, rounds: int, threads: int | None, output: Path | None) -> None:
    """Milliseconds a translation without and with the rewrite, by precision."""
    torch.manual_seed(0)
    space, size = LabelSpace({"faces": ("a", "b", "c", "d", "e")}), (128, 128)
    plain = to_onnx(Generator(space.dim, conv_dim).eval(), space.dim, size)
    runs = [(image, label) for _, image, label in cover(load_images(None, 12, size).calibration, space, 9)]
    (image, label), rows = runs[0], {}
    for precision in ("fp32", "bf16", "int8"):
        backends = []
        for model in (widen_last_convolution(plain), plain):
            typed = model
            if precision == "bf16":
                typed = to_half(model, "bf16", half_norms=True)
            elif precision == "int8":
                typed = quantize(model, activation_scales(model, runs), INT8)
            manifest = Manifest(space, size, precision, conv_dim, 6)
            with tempfile.TemporaryDirectory() as folder:
                onnx.save(typed, Path(folder) / "g.onnx")
                backends.append(OpenVINO(Path(folder) / "g.onnx", manifest, threads))
        wide, other = backends
        wide_ms, plain_ms, ratio = compare_latency(
            lambda wide=wide: wide.run(image[None], label[None]),
            lambda other=other: other.run(image[None], label[None]),
            rounds=rounds,
        )
        rows[precision] = {"plain_ms": round(plain_ms, 2), "wide_ms": round(wide_ms, 2), "ratio": round(ratio, 3)}
        click.echo(f"{precision}: {plain_ms:.2f} ms, widened {wide_ms:.2f} ms, {ratio:.3f} times as fast")
    if output:
        report = {"machine": machine.cpu(), "threads": threads, "conv_dim": conv_dim, "last_convolution": rows}
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
