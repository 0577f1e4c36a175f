"""`Engine.map` over files, compared with the bare backend on prepared arrays: `python -m benchmarks mapping`.

The files are JPEGs of 512x512; `map` reads, decodes and resizes them while the network computes. The bare backend
gets arrays of the network's size, from as many threads as the engine has lanes, one image a call. Both take turns,
chunk by chunk, so that a busy machine slows both.

On a CPU, reading and the network share the cores, so no scheduling reaches 100 %. With every core busy all the time,
an image takes the network's time plus its reading time divided by the number of cores: the `bound` of the report.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np

from benchmarks import results
from benchmarks.case import Case
from benchmarks.markdown import Column, number, share, table, text, where
from stargan_rt import Engine, machine
from stargan_rt.builder import GROUPS, BuildConfig, build
from stargan_rt.errors import StarGANError
from stargan_rt.images import Pixels, fitted, read_image, write_image
from stargan_rt.models import bundled_faces, bundled_model
from stargan_rt.timing import in_turns

MODELS = ("bundled", "standard")
PRECISIONS = ("fp32", "int8")


def draw_files(folder: Path, count: int, side: int, seed: int = 0) -> list[Path]:
    """Write `count` different JPEGs of `side` x `side`: drawn faces moved, mirrored and relit, with sensor noise."""
    random, faces = np.random.default_rng(seed), bundled_faces()
    # Without noise an enlarged drawing is a tenth of a photo's size, and faster to decode.
    noise = random.normal(0, 5, (2 * side, 2 * side, 3)).astype(np.int16)
    paths = []
    for index in range(count):
        face = faces[index % len(faces)][:, :: random.choice((1, -1))]
        y, x = random.integers(0, 16, 2)
        large = cv2.resize(face[y : y + 112, x : x + 112], (side, side), interpolation=cv2.INTER_CUBIC)
        y, x = random.integers(0, side, 2)
        lit = large * random.uniform(0.8, 1.1) + noise[y : y + side, x : x + side]
        paths.append(folder / f"{index:05}.jpg")
        write_image(paths[-1], np.clip(lit, 0, 255).astype(np.uint8))
    return paths


def standard_model(folder: Path) -> Path:
    """Write the paper's generator with random weights."""
    case = Case(folder, machine.cores())
    case.write()
    return case.exported


def engines(
    folder: Path, models: Sequence[str], precisions: Sequence[str], lanes: Sequence[int]
) -> Iterator[tuple[str, int, Engine]]:
    """Load the engines one at a time; yields name, lanes and engine."""
    for name in models:
        source = folder / f"{name}.onnx"
        source.write_bytes((bundled_model("avatars") if name == "bundled" else standard_model(folder)).read_bytes())
        for precision in precisions:
            path = source
            if precision == "int8":
                # Every layer that can be int8: the fastest network is the hardest to keep supplied. Its images are
                # not judged here.
                config = BuildConfig("openvino", "int8", GROUPS[1:], calib="avatars", calib_count=16, min_psnr=0)
                path = build(source, config, force=True).path
            for count in lanes:
                with Engine.load(path, backend="openvino", lanes=count) as engine:
                    yield f"{name} {precision}, lanes {count}", count, engine


