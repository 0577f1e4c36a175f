"""Built engines beside PyTorch, on this machine's CPU: `python -m benchmarks.engines`.

The standard generator (conv 64, 6 blocks, random weights) at 128x128, batch 1, uint8 array in, uint8
array out. Every runner has its turn in every round, so that a busy machine slows all alike; the
figures are medians over the rounds, the ratios medians of the rounds' own.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from export.graph import InferenceGraph, to_onnx
from stargan_rt import Engine, LabelSpace, machine
from stargan_rt.build import BuildConfig, build
from stargan_rt.files import written_whole
from stargan_rt.images import resize
from stargan_rt.manifest import Manifest, write_to_onnx
from stargan_rt.models import bundled_faces
from stargan_rt.quality import psnr
from stargan_rt.terminal import run
from training.model import Generator

LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
PRECISIONS = ("fp32", "bf16", "int8")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", default=12)
@click.option("--calls", default=8, help="Calls a runner makes in a round.")
@click.option("--conv-dim", default=64)
@click.option("--image-size", default=128)
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
def main(rounds: int, calls: int, conv_dim: int, image_size: int, output: Path | None) -> None:
    """Latency of PyTorch eager and of OpenVINO engines of every precision."""
    torch.manual_seed(0)
    space = LabelSpace({"CelebA": LABELS})
    generator = Generator(space.dim, conv_dim).eval()
    size = (image_size, image_size)
    image = resize(bundled_faces()[0], size)[None]
    label = space.encode("Blond_Hair")[None]
    graph = InferenceGraph(generator)

    def eager() -> np.ndarray:
        with torch.inference_mode():
            return graph(torch.from_numpy(image), torch.from_numpy(label)).numpy()

    runners: dict[str, Callable[[], np.ndarray]] = {"PyTorch eager fp32": eager}
    layers: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "g.onnx"
        model = to_onnx(generator, space.dim, size)
        write_to_onnx(Manifest(space, size, "fp32", conv_dim, 6), model)
        source.write_bytes(model.SerializeToString())
        for precision in PRECISIONS:
            # Random weights have no quality to protect: the figures are printed, not gated.
            groups = ("down", "residual", "up", "last") if precision == "int8" else None
            config = BuildConfig("openvino", precision, groups, calib="avatars", calib_count=16, min_psnr=0)
            artifact = build(source, config, force=True)
            engine = Engine.load(artifact.path)
            name = f"stargan-rt OpenVINO {precision}"
            runners[name] = lambda engine=engine: engine.translate(image, label)
            layers[name] = artifact.manifest.build["layers"]
        expected = eager()
        quality = {name: psnr(call(), expected) for name, call in runners.items()}
        times: dict[str, list[float]] = {name: [] for name in runners}
        for number in range(rounds + 1):
            for name, call in runners.items():
                call()  # the caches are the last runner's
                each = []
                for _ in range(calls):
                    start = time.perf_counter()
                    call()
                    each.append((time.perf_counter() - start) * 1e3)
                if number:  # the first round warms up
                    times[name].append(float(np.median(each)))

    eager_ms, fp32_ms = times["PyTorch eager fp32"], times["stargan-rt OpenVINO fp32"]
    rows = {
        name: {
            "ms": round(float(np.median(ms)), 2),
            "times_eager": round(float(np.median(np.divide(eager_ms, ms))), 2),
            "times_openvino_fp32": round(float(np.median(np.divide(fp32_ms, ms))), 2),
            "psnr_db": round(min(quality[name], 99.0), 1),
            "convolutions": layers.get(name, {"fp32": 18}),
        }
        for name, ms in times.items()
    }
    click.echo(f"{'':28}{'ms':>8}{'x eager':>9}{'x OV fp32':>11}{'PSNR dB':>9}")
    for name, row in rows.items():
        click.echo(
            f"{name:28}{row['ms']:8.2f}{row['times_eager']:9.2f}{row['times_openvino_fp32']:11.2f}{row['psnr_db']:9.1f}"
        )
    if output:
        about = f"{machine.cpu()}, {torch.get_num_threads()} threads, {platform.system()}, PyTorch {torch.__version__}"
        report = {"machine": about, "settings": {"conv_dim": conv_dim, "image_size": image_size}, "runners": rows}
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
