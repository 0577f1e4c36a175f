"""What `benchmarks.scaling` measures of our engines: each part gives its rows, all in turns.

The graphs are typed as `stargan_rt.builder` types them for OpenVINO, every layer group but the first in int8. Its
search and gate would take minutes at 512, so only `builds` goes through them; `sizes` judges one size's pictures.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from benchmarks.case import SEED, Case
from benchmarks.statistics import estimate, ratio
from stargan_rt import Engine
from stargan_rt.bench.scenarios import faces
from stargan_rt.builder import GROUPS, BuildConfig, build
from stargan_rt.builder.half import to_half
from stargan_rt.builder.quantize import activation_grids, quantize
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.errors import BuildError, StarGANError
from stargan_rt.images import Pixels
from stargan_rt.manifest import read_onnx, write_to_onnx
from stargan_rt.quality import psnr
from stargan_rt.timing import call_times

Row: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""
K = TypeVar("K", bound=Hashable)

PRECISIONS = ("fp32", "bf16", "int8")
BATCHES = (1, 2, 4, 8, 16, 32)
CALIBRATION = 4
"""Pictures from which the int8 ranges are taken."""
BATCH_IMAGES = 8
"""Least images of a turn of a batch size."""
LANE_CALLS = 6
"""Of each caller in a turn of `lanes`."""
LONG = ("batches", "training")
"""Parts whose turns take seconds."""


@dataclass
class Bench:
    """One generator of random weights at several sizes, and how long to measure it.

    Attributes:
        folder: for its files.
        threads: of every engine but those of `threads` and `lanes`.
        sizes: sides of the pictures in pixels; the parts that have one size take the first.
        build_sizes: of them, those whose builds are timed.
        training_sizes, training_batches: of the training step.
        rounds: turns of each contestant; a third of them in `LONG`, at least 2.
        calls: that a turn counts.
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
    _cases: dict[int, Case] = field(default_factory=dict)

    def rounds_of(self, part: str) -> int:
        return max(2, self.rounds // 3) if part in LONG else self.rounds

    def case(self, size: int) -> Case:
        """The generator for one size, written when it is first asked for."""
        if size not in self._cases:
            self.progress(f"the generator at {size}", 0, 1)
            case = Case(self.folder / str(size), self.threads, self.conv_dim, self.blocks, size)
            case.folder.mkdir()
            case.write()
            self._cases[size] = case
        return self._cases[size]

    def engine(self, precision: str, size: int, threads: int | None = None, lanes: int = 1) -> Engine:
        """Of the typed graph, on OpenVINO."""
        path = self.case(size).folder / f"{precision}.onnx"
        if not path.is_file():
            self.progress(f"{precision} at {size}", 0, 1)
            _write_typed(self.case(size), precision, path)
        return Engine.load(path, backend="openvino", threads=threads or self.threads, lanes=lanes)


def sizes(bench: Bench) -> list[Row]:
    """Milliseconds an image, and nanoseconds a pixel beside those of the first size."""
    keys = [(precision, size) for precision in PRECISIONS for size in bench.sizes]
    with contextlib.ExitStack() as stack:
        engines = {key: stack.enter_context(bench.engine(*key)) for key in keys}
        masters = {size: _master(bench, size) for size in bench.sizes}
        quality = {key: _psnr(engine, masters[key[1]]) for key, engine in engines.items()}
        turns = {key: partial(_ms, engine, bench.calls) for key, engine in engines.items()}
        ms = in_turns(bench, "sizes", turns)
    ns = {key: [value * 1e6 / key[1] ** 2 for value in values] for key, values in ms.items()}
    return [
        {
            "precision": precision,
            "size": size,
            "ms": estimate(ms[precision, size]).to_dict(3),
            "ns_a_pixel": estimate(ns[precision, size]).to_dict(1),
            "times_first": ratio(ns[precision, size], ns[precision, bench.sizes[0]]).to_dict(3),
            "psnr_db": quality[precision, size],
            "rounds_ms": [round(value, 3) for value in ms[precision, size]],
        }
        for precision, size in keys
    ]


def batches(bench: Bench) -> list[Row]:
    """Images a second of batches, beside those of one image a call."""
    with contextlib.ExitStack() as stack:
        engines = {p: stack.enter_context(bench.engine(p, bench.sizes[0])) for p in PRECISIONS}
        turns = {
            (p, size): partial(_images_a_second, engine, size) for p, engine in engines.items() for size in BATCHES
        }
        speeds = in_turns(bench, "batches", turns)
    return _throughput(speeds, "batch", BATCHES[0])


def threads(bench: Bench) -> list[Row]:
    """Milliseconds an image with 1 thread and more, and how many times as fast as with one."""
    keys = [(precision, count) for precision in PRECISIONS for count in counts(bench.threads)]
    with contextlib.ExitStack() as stack:
        engines = {(p, n): stack.enter_context(bench.engine(p, bench.sizes[0], threads=n)) for p, n in keys}
        turns = {key: partial(_ms, engine, bench.calls) for key, engine in engines.items()}
        ms = in_turns(bench, "threads", turns)
    return [
        {
            "precision": precision,
            "threads": count,
            "ms": estimate(ms[precision, count]).to_dict(3),
            "times_first": ratio(ms[precision, 1], ms[precision, count]).to_dict(3),
        }
        for precision, count in keys
    ]


def lanes(bench: Bench) -> list[Row]:
    """Images a second with 1 lane and more, and as many callers."""
    keys = [(precision, count) for precision in PRECISIONS for count in counts(bench.threads)]
    with contextlib.ExitStack() as stack:
        engines = {(p, n): stack.enter_context(bench.engine(p, bench.sizes[0], lanes=n)) for p, n in keys}
        turns = {key: partial(_laned, engine, key[1]) for key, engine in engines.items()}
        speeds = in_turns(bench, "lanes", turns)
    return _throughput(speeds, "lanes", 1)


def builds(bench: Bench) -> list[Row]:
    """Seconds of a build with everything: calibration, search, gate, comparison; and of the same from the cache.

    Raises:
        StarGANError: the second build was not taken from the cache.
    """
    rows = []
    keys = [(precision, size) for precision in PRECISIONS for size in bench.sizes]
    for number, (precision, size) in enumerate(keys):
        about = {"precision": precision, "size": size}
        if size not in bench.build_sizes:
            rows.append({**about, "not_measured": f"add --build-sizes {size}"})
            continue
        case = bench.case(size)
        config = BuildConfig("openvino", precision, calib="avatars")
        output = case.folder / f"built.{precision}.onnx"
        bench.progress("builds", number, len(keys))
        with _cache(case.folder / "cache"):
            try:
                first = build(case.exported, config, output=output, force=True)
            except BuildError as error:  # random weights owe no budget anything
                rows.append({**about, "not_measured": str(error)})
                continue
            again = build(case.exported, config, output=output)
        if not again.cached:
            raise StarGANError(f"the second build of {precision} at {size} was not taken from the cache")
        quality = first.manifest.build["quality"]
        seconds = {"seconds": round(first.seconds, 2), "cached_seconds": round(again.seconds, 3)}
        rows.append({**about, **seconds, "worst_psnr_db": quality["worst_psnr_db"]})
    return rows


def counts(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def in_turns(bench: Bench, part: str, turns: Mapping[K, Callable[[], float]]) -> dict[K, list[float]]:
    """What each measured in each round. The order changes, so that nobody always follows the same neighbour."""
    shuffle, rounds = random.Random(SEED).shuffle, bench.rounds_of(part)
    found: dict[K, list[float]] = {key: [] for key in turns}
    for number in range(rounds):
        bench.progress(part, number, rounds)
        order = list(turns)
        shuffle(order)
        for key in order:
            found[key].append(turns[key]())
    return found


def _write_typed(case: Case, precision: str, path: Path) -> None:
    manifest, model = read_onnx(case.exported)
    model = widen_last_convolution(fold_label(model))
    if precision == "bf16":
        model = to_half(model, precision, half_norms=True)
    elif precision == "int8":
        model = quantize(model, activation_grids(model, case.calibration()[:CALIBRATION], unsigned=True), GROUPS[1:])
    write_to_onnx(replace(manifest, precision=precision), model)
    path.write_bytes(model.SerializeToString())


def _picture(engine: Engine) -> tuple[Pixels, str]:
    return faces(engine, 1)[0], engine.labels.names[0]


def _master(bench: Bench, size: int) -> Pixels:
    """What the exported graph makes of the picture in ONNX Runtime."""
    with Engine.load(bench.case(size).exported, backend="onnxruntime", threads=bench.threads) as engine:
        return engine.translate(*_picture(engine))


def _psnr(engine: Engine, master: Pixels) -> float | None:
    """In dB; None where the pictures are the same."""
    found = psnr(engine.translate(*_picture(engine)), master)
    return round(found, 1) if math.isfinite(found) else None


def _ms(engine: Engine, calls: int) -> float:
    """Median of a turn; its first call is not counted: the caches hold what the last contestant left there."""
    times = call_times(partial(engine.translate, *_picture(engine)), warm_up=1, max_calls=calls, max_seconds=math.inf)
    return float(np.median(times))


def _images_a_second(engine: Engine, batch: int) -> float:
    pile, name = np.stack(faces(engine, batch)), engine.labels.names[0]
    engine.translate(pile[:1], name)  # warms up
    calls = max(1, BATCH_IMAGES // batch)
    times = call_times(partial(engine.translate, pile, name), warm_up=0, max_calls=calls, max_seconds=math.inf)
    return batch * 1e3 / float(np.median(times))


def _laned(engine: Engine, callers: int) -> float:
    """Images a second; every caller makes as many calls, so that no lane has to wait for the last one."""
    call = partial(engine.translate, *_picture(engine))
    call()
    with ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: [call() for _ in range(LANE_CALLS)], range(callers)))
        return callers * LANE_CALLS / (time.perf_counter() - start)


def _throughput(speeds: Mapping[tuple[str, int], list[float]], name: str, first: int) -> list[Row]:
    return [
        {
            "precision": precision,
            name: count,
            "images_a_second": estimate(found).to_dict(2),
            "times_first": ratio(found, speeds[precision, first]).to_dict(3),
        }
        for (precision, count), found in speeds.items()
    ]


@contextlib.contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """A cache of its own: the user's keeps what it has, and has nothing of this."""
    old = os.environ.get("STARGAN_RT_CACHE")
    os.environ["STARGAN_RT_CACHE"] = str(folder)
    try:
        yield
    finally:
        if old is None:
            del os.environ["STARGAN_RT_CACHE"]
        else:
            os.environ["STARGAN_RT_CACHE"] = old
