"""What each rewrite of the graph gains on a CPU: `python -m benchmarks rewrites`.

The standard generator (random weights) as it was exported, with each rewrite and with all of them, in turns.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from benchmarks.case import Case, available_cores
from benchmarks.compare import describe_machine
from benchmarks.statistics import ratio
from stargan_rt import backends
from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.half import to_half
from stargan_rt.builder.quantize import activation_grids, quantize
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.files import written_whole
from stargan_rt.manifest import Manifest, read_onnx
from stargan_rt.quality import psnr

AS_IT_IS = "as exported"
REWRITES: dict[str, tuple[Callable[[onnx.ModelProto], onnx.ModelProto], ...]] = {
    AS_IT_IS: (),
    "last convolution widened": (widen_last_convolution,),
    "label folded": (fold_label,),
    "both": (fold_label, widen_last_convolution),
}
UNSIGNED = "both, unsigned behind ReLU"
PRECISIONS = {"openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32", "int8")}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--backend", type=click.Choice(list(PRECISIONS)), default="openvino")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64)
@click.option("--image-size", type=click.IntRange(min=16), default=128)
@click.option("--rounds", type=click.IntRange(min=2), default=12, help="Turns of every variant.")
@click.option("--calls", type=click.IntRange(min=1), default=8, help="Calls that a turn counts; their median does.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads  [default: all cores]")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
def main(
    backend: str,
    conv_dim: int,
    image_size: int,
    rounds: int,
    calls: int,
    threads: int | None,
    output: Path | None,
) -> None:
    """Milliseconds a translation with each rewrite, by precision."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="stargan-rt-rewrites-") as folder:
        case = Case(Path(folder), threads or available_cores(), conv_dim, image_size=image_size)
        case.write()
        manifest, model = read_onnx(case.exported)
        for precision in PRECISIONS[backend]:
            variants = {
                name: _loaded(backend, _typed(reduce(_apply, steps, model), precision, case), precision, case, manifest)
                for name, steps in REWRITES.items()
            }
            if precision == "int8":
                typed = _typed(reduce(_apply, REWRITES["both"], model), precision, case, unsigned=True)
                variants[UNSIGNED] = _loaded(backend, typed, precision, case, manifest)
            rows[precision] = _in_turns(variants, case, rounds, calls)
            for name, row in rows[precision].items():
                gain = row["times"]
                click.echo(
                    f"{precision:5}{name:30}{row['ms']:8.2f} ms  {gain['median']:.3f} times as fast "
                    f"({gain['low']:.3f} to {gain['high']:.3f})  {row['psnr_db']:.1f} dB"
                )
            for running in variants.values():
                running.close()
        report = {"machine": describe_machine(case), "backend": backend, "conv_dim": conv_dim, "rewrites": rows}
    if output:
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _apply(model: onnx.ModelProto, step: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    return step(model)


def _typed(model: onnx.ModelProto, precision: str, case: Case, unsigned: bool = False) -> onnx.ModelProto:
    if precision == "bf16":
        return to_half(model, "bf16", half_norms=True)
    if precision == "int8":
        return quantize(model, activation_grids(model, case.calibration(), unsigned=unsigned), GROUPS[1:])
    return model


def _loaded(backend: str, model: onnx.ModelProto, precision: str, case: Case, master: Manifest) -> backends.Backend:
    manifest = Manifest(master.labels, case.size, precision, case.conv_dim, case.blocks)
    path = case.folder / "variant.onnx"
    path.write_bytes(model.SerializeToString())
    return backends.create(backend, path, manifest, backends.RunOptions(threads=case.threads))


def _in_turns(variants: dict[str, backends.Backend], case: Case, rounds: int, calls: int) -> dict[str, Any]:
    """Every variant has its turn in every round; the first round warms up."""
    master, judged = case.master(), case.judged()
    image, label = (array[None] for array in judged[0])
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, running in variants.items():
            running.run(image, label)  # the caches are the last one's
            each = []
            for _ in range(calls):
                start = time.perf_counter_ns()
                running.run(image, label)
                each.append((time.perf_counter_ns() - start) / 1e6)
            if number:
                times[name].append(float(np.median(each)))
    return {
        name: {
            "ms": round(float(np.median(times[name])), 2),
            "times": ratio(times[AS_IT_IS], times[name]).to_dict(3),
            "psnr_db": round(
                min(99.0, psnr(np.stack([running.run(x[None], y[None])[0] for x, y in judged]), master)), 1
            ),
        }
        for name, running in variants.items()
    }
