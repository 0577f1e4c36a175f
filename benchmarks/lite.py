"""Generators with fewer multiplications next to the paper's: `python -m benchmarks lite`.

Random weights, since speed does not depend on them; the quality of trained ones is what `python -m training evaluate`
measures. All are built in int8 for OpenVINO and called as users call them, from a uint8 array to a uint8 array. They
take turns with PyTorch eager of the paper's standard generator, so that a busy machine slows all alike.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks import results
from benchmarks.case import LABELS, Case, gmac, write_engine
from benchmarks.markdown import Column, number, table, text, times, where
from benchmarks.scaling import TITLES
from benchmarks.statistics import ratio
from export.graph import InferenceGraph, to_onnx
from stargan_rt import Engine, machine
from stargan_rt.builder import typed_graph
from stargan_rt.manifest import read_onnx
from stargan_rt.timing import in_turns, median_ms
from training.architectures import new_generator

EAGER = "PyTorch eager"
STANDARD = "paper, conv 64, 6 blocks"
NETWORKS: dict[str, dict[str, Any]] = {
    STANDARD: {"conv_dim": 64, "blocks": 6},
    "paper, conv 32, 6 blocks": {"conv_dim": 32, "blocks": 6},
    "paper, conv 16, 6 blocks": {"conv_dim": 16, "blocks": 6},
    "paper, conv 8, 3 blocks": {"conv_dim": 8, "blocks": 3},
    "lite (conv 32, 4 blocks)": {"arch": "lite", "conv_dim": 32, "blocks": 4, "stem": 2, "bottleneck": 4},
    "tiny (conv 16, 4 blocks)": {"arch": "lite", "conv_dim": 16, "blocks": 4, "stem": 2, "bottleneck": 4},
}
"""Arguments of `training.architectures.new_generator`, without the labels; the last two are presets of `distill`."""


@click.command()
@click.option("--rounds", type=click.IntRange(min=2), default=12, help="Number of turns of every network.")
@click.option("--calls", type=click.IntRange(min=1), default=8, help="Number of calls of a turn; their median counts.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads  [default: all cores]")
@results.output_option
def main(rounds: int, calls: int, threads: int | None, output: Path | None) -> None:
    """Lite generators and narrower ones of the paper in int8, in turns with PyTorch eager."""
    with tempfile.TemporaryDirectory(prefix="stargan-rt-lite-") as folder:
        case = Case(Path(folder), threads or machine.cores())
        case.write()
        rows = _measure(case, rounds, calls)
    settings = {"image_size": case.image_size, "rounds": rounds, "calls": calls}
    result = {"machine": results.describe(case.threads), "settings": settings, "networks": rows}
    click.echo(markdown(result))
    results.write(output, result)


def markdown(result: dict[str, Any]) -> str:
    """Return the networks as a table."""
    columns = [
        Column("generator, int8", text("name"), words=True),
        Column("GMAC", number("gmac", 2)),
        Column("times fewer", number("fewer", 1)),
        Column("ms", number("ms", 2)),
        Column("times PyTorch eager", times("times_eager", 1)),
        Column("times the standard in int8", times("times_standard", 1)),
    ]
    rows = [{"name": name, **row} for name, row in result["networks"].items()]
    return f"{table(columns, rows)}\n\nRandom weights, 128x128, batch 1, on {where(result, TITLES)}."


def _measure(case: Case, rounds: int, calls: int) -> dict[str, Any]:
    """Give every network its turn in every round; the first round warms up."""
    torch.set_num_threads(case.threads)
    master, _ = read_onnx(case.exported)
    image, label = case.judged()[0]
    eager = InferenceGraph(case.generator())
    inputs = torch.from_numpy(image[None]), torch.from_numpy(label[None])

    def call_eager() -> None:
        with torch.inference_mode():
            eager(*inputs)

    counts: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        turns = {EAGER: partial(median_ms, call_eager, calls)}
        for name, arguments in NETWORKS.items():
            torch.manual_seed(0)
            generator = new_generator({"label_dim": len(LABELS), **arguments}).eval()
            counts[name] = gmac(generator, case.size, len(LABELS))
            model = to_onnx(generator, len(LABELS), case.size)
            typed = typed_graph(model, "int8", "openvino", calibration=case.calibration()[:5])
            path = write_engine(typed, replace(master, **arguments), "int8", case.folder / "network.onnx")
            engine = stack.enter_context(Engine.load(path, backend="openvino", threads=case.threads))
            turns[name] = partial(median_ms, partial(engine.translate, image, label), calls)
        ms = in_turns(turns, rounds, warm_up=1)
    return {
        name: {
            "gmac": round(counts[name], 3),
            "fewer": round(counts[STANDARD] / counts[name], 2),
            "ms": round(float(np.median(ms[name])), 3),
            "times_eager": ratio(ms[EAGER], ms[name], 3),
            "times_standard": ratio(ms[STANDARD], ms[name], 3),
        }
        for name in NETWORKS
    }