def measure(engine: Engine, lanes: int, paths: list[Path], chunk: int) -> dict[str, float]:
    """Measure both in turns, `chunk` images each, and compare every image.

    Returns:
        Images a second of both over all chunks, their share with that of the worst and best chunk, ms to read, decode
        and resize a file with nothing else going on, and the bound: the share with every core busy all the time.

    Raises:
        StarGANError: `map` and the bare backend give different images.
    """
    name = engine.labels.names[0]
    vector = engine.labels.encode(name)[None]
    prepared, read_ms = [], []
    for path in paths:
        start = time.perf_counter()
        prepared.append(np.ascontiguousarray(fitted(path, engine.size)[0])[None])
        read_ms.append((time.perf_counter() - start) * 1e3)
    chunks = [slice(start, start + chunk) for start in range(0, len(paths), chunk)]
    list(engine.map(paths[:8], name))  # warms up both: buffers and threads
    with ThreadPoolExecutor(lanes) as callers:

        def bare(part: slice) -> list[Pixels]:
            return list(callers.map(lambda image: engine._backend.run(image, vector)[0], prepared[part]))

        def mapped(part: slice) -> list[Pixels]:
            # A new `map` each time: one that went on would read ahead in the other's turn.
            return list(engine.map(paths[part], name))

        turns = {"bare": partial(_timed, bare, iter(chunks)), "map": partial(_timed, mapped, iter(chunks))}
        measured = in_turns(turns, len(chunks))
    seconds = {key: [took for took, _ in values] for key, values in measured.items()}
    images = {key: itertools.chain.from_iterable(part for _, part in values) for key, values in measured.items()}
    for path, ours, other in zip(paths, images["map"], images["bare"], strict=True):
        if not np.array_equal(ours, other):
            raise StarGANError(f"map and the bare backend give different images of {path.name}")
    bare_s, map_s = sum(seconds["bare"]), sum(seconds["map"])
    shares = np.divide(seconds["bare"], seconds["map"])
    bare_ms, reading = bare_s * 1e3 / len(paths), median(read_ms)
    return {
        "lanes": lanes,
        "files": len(paths),
        "side": read_image(paths[0]).shape[0],
        "bare_per_s": round(len(paths) / bare_s, 2),
        "map_per_s": round(len(paths) / map_s, 2),
        "share": round(bare_s / map_s, 3),
        "share_min": round(float(shares.min()), 3),
        "share_max": round(float(shares.max()), 3),
        "read_ms": round(reading, 2),
        "bound": round(bare_ms / (bare_ms + reading / machine.cores()), 3),
    }


def _timed(translate: Callable[[slice], list[Pixels]], chunks: Iterator[slice]) -> tuple[float, list[Pixels]]:
    """Translate the next chunk; returns seconds and images."""
    part = next(chunks)
    start = time.perf_counter()
    images = translate(part)
    return time.perf_counter() - start, images


@click.command()
@click.option("--files", type=click.IntRange(min=1), default=500, help="Number of files.")
@click.option("--side", type=click.IntRange(min=64), default=512, help="Side of the files in pixels.")
@click.option("--chunk", type=click.IntRange(min=1), default=50, help="Images a turn.")
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), default=MODELS)
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), default=PRECISIONS)
@click.option("--lanes", multiple=True, type=click.IntRange(min=1), help="[default: 1 and the number of cores]")
@results.output_option
def main(
    files: int,
    side: int,
    chunk: int,
    models: tuple[str, ...],
    precisions: tuple[str, ...],
    lanes: tuple[int, ...],
    output: Path | None,
) -> None:
    """Throughput of Engine.map over JPEG files, compared with the bare backend on prepared arrays."""
    rows = {}
    with tempfile.TemporaryDirectory(prefix="stargan-rt-mapping-") as folder:
        paths = draw_files(Path(folder), files, side)
        lanes = lanes or tuple(sorted({1, machine.cores()}))
        for name, count, engine in engines(Path(folder), models, precisions, lanes):
            rows[name] = measure(engine, count, paths, chunk)
            click.echo(f"{name}: {rows[name]['share']:.1%} of the bare backend", err=True)
    result = {"machine": results.describe(), "settings": {"chunk": chunk}, "engines": rows}
    click.echo(markdown(result))
    results.write(output, result)


def markdown(result: dict[str, Any]) -> str:
    """Return `Engine.map` next to the bare backend as a table."""
    columns = [
        Column("engine", text("name"), words=True),
        Column("bare backend, images/s", number("bare_per_s", 1)),
        Column("`map`, images/s", number("map_per_s", 1)),
        Column("share", share("share", 1)),
        Column("of single chunks", lambda row: f"{row['share_min']:.1%} – {row['share_max']:.1%}"),
        Column("bound", share("bound", 1)),
        Column("reading a file, ms", number("read_ms", 2)),
    ]
    rows = [{"name": name, **row} for name, row in result["engines"].items()]
    files = sorted({(row["files"], row["side"]) for row in rows})
    about = " or ".join(f"{count} JPEG files of {side}x{side}" for count, side in files)
    # Older results describe the machine in a line.
    machine = result["machine"] if isinstance(result["machine"], str) else where(result, {"openvino": "OpenVINO"})
    return f"{table(columns, rows)}\n\n{about}, on {machine}."
