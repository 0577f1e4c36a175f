"""The sweeps of `benchmarks.scaling`: each returns its rows, all measured in turns."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from benchmarks.case import LABELS, Case, write_engine
from benchmarks.settle import SETTLE_S, settle
from benchmarks.statistics import estimate, ratio
from stargan_rt import Engine
from stargan_rt.backends import PLANS
from stargan_rt.bench.scenarios import faces
from stargan_rt.builder import GROUPS, BuildConfig, build, typed_graph
from stargan_rt.errors import BuildError, StarGANError
from stargan_rt.images import Pixels, resize
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_faces
from stargan_rt.quality import psnr
from stargan_rt.timing import in_turns, median_ms

Row: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""

BATCHES = (1, 2, 4, 8, 16, 32)
CALIBRATION = 4
"""Number of images from which int8 ranges are taken."""
LONG = ("batches", "training")
"""Sweeps whose turns take seconds."""
TRAINING_PRECISION = "bfloat16"


@dataclass
class Bench:
    """One generator with random weights at several sizes, and how long to measure it.

    Attributes:
        folder: where its files go.
        threads: CPU threads of every engine, except in `threads` and `lanes`.
        sizes: sides of the images in pixels; sweeps with one size take the first.
        build_sizes: those of them whose builds are timed.
        training_sizes: sides of the training step's images.
        training_batches: batch sizes of the training step.
        rounds: number of turns; a third of them in `LONG`, at least 2.
        calls: number of calls that a turn counts.
        backend: of the engines; ``"openvino"`` runs typed graphs, the others what `build` makes for them.
        precisions: of the engines.
        device: where the training step computes: ``"cpu"`` or ``"cuda"``.
        model: an exported model that takes the place of the generator with random weights.
    """

    folder: Path
    threads: int
    conv_dim: int
    blocks: int
    sizes: Sequence[int]
    build_sizes: Sequence[int]
    training_sizes: Sequence[int]
    training_batches: Sequence[int]
    rounds: int
    calls: int
    progress: Progress = lambda *_: None
    backend: str = "openvino"
    precisions: Sequence[str] = ("fp32", "bf16", "int8")
    device: str = "cpu"
    model: Path | None = None
    cases: dict[int, Case] = field(default_factory=dict)

    def rounds_of(self, sweep: str) -> int:
        """Return the number of rounds of a sweep."""
        return max(2, self.rounds // 3) if sweep in LONG else self.rounds

    def case(self, size: int) -> Case:
        """Return the generator for one size; write it on first use."""
        if size not in self.cases:
            self.progress(f"the generator at {size}", 0, 1)
            case = Case(self.folder / str(size), self.threads, self.conv_dim, self.blocks, size)
            case.folder.mkdir(exist_ok=True)
            if not case.exported.is_file():  # another process may have written it
                case.write()
            self.cases[size] = case
        return self.cases[size]

    def source(self, size: int) -> Path:
        """Return the exported model of a size."""
        return self.model or self.case(size).exported

    def path(self, name: str, size: int) -> Path:
        """Return where an engine goes."""
        suffix = "engine" if self.backend in PLANS else "onnx"
        return self.folder / f"{self.backend}-{name}-{size}.{suffix}"

    def engine(self, precision: str, size: int, threads: int | None = None, lanes: int = 1) -> Engine:
        """Load the engine of a precision and size; make it on first use, and warm up a plan."""
        path = self.path(precision, size)
        if not path.is_file():
            self.progress(f"{precision} at {size}", 0, 1)
            if self.backend in PLANS:
                build(self.source(size), plan_config(self.backend, precision), output=path, force=True)
            else:
                manifest, model = read_onnx(self.source(size))
                pairs = self.case(size).calibration()[:CALIBRATION]
                typed = typed_graph(model, precision, self.backend, calibration=pairs)
                write_engine(typed, manifest, precision, path)
        engine = Engine.load(path, backend=self.backend, threads=threads or self.threads, lanes=lanes)
        if self.backend in PLANS:
            settle(partial(engine.translate, *_image(engine)), SETTLE_S[self.backend])
        return engine

    def in_turns(self, sweep: str, turns: Mapping[Any, Callable[[], float]]) -> dict[Any, list[float]]:
        """Measure everything once in each round of a sweep."""
        return in_turns(turns, self.rounds_of(sweep), progress=partial(self.progress, sweep))


def plan_config(backend: str, precision: str) -> BuildConfig:
    """Return the settings of a plan that takes every batch size of `BATCHES`, whatever its images are like."""
    groups = GROUPS[1:] if precision == "int8" else None
    return BuildConfig(backend, precision, groups, calib="avatars", min_psnr=0, max_batch=max(BATCHES))


def sizes(bench: Bench) -> list[Row]:
    """Measure ms an image, and ns a pixel compared with those of the first size."""
    keys = [(precision, size) for precision in bench.precisions for size in bench.sizes]
    with contextlib.ExitStack() as stack:
        engines = {key: stack.enter_context(bench.engine(*key)) for key in keys}
        images = {key: engine.translate(*_image(engine)) for key, engine in engines.items()}
        ms = bench.in_turns("sizes", {key: partial(_ms, engine, bench.calls) for key, engine in engines.items()})
    masters = {size: _master(bench, size) for size in bench.sizes}
    ns = {(precision, size): [v * 1e6 / size**2 for v in values] for (precision, size), values in ms.items()}
    return [
        {
            **row,
            "ns_a_pixel": estimate(ns[key], 1),
            "times_first": ratio(ns[key], ns[key[0], bench.sizes[0]], 3),
            "psnr_db": round(quality, 1) if math.isfinite(quality := psnr(images[key], masters[key[1]])) else None,
            "rounds_ms": [round(value, 3) for value in ms[key]],
        }
        for key, row in zip(keys, _rows("size", ms), strict=True)
    ]


def batches(bench: Bench) -> list[Row]:
    """Measure images a second in batches, compared with one image a call."""
    return _sweep(bench, "batches", "batch", BATCHES, lambda engine, n: _ms(engine, 4 * bench.calls, n))


def threads(bench: Bench) -> list[Row]:
    """Measure ms an image with 1 thread and more, and how many times as fast as with one."""
    return _sweep(bench, "threads", "threads", counts(bench.threads), lambda engine, _: _ms(engine, bench.calls))


def lanes(bench: Bench) -> list[Row]:
    """Measure images a second with 1 lane and more, and the same number of callers."""
    return _sweep(bench, "lanes", "lanes", counts(bench.threads), lambda engine, n: _laned_ms(engine, n, bench.calls))


def builds(bench: Bench) -> list[Row]:
    """Time a whole build (calibration, search, gate, comparison), and the same build from the cache.

    Raises:
        StarGANError: the second build did not come from the cache.
    """
    rows = []
    keys = [(precision, size) for precision in bench.precisions for size in bench.sizes]
    for number, (precision, size) in enumerate(keys):
        about = {"precision": precision, "size": size}
        if size not in bench.build_sizes:
            rows.append({**about, "not_measured": f"add --build-sizes {size}"})
            continue
        source, output = bench.source(size), bench.path(f"built-{precision}", size)
        config = BuildConfig(bench.backend, precision, calib="avatars")
        bench.progress("builds", number, len(keys))
        # Another cache than the user's, which neither helps nor is changed.
        with mock.patch.dict(os.environ, STARGAN_RT_CACHE=str(bench.folder / "cache")):
            try:
                first = build(source, config, output=output, force=True)
            except BuildError as error:  # random weights may miss the PSNR budget; that is not an error here
                rows.append({**about, "not_measured": str(error)})
                continue
            again = build(source, config, output=output)
        if not again.cached:
            raise StarGANError(f"the second build of {precision} at {size} did not come from the cache")
        record = first.manifest.build
        worst = record.quality.worst_db if record and record.quality else None
        seconds = {"seconds": round(first.seconds, 2), "cached_seconds": round(again.seconds, 3)}
        size_mib = round(output.stat().st_size / 2**20, 2)
        rows.append({**about, **seconds, "worst_psnr_db": worst, "file_mib": size_mib})
    return rows


def training(bench: Bench) -> list[Row]:
    """Measure training iterations a second, and ns a pixel compared with those of the first size and batch.

    The loop is `training.trainer.iterate`, as `training-step` runs it, but not compiled: compiling each shape would
    take longer than measuring it. A turn is `n_critic` iterations: that many discriminator steps and a generator step.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(bench.threads)
    try:
        loops: dict[tuple[int, int], Iterator[Any]] = {}
        for number, size in enumerate(bench.training_sizes):
            bench.progress("networks of the training step", number, len(bench.training_sizes))
            loops |= _loops(bench, size)
        for loop in loops.values():
            next(loop)  # memory is allocated and kernels are chosen
        speeds = bench.in_turns("training", {key: partial(_iterations_a_second, loop) for key, loop in loops.items()})
    finally:
        torch.set_num_threads(before)
    ns = {(size, batch): [1e9 / (v * batch * size**2) for v in found] for (size, batch), found in speeds.items()}
    first = bench.training_sizes[0], bench.training_batches[0]
    return [
        {
            "precision": TRAINING_PRECISION,
            "size": size,
            "batch": batch,
            "iterations_a_second": estimate(speeds[size, batch], 3),
            "images_a_second": estimate([value * batch for value in speeds[size, batch]], 2),
            "ns_a_pixel": estimate(ns[size, batch], 0),
            "times_first": ratio(ns[size, batch], ns[first], 3),
        }
        for size, batch in loops
    ]


