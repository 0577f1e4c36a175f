"""What each rewrite of the graph gains on a CPU: `python -m benchmarks rewrites`.

The standard generator (random weights) as it was exported, with each rewrite and with all of them, in turns.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from benchmarks import results
from benchmarks.case import Case, write_engine
from benchmarks.markdown import Column, number, table, text, times, where
from benchmarks.scaling import TITLES
from benchmarks.statistics import ratio
from stargan_rt import Engine, machine
from stargan_rt.builder import typed_graph
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.manifest import read_onnx
from stargan_rt.quality import psnr
from stargan_rt.timing import in_turns, median_ms

AS_IT_IS = "as exported"
REWRITES: dict[str, tuple[Callable[[onnx.ModelProto], onnx.ModelProto], ...]] = {
    AS_IT_IS: (),
    "last convolution widened": (widen_last_convolution,),
    "label folded": (fold_label,),
    "both": (fold_label, widen_last_convolution),
}
UNSIGNED = "both, unsigned behind ReLU"
PRECISIONS = {"openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32", "int8")}


@click.command()
@click.option("--backend", type=click.Choice(list(PRECISIONS)), default="openvino", help="What runs the graphs.")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64, help="Channels of the first convolution.")
@click.option("--image-size", type=click.IntRange(min=16), default=128, help="Side of the images in pixels.")
@click.option("--rounds", type=click.IntRange(min=2), default=12, help="Number of turns of every variant.")
@click.option("--calls", type=click.IntRange(min=1), default=8, help="Number of calls of a turn; their median counts.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads  [default: all cores]")
@results.output_option
def main(
    backend: str, conv_dim: int, image_size: int, rounds: int, calls: int, threads: int | None, output: Path | None
) -> None:
    """Milliseconds a translation with each rewrite, by precision."""
    with tempfile.TemporaryDirectory(prefix="stargan-rt-rewrites-") as folder:
        case = Case(Path(folder), threads or machine.cores(), conv_dim, image_size=image_size)
        case.write()
        rows = {precision: _measure(case, backend, precision, rounds, calls) for precision in PRECISIONS[backend]}
    about = {"machine": results.describe(case.threads), "backend": backend, "conv_dim": conv_dim}
    result = {**about, "settings": {"image_size": image_size, "rounds": rounds, "calls": calls}, "rewrites": rows}
    click.echo(markdown(result))
    results.write(output, result)


def markdown(result: dict[str, Any]) -> str:
    """Return every precision and variant of the graph as a table."""
    columns = [
        Column("precision", text("precision"), words=True),
        Column("graph", text("name"), words=True),
        Column("ms", number("ms", 1)),
        Column("times as fast", times("times", 3)),
        Column("PSNR to float32", number("psnr_db", 1, " dB")),
    ]
    rows = [
        {"precision": precision, "name": name, **row}
        for precision, variants in result["rewrites"].items()
        for name, row in variants.items()
    ]
    return f"{table(columns, rows)}\n\nConv {result['conv_dim']}, batch 1, on {where(result, TITLES)}."


def _measure(case: Case, backend: str, precision: str, rounds: int, calls: int) -> dict[str, Any]:
    """Give every variant of a precision its turn in every round; the first round warms up."""
    manifest, model = read_onnx(case.exported)
    variants = {name: (steps, False) for name, steps in REWRITES.items()}
    if precision == "int8":
        variants[UNSIGNED] = (REWRITES["both"], True)
    master, judged = case.master(), case.judged()
    with contextlib.ExitStack() as stack:
        engines = {}
        for name, (steps, unsigned) in variants.items():
            rewritten = reduce(lambda graph, step: step(graph), steps, model)
            pairs = case.calibration()
            typed = typed_graph(rewritten, precision, backend, calibration=pairs, rewrite=False, unsigned=unsigned)
            path = write_engine(typed, manifest, precision, case.folder / "variant.onnx")
            engines[name] = stack.enter_context(Engine.load(path, backend=backend, threads=case.threads))
        turns = {name: partial(median_ms, partial(e.translate, *judged[0]), calls) for name, e in engines.items()}
        ms = in_turns(turns, rounds, warm_up=1)
        images = {name: np.stack([e.translate(*pair) for pair in judged]) for name, e in engines.items()}
    return {
        name: {
            "ms": round(float(np.median(ms[name])), 2),
            "times": ratio(ms[AS_IT_IS], ms[name], 3),
            "psnr_db": round(min(99.0, psnr(images[name], master)), 1),
        }
        for name in engines
    }
