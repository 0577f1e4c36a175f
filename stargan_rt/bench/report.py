"""The report of `stargan-rt bench`: all scenarios of one engine, with machine and settings."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stargan_rt import jetson, machine
from stargan_rt.bench import scenarios
from stargan_rt.bench.config import BenchConfig
from stargan_rt.engine import Engine
from stargan_rt.errors import MissingDependencyError
from stargan_rt.files import written_whole
from stargan_rt.profiling import CallTimes
from stargan_rt.timing import Latency

LANES = tuple(sorted({1, 2, min(8, machine.cores())}))
"""Numbers of lanes to measure."""
NOISY = 1.3
"""Ratio of p90 to p50 of the single stream above which the report warns of a noisy machine."""


@dataclass(frozen=True)
class Report:
    """The measurements of `stargan-rt bench`.

    Attributes:
        about: Engine, machine and settings.
        single_stream: Latency of one caller.
        parts: Stage times of a call: copies, network, host. Profiling makes these calls a little slower.
        images_a_second: Batch size → images per second (offline throughput).
        streams: Number of concurrent callers → images per second, and their latency.
        lanes: Number of lanes, with one caller each → images per second.
        cold_start: Milliseconds of import, load and first translation in a fresh process.
        peak_memory_mib: Peak resident memory of this process in MiB; None if unknown.
        warnings: Reasons why the figures may not be representative.
        times_ms: Time of every call of the single stream, in milliseconds.
    """

    about: dict[str, Any]
    single_stream: Latency
    parts: CallTimes
    images_a_second: dict[int, float]
    streams: dict[int, tuple[float, Latency]]
    lanes: dict[int, float]
    cold_start: dict[str, float]
    peak_memory_mib: float | None
    warnings: list[str]
    times_ms: list[float] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict without `times_ms`."""
        return {
            "about": self.about,
            "single_stream": asdict(self.single_stream),
            "parts": asdict(self.parts),
            "images_a_second": self.images_a_second,
            "streams": {n: {"images_a_second": speed, **asdict(seen)} for n, (speed, seen) in self.streams.items()},
            "lanes": self.lanes,
            "cold_start": self.cold_start,
            "peak_memory_mib": self.peak_memory_mib,
            "warnings": self.warnings,
        }

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        one, parts = self.single_stream, self.parts
        cold = ", ".join(f"{name.removesuffix('_ms')} {ms:.0f}" for name, ms in self.cold_start.items())
        return [
            ", ".join(f"{key} {value}" for key, value in self.about.items()),
            f"single stream, array to array, {one.calls} calls: p50 {one.p50_ms:.2f}  p90 {one.p90_ms:.2f}  "
            f"p95 {one.p95_ms:.2f}  p99 {one.p99_ms:.2f}  min {one.min_ms:.2f}  mean {one.mean_ms:.2f} ms",
            f"parts in ms: host to device {parts.h2d_ms:.3f}, network {parts.compute_ms:.3f}, device to host "
            f"{parts.d2h_ms:.3f}, host {parts.host_ms:.3f}",
            "offline, images per second by batch size: "
            + ", ".join(f"{n}: {s:.1f}" for n, s in self.images_a_second.items()),
            "concurrent callers, images per second (p99 in ms): "
            + ", ".join(f"{n}: {speed:.1f} ({seen.p99_ms:.1f})" for n, (speed, seen) in self.streams.items()),
            "lanes with one caller each, images per second: "
            + ", ".join(f"{n}: {s:.1f}" for n, s in self.lanes.items()),
            f"cold start in ms: {cold}",
            f"peak memory {self.peak_memory_mib:.0f} MiB" if self.peak_memory_mib else "peak memory unknown",
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def plot(self, path: Path) -> None:
        """Plot the latency distribution and the throughput by batch size to a file.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        figure = figure_class()(figsize=(9, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.hist(self.times_ms, bins=60)
        left.axvline(self.single_stream.p50_ms, color="black", linestyle="--", label="p50")
        left.set(xlabel="ms", ylabel="calls", title="single stream")
        left.legend()
        right.plot(list(self.images_a_second), list(self.images_a_second.values()), marker="o")
        right.set(xlabel="batch", ylabel="images per second", title="offline", ylim=(0, None))
        with written_whole(path) as temporary:
            figure.savefig(temporary)


def figure_class() -> type[Any]:
    """Return the Figure class of matplotlib, an optional dependency.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("--plot needs matplotlib: pip install 'stargan-rt[plot]'") from None
    return Figure


def measure(
    engine: Engine,
    path: str,
    config: BenchConfig | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run every scenario.

    Args:
        engine: The engine, loaded from `path`.
        path: The file to load again with other numbers of lanes and in fresh processes.
        config: What to measure.
        threads: Number of threads that `engine` was loaded with.
        progress: Called with the name of each scenario before it runs.
    """
    config = config or BenchConfig()
    seconds, sizes, callers = config.seconds, config.batches, config.callers
    progress("single stream")
    times = scenarios.single_stream(engine, seconds)
    latency = Latency.of(times)
    progress("parts of a call")
    parts = scenarios.parts(engine, seconds / 4)
    progress("batches")
    throughput = scenarios.batches(engine, sizes, seconds / len(sizes))
    progress("concurrent callers")
    parallel = scenarios.streams(engine, callers, seconds / len(callers))
    progress("lanes")
    laned = scenarios.lanes(path, engine.backend, threads, LANES, seconds / len(LANES))
    progress("cold start")
    cold = scenarios.cold_start(path, engine.backend)
    height, width = engine.size
    about = {
        "engine": Path(path).name,
        "backend": engine.backend,
        "precision": engine.precision,
        "size": f"{width}x{height}",
        "CPU": f"{machine.cpu()}, {machine.cores()} cores",
        **({"GPU": gpu} if (gpu := machine.gpu()) else {}),
        **(jetson.settings() if jetson.this_machine() else {}),
        "system": platform.system(),
    }
    warnings = doubts(latency, parts)
    memory = scenarios.peak_memory_mib()
    return Report(about, latency, parts, throughput, parallel, laned, cold, memory, warnings, times)


def doubts(latency: Latency, parts: CallTimes) -> list[str]:
    """Return reasons why the figures may not be representative of the network."""
    found = []
    if latency.p90_ms > NOISY * latency.p50_ms:
        found.append(
            f"noisy machine: p90 is {latency.p90_ms / latency.p50_ms:.2f} times p50; stop other programs and repeat"
        )
    if latency.calls < 200:
        found.append(f"only {latency.calls} calls: percentiles beyond p90 are unreliable; use a larger --seconds")
    if parts.h2d_ms + parts.d2h_ms > parts.compute_ms:
        found.append("transfer-bound: copying takes longer than the network; pass arrays on the GPU")
    if parts.host_ms > parts.compute_ms:
        found.append("host-bound: the host takes longer than the network; translate several images per call")
    return found
