"""What `python -m benchmarks gpu` measures: a function for each section, run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sweeps
from benchmarks.case import Case
from benchmarks.peers import PEERS, Timed
from benchmarks.results import without_paths
from benchmarks.settle import SETTLE_S, settle
from benchmarks.statistics import estimate, ratio
from benchmarks.sweeps import Bench
from stargan_rt import Engine, backends, machine
from stargan_rt.bench import scenarios
from stargan_rt.models import bundled_model
from stargan_rt.quality import psnr
from stargan_rt.timing import Latency, in_turns, median_ms

Result = dict[str, Any]
ROUNDS, CALLS, SECONDS = 10, 50, 3.0
"""Turns, calls of a turn, and seconds of a profile, of a translation that takes about a millisecond."""
ROOT = Path(__file__).parents[1]
FULL_HD = (1080, 1920)
RING = 32
"""Frames used in turn, together more than the GPU's caches hold."""


class Job:
    """A contestant of `benchmarks.workers` that does all its work when it is made; the result is in its facts."""

    def __init__(self, work: Callable[..., Result], *arguments: Any) -> None:
        self.facts = work(*arguments)

    def turn(self, calls: int) -> None:
        """Do nothing: the work is done."""


def generator(folder: Path) -> Result:
    """Write the standard generator with random weights, and what float32 makes of its images."""
    case = Case(folder, machine.cores())
    case.write()
    np.save(folder / "master.npy", case.master())
    return {"model": "the standard generator, conv 64, 6 blocks, random weights", "network_gmac": round(case.gmac(), 3)}


def tests(folder: Path) -> Result:
    """Run tests/gpu; returns the numbers of tests, and the reason of each failure."""
    report = folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not report.is_file():
        raise RuntimeError(f"pytest wrote no report: {(done.stdout + done.stderr).strip()[-300:]}")
    return summarise_tests(report)


def summarise_tests(report: Path) -> Result:
    """Count the tests in a JUnit report of pytest."""
    counts: Counter[str] = Counter()
    failures, skipped = {}, Counter[str]()
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        kind = "passed" if outcome is None else "skipped" if outcome.tag == "skipped" else "failed"
        counts[kind] += 1
        if outcome is not None and kind == "failed":
            failures[f"{case.get('classname')}::{case.get('name')}"] = without_paths(_first_line(outcome))
        elif outcome is not None:
            skipped[_first_line(outcome)] += 1
    kinds = {kind: counts[kind] for kind in ("passed", "failed", "skipped")}
    return {**kinds, "failures": failures, "skip_reasons": dict(skipped)}


def _first_line(outcome: ElementTree.Element) -> str:
    return outcome.get("message", "").partition("\n")[0]


def overhead(folder: Path, backend: str, precision: str) -> Result:
    """Measure a call of `translate`, and how much of it is not the driver's work: copies and the network."""
    with _bench(folder, backend, (precision,)).engine(precision, 128) as loaded:
        call_ms = scenarios.single_stream(loaded, SECONDS)
        parts = scenarios.parts(loaded, SECONDS)
    driver_ms = parts.h2d_ms + parts.compute_ms + parts.d2h_ms
    p50 = Latency.of(call_ms).p50_ms
    return {
        "latency": asdict(Latency.of(call_ms)),
        "driver_ms": round(driver_ms, 4),
        "added_ms": round(p50 - driver_ms, 4),
        "parts_ms": {name: round(ms, 4) for name, ms in asdict(parts).items()},
    }


def graph(folder: Path, backend: str, precision: str) -> Result:
    """Measure a call that replays a captured graph, and one that enqueues kernel by kernel, in turns."""
    bench = _bench(folder, backend, (precision,))
    with bench.engine(precision, 128) as captured:
        path, manifest = bench.path(precision, 128), captured.manifest
        options = backends.RunOptions(graphs=False)
        with Engine(manifest, backends.create(backend, path, manifest, options)) as plain:
            label, image = captured.labels.names[0], scenarios.faces(captured, 1)[0]
            calls = {"graph": captured.translate, "enqueue": plain.translate}
            turns = {name: partial(median_ms, partial(call, image, label), CALLS) for name, call in calls.items()}
            settle(turns["enqueue"], SETTLE_S.get(backend, 0.0), calls=1)
            ms = in_turns(turns, 2 * ROUNDS, warm_up=1)
    times = ratio(ms["enqueue"], ms["graph"], 3)
    return {**{f"{name}_ms": estimate(values, 4) for name, values in ms.items()}, "times_as_fast": times}


def lanes(folder: Path, backend: str, precision: str) -> Result:
    """Measure images a second with 1, 2 and 4 lanes and the same number of callers."""
    return {"rows": sweeps.lanes(_bench(folder, backend, (precision,)))}


def batches(folder: Path, backend: str, precision: str) -> Result:
    """Measure images a second in batches."""
    return {"rows": sweeps.batches(_bench(folder, backend, (precision,)))}


def sizes(folder: Path, backend: str, precision: str) -> Result:
    """Measure the cost of a pixel at 128, 256 and 512; the network is the standard generator."""
    bench = _bench(folder, backend, (precision,), sizes=(128, 256, 512))
    bench.model = None
    return {"rows": sweeps.sizes(bench)}


