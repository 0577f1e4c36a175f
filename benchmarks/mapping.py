"""`Engine.map` over files against the bare backend on prepared arrays: `python -m benchmarks mapping`.

The files are JPEGs of 512x512; `map` reads, decodes and resizes them while the network computes. The
bare backend gets arrays of the network's size and nothing else to do, from as many threads as the engine
has lanes, at the batch that `map` uses, 1. Both take turns, chunk by chunk, so that a busy machine slows both.

On a CPU reading and the network share the cores, so no scheduling reaches 100 %. With every core busy
all the time, an image takes the network's time plus its reading time divided by the cores: the
`bound` of the report.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
import cv2
import numpy as np
import torch

from export.graph import to_onnx
from stargan_rt import Engine, LabelSpace, Manifest, machine
from stargan_rt.builder import BuildConfig, build
from stargan_rt.errors import StarGANError
from stargan_rt.files import written_whole
from stargan_rt.images import Pixels, fitted, read_image, write_image
from stargan_rt.manifest import write_to_onnx
from stargan_rt.models import bundled_faces, bundled_model
from training.model import Generator

GOAL = 0.9
"""Share of the bare backend's throughput that `map` is to reach."""
MODELS = ("bundled", "standard")
PRECISIONS = ("fp32", "int8")
INT8 = ("down", "residual", "up", "last")


@dataclass(frozen=True)
class Share:
    """Of one engine.

    Attributes:
        lanes: of the engine.
        files: number of images.
        side: of the files, pixels.
        bare_per_s, map_per_s: images a second over all chunks.
        share: `map_per_s` / `bare_per_s`.
        share_min, share_max: the same of single chunks.
        read_ms: reading, decoding and resizing a file, on one thread with nothing else going on.
        bound: the share with every core busy all the time.
    """

    lanes: int
    files: int
    side: int
    bare_per_s: float
    map_per_s: float
    share: float
    share_min: float
    share_max: float
    read_ms: float
    bound: float


def draw_files(folder: Path, count: int, side: int, seed: int = 0) -> list[Path]:
    """Writes `count` different JPEGs of `side` x `side`: drawn faces moved, mirrored, relit, with a sensor's noise."""
    random, faces = np.random.default_rng(seed), bundled_faces()
    # Without noise an enlarged drawing is a tenth of a photo's size, and decoded faster than one.
    noise = random.normal(0, 5, (2 * side, 2 * side, 3)).astype(np.int16)
    paths = []
    for number in range(count):
        face = faces[number % len(faces)][:, :: random.choice((1, -1))]
        y, x = random.integers(0, 16, 2)
        large = cv2.resize(face[y : y + 112, x : x + 112], (side, side), interpolation=cv2.INTER_CUBIC)
        y, x = random.integers(0, side, 2)
        lit = large * random.uniform(0.8, 1.1) + noise[y : y + side, x : x + side]
        paths.append(folder / f"{number:05}.jpg")
        write_image(paths[-1], np.clip(lit, 0, 255).astype(np.uint8))
    return paths


def engines(
    folder: Path, models: tuple[str, ...], precisions: tuple[str, ...], lanes: tuple[int, ...]
) -> Iterator[tuple[str, int, Engine]]:
    """Name, lanes and engine of either model, loaded one at a time."""
    for name in models:
        source = folder / f"{name}.onnx"
        source.write_bytes(bundled_model("avatars").read_bytes() if name == "bundled" else _standard())
        for precision in precisions:
            path = source
            if precision == "int8":
                # Every layer that can be int8: the fastest network is the hardest to keep fed. Its pictures are
                # not judged here.
                config = BuildConfig("openvino", "int8", INT8, calib="avatars", calib_count=16, min_psnr=0)
                path = build(source, config, force=True).path
            for count in lanes:
                with Engine.load(path, backend="openvino", lanes=count) as engine:
                    yield f"{name} {precision}, lanes {count}", count, engine


