"""Does the cost of a pixel stay the same? `python -m benchmarks scaling`.

Our engines of the standard generator (random weights) on OpenVINO at several image sizes, batch sizes, threads and
lanes; how long their builds take; and the training step. What is compared has its turns in the same rounds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks import markdown, scaling_parts
from benchmarks.case import Case, available_cores
from benchmarks.compare import describe_machine
from benchmarks.scaling_parts import Bench, Row
from stargan_rt.errors import InputError
from stargan_rt.files import written_whole


def _training(bench: Bench) -> list[Row]:
    from benchmarks.scaling_training import training

    return training(bench)


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "sizes": scaling_parts.sizes,
    "batches": scaling_parts.batches,
    "threads": scaling_parts.threads,
    "lanes": scaling_parts.lanes,
    "builds": scaling_parts.builds,
    "training": _training,
}
SIZE, COUNT = click.IntRange(min=16), click.IntRange(min=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Parts to measure  [default: all]")
@click.option("--rounds", type=click.IntRange(min=2), default=6, help="Turns of each; a third where one is long.")
@click.option("--calls", type=COUNT, default=2, help="Calls that a turn counts.")
@click.option("--sizes", multiple=True, type=SIZE, default=(128, 256, 512), help="Sides in pixels.")
@click.option("--build-sizes", multiple=True, type=SIZE, default=(128, 256), help="Of them, those to time builds of.")
@click.option("--training-sizes", multiple=True, type=SIZE, default=(64, 128), help="Sides in pixels.")
@click.option("--training-batches", multiple=True, type=COUNT, default=(2, 4), help="Images a step.")
@click.option("--threads", type=COUNT, help="At most  [default: all cores]")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64)
@click.option("--blocks", type=COUNT, default=6)
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well; other parts in it stay.")
def main(only: tuple[str, ...], threads: int | None, output: Path | None, **settings: Any) -> None:
    """Cost of a pixel by image size, batch, threads and lanes; builds; the training step."""
    threads = threads or available_cores()
    settings |= {name: sorted(set(sides)) for name, sides in settings.items() if isinstance(sides, tuple)}
    for side in (*settings["sizes"], *settings["training_sizes"]):
        if side % 4:
            raise InputError(f"sizes must be multiples of 4; got {side}")
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="stargan-rt-scaling-") as folder:
        about = {"machine": describe_machine(Case(Path(folder), threads)), "settings": settings}
        with Progress(console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("", total=None)
            bench = Bench(
                Path(folder),
                threads=threads,
                progress=lambda phase, done, of: bars.update(bar, description=phase, completed=done, total=of),
                **settings,
            )
            for name, part in PARTS.items():
                if not only or name in only:
                    result[name] = {**about, "rounds": bench.rounds_of(name), "rows": part(bench)}
    for name in result:
        click.echo(f"{markdown.scaling(result, name)}\n")
    if output:
        kept = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else {}
        merged = {name: (kept | result)[name] for name in PARTS if name in kept | result}
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(merged, indent=2) + "\n")