def builds(folder: Path, backend: str, precision: str) -> Result:
    """Time a build, and the same from the cache."""
    (row,) = sweeps.builds(_bench(folder, backend, (precision,)))
    if "not_measured" in row:
        raise RuntimeError(row["not_measured"])
    return dict(row)


def training(folder: Path) -> Result:
    """Measure the training step by image and batch size."""
    bench = _bench(folder, "", (), training_sizes=(128, 256), training_batches=(16, 64))
    bench.device, bench.rounds = "cuda", 9
    return {"rows": sweeps.training(bench)}


def peer(folder: Path, name: str) -> Result:
    """Measure one peer of `benchmarks.compare`, alone on the GPU, from array to array on the host."""
    contestant = next(other for other in PEERS if other.name == name)
    case, start = Case(folder, machine.cores()), time.perf_counter()
    timed = Timed(contestant, case)
    prepare_s = time.perf_counter() - start
    least_s = SETTLE_S[contestant.options.get("backend", "tensorrt")]
    settled = settle(timed.once, least_s, calls=1 if timed.times_itself else 20)
    ms = [float(np.median(timed.turn(CALLS))) for _ in range(ROUNDS)]
    quality = psnr(np.asarray(timed.facts["images"]), np.load(folder / "master.npy"))
    return {
        "class": timed.facts["precision"],
        "ours": contestant.ours,
        "ms": estimate(ms, 4),
        "psnr_db": round(quality, 2) if np.isfinite(quality) else None,
        "settled": settled,
        "prepare_s": round(prepare_s, 1),
        "rounds_ms": [round(value, 4) for value in ms],
        "note": timed.facts["note"],
    }


def frames(folder: Path, layout: str) -> Result:
    """Measure the frame kernels on whole frames, as a share of the bandwidth of a copy, and on one face."""
    from cuda import core

    from stargan_rt.cuda.frames import DeviceFrame, FrameKernels
    from stargan_rt.faces import Region

    device = core.Device(0)
    device.set_current()
    stream, kernels = device.create_stream(), FrameKernels()
    height, width = FULL_HD
    image_bytes = 3 * height * width
    frame_bytes = image_bytes // (2 if layout == "nv12" else 1)
    memory = core.DeviceMemoryResource(device)
    pool, images, other = (
        memory.allocate(RING * size, stream=stream) for size in (frame_bytes, image_bytes, image_bytes)
    )
    ring = [
        (DeviceFrame(int(pool.handle) + i * frame_bytes, *FULL_HD, layout), int(images.handle) + i * image_bytes)  # type: ignore[arg-type]
        for i in range(RING)
    ]

    def milliseconds(work: Callable[[Any], object]) -> float:
        start, end = (device.create_event({"timing_enabled": True}) for _ in range(2))
        stream.record(start)
        work(stream)
        stream.record(end)
        end.sync()
        return float(end - start)

    def captured(kernel: Callable[..., None], region: Region, size: tuple[int, int]) -> Callable[[Any], object]:
        """Capture the whole ring as a graph, so that launches do not wait for Python."""

        def put(on: Any) -> None:
            for frame, image in ring:
                kernel(on, frame, region, image, size)

        put(stream)  # loads the kernels, which a capture might not allow
        stream.sync()
        builder = stream.create_graph_builder()
        builder.begin_building("thread_local")
        put(builder)
        graph = builder.end_building().complete()
        return lambda on: graph.launch(on)

    whole, face = Region.box(0, 0, width, height), Region.box(800, 300, 360, 360, 12)
    works = {"copy": lambda on: images.copy_to(other, stream=on)}
    for name, kernel in (("crop", kernels.crop), ("paste", kernels.paste)):
        works[f"{name} frame"] = captured(kernel, whole, FULL_HD)
        works[f"{name} face"] = captured(kernel, face, (128, 128))
    for work in works.values():
        settle(partial(milliseconds, work), least_s=0.5, most_s=2.0, calls=5)
    ms = in_turns({name: partial(milliseconds, work) for name, work in works.items()}, 2 * ROUNDS, warm_up=1)
    per_ms = np.divide(2 * RING * image_bytes, ms["copy"])
    traffic = {"crop": frame_bytes + image_bytes, "paste": 2 * frame_bytes + image_bytes}
    result: Result = {"device": str(device.name), "copy_gb_per_s": estimate(per_ms / 1e6, 1)}
    for name, size in traffic.items():
        moved = np.divide(RING * size, ms[f"{name} frame"])
        result[f"{name}_share_of_copy"] = ratio(moved, per_ms, 3)
        for what in ("frame", "face"):
            result[f"{name}_{what}_us"] = estimate(np.multiply(ms[f"{name} {what}"], 1e3 / RING), 2)
    return result


def _source(folder: Path) -> Path:
    """Return the standard generator; if it could not be written, the bundled model."""
    exported = Case(folder, 1).exported
    return exported if exported.is_file() else bundled_model("avatars")


def _bench(folder: Path, backend: str, precisions: tuple[str, ...], **changes: Any) -> Bench:
    settings: Result = {"sizes": (128,), "build_sizes": (128,), "training_sizes": (), "training_batches": ()}
    work = folder / "engines"
    work.mkdir(exist_ok=True)
    bench = Bench(work, 4, 64, 6, **{**settings, **changes}, rounds=ROUNDS, calls=CALLS)
    bench.backend, bench.precisions, bench.model = backend, precisions, _source(folder)
    return bench