def _standard(conv_dim: int = 64, size: tuple[int, int] = (128, 128)) -> bytes:
    """The paper's generator with random weights, as an ONNX file."""
    torch.manual_seed(0)
    space = LabelSpace({"CelebA": ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")})
    model = to_onnx(Generator(space.dim, conv_dim).eval(), space.dim, size)
    write_to_onnx(Manifest(space, size, "fp32", conv_dim, 6), model)
    return bytes(model.SerializeToString())


def measure(engine: Engine, lanes: int, paths: list[Path], chunk: int) -> Share:
    """Both in turns, `chunk` images each; every image of `map` is compared with the bare backend's.

    Raises:
        StarGANError: `map` gives other pictures.
    """
    name = engine.labels.names[0]
    vector = engine.labels.encode(name)[None]
    prepared, read_ms = [], []
    for path in paths:
        start = time.perf_counter()
        prepared.append(_read(path, engine.size))
        read_ms.append((time.perf_counter() - start) * 1e3)
    list(engine.map(paths[:8], name))  # warms up both: buffers, threads
    seconds: list[tuple[float, float]] = []
    callers = ThreadPoolExecutor(lanes)
    for start in range(0, len(paths), chunk):
        part = slice(start, start + chunk)
        began = time.perf_counter()
        bare = list(callers.map(lambda image: engine._backend.run(image, vector)[0], prepared[part]))
        turned = time.perf_counter()
        # A `map` of its own each time: one that went on would read ahead in the other's turn.
        mapped = list(engine.map(paths[part], name))
        seconds.append((turned - began, time.perf_counter() - turned))
        for path, ours, other in zip(paths[part], mapped, bare, strict=True):
            if not np.array_equal(ours, other):
                raise StarGANError(f"map and the bare backend give different pictures of {path.name}")
    callers.shutdown()
    bare_s, map_s = (sum(column) for column in zip(*seconds, strict=True))
    shares = [b / m for b, m in seconds]
    bare_ms, reading = bare_s * 1e3 / len(paths), median(read_ms)
    return Share(
        lanes=lanes,
        files=len(paths),
        side=read_image(paths[0]).shape[0],
        bare_per_s=round(len(paths) / bare_s, 2),
        map_per_s=round(len(paths) / map_s, 2),
        share=round(bare_s / map_s, 3),
        share_min=round(min(shares), 3),
        share_max=round(max(shares), 3),
        read_ms=round(reading, 2),
        bound=round(bare_ms / (bare_ms + reading / machine.cores()), 3),
    )


def _read(path: Path, size: tuple[int, int]) -> Pixels:
    return np.ascontiguousarray(fitted(path, size)[0])[None]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--files", type=click.IntRange(min=1), default=500)
@click.option("--side", type=click.IntRange(min=64), default=512, help="Of the files, in pixels.")
@click.option("--chunk", type=click.IntRange(min=1), default=50, help="Images a turn.")
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), default=MODELS)
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), default=PRECISIONS)
@click.option("--lanes", multiple=True, type=click.IntRange(min=1), help="[default: 1 and one a core]")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
def main(
    files: int,
    side: int,
    chunk: int,
    models: tuple[str, ...],
    precisions: tuple[str, ...],
    lanes: tuple[int, ...],
    output: Path | None,
) -> None:
    """Throughput of Engine.map over JPEG files against the bare backend's on prepared arrays."""
    rows = {}
    with tempfile.TemporaryDirectory(prefix="stargan-rt-mapping-") as folder:
        paths = draw_files(Path(folder), files, side)
        click.echo(f"{'':24}{'bare/s':>9}{'map/s':>9}{'share':>9}{'chunks':>16}{'bound':>9}{'read ms':>9}")
        lanes = lanes or tuple(sorted({1, machine.cores()}))
        for name, count, engine in engines(Path(folder), models, precisions, lanes):
            row = rows[name] = measure(engine, count, paths, chunk)
            chunks = f"{row.share_min:.1%}-{row.share_max:.1%}"
            click.echo(
                f"{name:24}{row.bare_per_s:9.2f}{row.map_per_s:9.2f}{row.share:9.1%}{chunks:>16}{row.bound:9.1%}"
                f"{row.read_ms:9.2f}"
            )
    if output:
        about = f"{machine.cpu()}, {machine.cores()} cores, {platform.system()}"
        report = {"machine": about, "goal": GOAL, "engines": {name: asdict(row) for name, row in rows.items()}}
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
