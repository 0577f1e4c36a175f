"""The load scenarios of `stargan-rt bench`: one caller, several callers, batches, a fresh process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from stargan_rt.engine import Engine
from stargan_rt.errors import StarGANError
from stargan_rt.images import Pixels, resize
from stargan_rt.models import bundled_faces
from stargan_rt.profiling import CallTimes
from stargan_rt.timing import Latency, call_times

COLD = """
import sys, time
start = time.perf_counter()
import numpy as np
from stargan_rt import Engine
imported = time.perf_counter()
engine = Engine.load(sys.argv[1], backend=sys.argv[2])
loaded = time.perf_counter()
engine.translate(np.zeros((*engine.size, 3), np.uint8), engine.labels.names[0])
print(1e3 * (imported - start), 1e3 * (loaded - imported), 1e3 * (time.perf_counter() - loaded))
"""


def faces(engine: Engine, count: int) -> list[Pixels]:
    """Return bundled faces in the network's size. The latency of a network does not depend on its input."""
    known = itertools.cycle(resize(face, engine.size) for face in bundled_faces())
    return list(itertools.islice(known, count))


def single_stream(engine: Engine, max_seconds: float) -> list[float]:
    """Return the time of each call in milliseconds, uint8 array to uint8 array, one call after the other."""
    face, name = faces(engine, 1)[0], engine.labels.names[0]
    return call_times(lambda: engine.translate(face, name), max_calls=100_000, max_seconds=max_seconds)


def parts(engine: Engine, max_seconds: float) -> CallTimes:
    """Return the median time of each stage of a call."""
    face, name = faces(engine, 1)[0], engine.labels.names[0]
    with engine.profile() as profile:
        call_times(lambda: engine.translate(face, name), max_seconds=max_seconds)
    return profile.median()


def batches(engine: Engine, sizes: tuple[int, ...], max_seconds: float) -> dict[int, float]:
    """Return batch size → images per second (offline throughput), one batch after the other."""
    found = {}
    for size in sizes:
        pile = np.stack(faces(engine, size))
        call = partial(engine.translate, pile, engine.labels.names[0])
        found[size] = size * 1e3 / median(call_times(call, warm_up=2, max_calls=500, max_seconds=max_seconds))
    return found


def streams(engine: Engine, callers: tuple[int, ...], seconds: float) -> dict[int, tuple[float, Latency]]:
    """Return number of concurrent callers → images per second, and the latency that each caller sees."""
    face, name = faces(engine, 1)[0], engine.labels.names[0]
    found = {}
    for count in callers:
        times: list[list[float]] = [[] for _ in range(count)]
        end = time.perf_counter() + seconds

        def work(mine: list[float], end: float = end) -> None:
            while (start := time.perf_counter()) < end:
                engine.translate(face, name)
                mine.append((time.perf_counter() - start) * 1e3)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in times]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        every = list(itertools.chain.from_iterable(times))
        found[count] = (len(every) / took, Latency.of(every))
    return found


def lanes(path: str, backend: str, threads: int | None, counts: tuple[int, ...], seconds: float) -> dict[int, float]:
    """Return number of lanes → images per second, with one caller per lane."""
    found = {}
    for count in counts:
        with Engine.load(path, backend=backend, threads=threads, lanes=count) as engine:
            found[count] = streams(engine, (count,), seconds)[count][0]
    return found


def cold_start(path: str, backend: str, rounds: int = 3) -> dict[str, float]:
    """Return the median times in a fresh process, in milliseconds: import, load, first translation, and their sum.

    Raises:
        StarGANError: The process failed.
    """
    rows = []
    for _ in range(rounds):
        command = [sys.executable, "-c", COLD, path, backend]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            raise StarGANError(f"loading {path} in a fresh process failed: {done.stderr.strip()[-300:]}")
        rows.append([float(value) for value in done.stdout.split()])
    parts = dict(
        zip(("import_ms", "load_ms", "first_ms"), (median(column) for column in zip(*rows, strict=True)), strict=True)
    )
    return {**parts, "total_ms": median(sum(row) for row in rows)}


def peak_memory_mib() -> float | None:
    """Return the peak resident memory of this process in MiB, or None if the system does not report it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), None)
    return int(line.split()[1]) / 1024 if line else None