def counts(most: int) -> list[int]:
    """Return 1, 2, 4, … and `most`."""
    return sorted({2**power for power in range(most.bit_length())} | {most})


def _sweep(
    bench: Bench, sweep: str, name: str, values: Sequence[int], turn: Callable[[Engine, int], float]
) -> list[Row]:
    """Return the rows of the precisions at every value; `name` is also the option of the engine, but for batches."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def engine(precision: str, **options: int) -> Engine:
            return stack.enter_context(bench.engine(precision, bench.sizes[0], **options))

        turns = {
            (p, value): partial(turn, engine(p, **({} if name == "batch" else {name: value})), value)
            for p in bench.precisions
            for value in values
        }
        return _rows(name, bench.in_turns(sweep, turns))


def _rows(name: str, ms: Mapping[tuple[str, int], list[float]]) -> list[Row]:
    """Return a row for each precision and value of `name`; `times_first` says how many times as fast as the first."""
    first: dict[str, list[float]] = {}
    return [
        {
            "precision": precision,
            name: value,
            "ms": estimate(times, 3),
            "images_a_second": estimate(np.divide(1e3, times), 2),
            "times_first": ratio(first.setdefault(precision, times), times, 3),
        }
        for (precision, value), times in ms.items()
    ]


def _ms(engine: Engine, calls: int, batch: int = 1) -> float:
    """Return the median ms an image; the fewer calls, the larger the batch."""
    call = partial(engine.translate, np.stack(faces(engine, batch)), engine.labels.names[0])
    return median_ms(call, max(1, calls // batch)) / batch


def _laned_ms(engine: Engine, callers: int, calls: int) -> float:
    """Return ms an image; every caller makes the same number of calls, so that no lane waits for the last one."""
    call = partial(engine.translate, *_image(engine))
    call()
    with ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: [call() for _ in range(3 * calls)], range(callers)))
        return (time.perf_counter() - start) * 1e3 / (3 * calls * callers)


def _image(engine: Engine) -> tuple[Pixels, str]:
    return faces(engine, 1)[0], engine.labels.names[0]


def _master(bench: Bench, size: int) -> Pixels:
    """Translate the image with the exported graph in ONNX Runtime."""
    with Engine.load(bench.source(size), backend="onnxruntime", threads=bench.threads) as engine:
        return engine.translate(*_image(engine))


def _loops(bench: Bench, size: int) -> dict[tuple[int, int], Iterator[Any]]:
    """Return size and batch → endless iterations; one size trains the same networks, which saves a gigabyte each."""
    from training.checkpoint import TrainState
    from training.config import TrainConfig
    from training.data.dataset import Dataset, joint_space
    from training.distributed import Processes
    from training.trainer import iterate

    images = np.stack([resize(face, (size, size)) for face in bundled_faces()])
    labels = np.eye(len(LABELS), dtype=np.float32)[np.arange(len(images)) % len(LABELS)]
    data = Dataset("faces", images, labels, LABELS)
    config = TrainConfig(
        image_size=size,
        conv_dim=bench.conv_dim,
        blocks=bench.blocks,
        d_conv_dim=bench.conv_dim,
        d_layers=min(6, size.bit_length() - 1),  # the paper's, where the image is large enough
        precision=TRAINING_PRECISION,
        device=bench.device,
    )
    state = TrainState.fresh(config, joint_space([data]))
    states = {batch: replace(state, config=replace(config, batch_size=batch)) for batch in bench.training_batches}
    processes = Processes(0, 1, bench.device)
    return {(size, batch): iterate(mine, [data], processes) for batch, mine in states.items()}


def _iterations_a_second(loop: Iterator[Any]) -> float:
    """Time `n_critic` iterations, the default of the config; reading a loss waits for the device."""
    from training.config import TrainConfig

    count = TrainConfig().n_critic
    start = time.perf_counter()
    for _ in range(count):
        losses = next(loop)
    float(next(iter(losses.values())))
    return count / (time.perf_counter() - start)
