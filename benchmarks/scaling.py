"""How cost grows: `python -m benchmarks scaling`.

Our engines of the standard generator (random weights) on OpenVINO at several image sizes, batch sizes, threads and
lanes; the time of their builds; and the training step. What is compared has its turns in the same rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks import results, sweeps
from benchmarks.markdown import Column, decibels, number, side, table, text, times, where
from benchmarks.sweeps import Bench
from stargan_rt import machine
from stargan_rt.errors import InputError

PARTS: dict[str, Callable[[Bench], list[sweeps.Row]]] = {
    "sizes": sweeps.sizes,
    "batches": sweeps.batches,
    "threads": sweeps.threads,
    "lanes": sweeps.lanes,
    "builds": sweeps.builds,
    "training": sweeps.training,
}
SIZE, COUNT = click.IntRange(min=16), click.IntRange(min=1)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Parts to measure  [default: all]")
@click.option("--rounds", type=click.IntRange(min=2), default=6, help="Turns of each; a third where one is long.")
@click.option("--calls", type=COUNT, default=2, help="Number of calls that a turn counts.")
@click.option("--sizes", multiple=True, type=SIZE, default=(128, 256, 512), help="Sides in pixels.")
@click.option("--build-sizes", multiple=True, type=SIZE, default=(128, 256), help="Those of them to time builds of.")
@click.option("--training-sizes", multiple=True, type=SIZE, default=(64, 128), help="Sides in pixels.")
@click.option("--training-batches", multiple=True, type=COUNT, default=(2, 4), help="Images a step.")
@click.option("--threads", type=COUNT, help="Most CPU threads  [default: all cores]")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64, help="Channels of the first convolution.")
@click.option("--blocks", type=COUNT, default=6, help="Number of residual blocks.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well; other parts in it stay.")
def main(only: tuple[str, ...], threads: int | None, output: Path | None, **settings: Any) -> None:
    """Cost of a pixel by image size, batch, threads and lanes; builds; the training step."""
    threads = threads or machine.cores()
    settings |= {name: sorted(set(sides)) for name, sides in settings.items() if isinstance(sides, tuple)}
    for size in (*settings["sizes"], *settings["training_sizes"]):
        if size % 4:
            raise InputError(f"sizes must be multiples of 4; got {size}")
    result: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="stargan-rt-scaling-") as folder,
        Progress(console=Console(stderr=True), transient=True) as bars,
    ):
        bar = bars.add_task("", total=None)
        bench = Bench(
            Path(folder),
            threads=threads,
            progress=lambda phase, done, of: bars.update(bar, description=phase, completed=done, total=of),
            **settings,
        )
        about = {"machine": results.describe(threads), "settings": settings}
        for name, part in PARTS.items():
            if not only or name in only:
                result[name] = {**about, "rounds": bench.rounds_of(name), "rows": part(bench)}
    for name in result:
        click.echo(f"{markdown(result, name)}\n")
    if output:
        merged = (results.read(output) if output.is_file() else {}) | result
        results.write(output, {name: merged[name] for name in PARTS if name in merged})


def markdown(result: dict[str, Any], part: str) -> str:
    """Return one part of a result, such as ``"sizes"``, with its machine under it, or that it was not measured."""
    if part not in result:
        return "Not measured."
    measured, settings = result[part], result[part]["settings"]
    caption = CAPTIONS[part].format(side=settings["sizes"][0])
    network = f"Conv {settings['conv_dim']}, {settings['blocks']} blocks, random weights."
    rounds = f" Medians of {measured['rounds']} rounds in turns, ratios with their 95 % interval."
    about = f"{caption} {network}{'' if part == 'builds' else rounds} {where(measured, TITLES)}."
    return f"{table(COLUMNS[part], measured['rows'])}\n\n{about}"


TITLES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
"""Packages whose version matters to our engines, and what they are called."""
_PRECISION = Column("precision", text("precision"), words=True)
_SIZE = Column("size", side, names=True)
_MS, _SPEED, _PIXEL = number("ms", 1), Column("images/s", number("images_a_second", 1)), number("ns_a_pixel", 0)
_COST = Column("cost of a pixel, times the first", times("times_first"))
COLUMNS: dict[str, list[Column]] = {
    "sizes": [
        *(_PRECISION, _SIZE, Column("ms an image", _MS), Column("ns a pixel", _PIXEL), _COST),
        Column("PSNR to float32", decibels("precision", "same image")),
    ],
    "batches": [_PRECISION, Column("batch", text("batch")), _SPEED, Column("times batch 1", times("times_first"))],
    "threads": [
        *(_PRECISION, Column("threads", text("threads")), Column("ms an image", _MS)),
        Column("times as fast as with 1", times("times_first")),
    ],
    "lanes": [
        *(_PRECISION, Column("lanes and callers", text("lanes")), _SPEED),
        Column("times 1 lane", times("times_first")),
    ],
    "builds": [
        *(_PRECISION, _SIZE, Column("seconds", number("seconds", 1))),
        Column("again, from the cache", number("cached_seconds", 2)),
        Column("PSNR of the worst label", number("worst_psnr_db", 1, " dB")),
    ],
    "training": [
        *(_PRECISION, _SIZE, Column("batch", text("batch"))),
        Column("iterations/s", number("iterations_a_second", 2)),
        *(_SPEED, Column("ns a pixel", _PIXEL), _COST),
    ],
}
CAPTIONS = {
    "sizes": "One image a call through `Engine.translate`, uint8 array to uint8 array; PSNR of one image.",
    "batches": "Arrays `(n, {side}, {side}, 3)` through `Engine.translate`.",
    "threads": "One image of {side}x{side} a call.",
    "lanes": "As many threads as lanes call `Engine.translate` at once, with images of {side}x{side}.",
    "builds": "`stargan_rt.builder` with `force=True`, calibration and judging included.",
    "training": "Discriminator steps with a generator step in every fifth, not compiled, faces in memory.",
}
