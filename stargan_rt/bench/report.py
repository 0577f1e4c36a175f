"""All scenarios of one engine, and what they were run on."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stargan_rt import machine
from stargan_rt.bench import scenarios
from stargan_rt.bench.config import BenchConfig
from stargan_rt.engine import Engine
from stargan_rt.errors import MissingDependencyError
from stargan_rt.files import written_whole
from stargan_rt.profiling import CallTimes
from stargan_rt.timing import Latency

LANES = tuple(sorted({1, 2, min(8, machine.cores())}))
"""Of the sweep."""
NOISY = 1.3
"""p90 over p50 of a single stream above which the machine is said to be noisy."""


@dataclass(frozen=True)
class Report:
    """What `stargan-rt bench` prints.

    Attributes:
        about: engine, machine and settings.
        single_stream: latency of one caller.
        parts: of a call of the single stream: copies, network, host; profiled, so a little slower.
        images_a_second: batch size → offline throughput.
        streams: callers at once → images a second and their latency.
        lanes: lanes of an engine, with as many callers → images a second.
        cold_start: ms of import, load and first translation in a fresh process.
        peak_memory_mib: of this process.
        warnings: why the figures may be off.
        times_ms: every call of the single stream.
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
        """JSON-ready, without the single times."""
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
        """For the terminal."""
        one, parts = self.single_stream, self.parts
        cold = ", ".join(f"{name.removesuffix('_ms')} {ms:.0f}" for name, ms in self.cold_start.items())
        return [
            ", ".join(f"{key} {value}" for key, value in self.about.items()),
            f"single stream, array to array, {one.calls} calls: p50 {one.p50_ms:.2f}  p90 {one.p90_ms:.2f}  "
            f"p95 {one.p95_ms:.2f}  p99 {one.p99_ms:.2f}  min {one.min_ms:.2f}  mean {one.mean_ms:.2f} ms",
            f"parts in ms: host to device {parts.h2d_ms:.3f}, network {parts.compute_ms:.3f}, device to host "
            f"{parts.d2h_ms:.3f}, host {parts.host_ms:.3f}",
            "offline, images a second by batch: " + ", ".join(f"{n}: {s:.1f}" for n, s in self.images_a_second.items()),
            "callers at once, images a second (p99 ms): "
            + ", ".join(f"{n}: {speed:.1f} ({seen.p99_ms:.1f})" for n, (speed, seen) in self.streams.items()),
            "lanes with as many callers, images a second: " + ", ".join(f"{n}: {s:.1f}" for n, s in self.lanes.items()),
            f"cold start in ms: {cold}",
            f"peak memory {self.peak_memory_mib:.0f} MiB" if self.peak_memory_mib else "peak memory not known",
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def plot(self, path: Path) -> None:
        """Latency distribution and throughput by batch.

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
        right.set(xlabel="batch", ylabel="images a second", title="offline", ylim=(0, None))
        with written_whole(path) as temporary:
            figure.savefig(temporary)


def figure_class() -> type[Any]:
    """matplotlib's, which the package itself does not need.

    Raises:
        MissingDependencyError: it is not installed.
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
    """Runs every scenario.

    Args:
        engine: loaded from `path`.
        path: to load it again, with other lanes and in fresh processes.
        config: what to measure.
        threads: that it was loaded with.
        progress: is told which scenario runs.
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
    progress("callers at once")
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
        "system": platform.system(),
    }
    warnings = doubts(latency, parts)
    memory = scenarios.peak_memory_mib()
    return Report(about, latency, parts, throughput, parallel, laned, cold, memory, warnings, times)


def doubts(latency: Latency, parts: CallTimes) -> list[str]:
    """Why the figures may not be those of the network."""
    found = []
    if latency.p90_ms > NOISY * latency.p50_ms:
        found.append(
            f"noisy machine: p90 is {latency.p90_ms / latency.p50_ms:.2f} times p50; stop other programs and repeat"
        )
    if latency.calls < 200:
        found.append(f"only {latency.calls} calls: percentiles beyond p90 mean little; give more --seconds")
    if parts.h2d_ms + parts.d2h_ms > parts.compute_ms:
        found.append("bound by transfers: copying takes longer than the network; pass arrays that lie on the GPU")
    if parts.host_ms > parts.compute_ms:
        found.append("bound by the host: its work takes longer than the network; translate several images at a time")
    return found
