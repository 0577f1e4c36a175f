"""Latency measurement; every published latency comes from here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Latency:
    """Latency statistics of a call, in milliseconds.

    Attributes:
        calls: Number of calls measured.
        p50_ms, p90_ms, p95_ms, p99_ms: Percentiles.
        mean_ms, min_ms: Mean and minimum.
    """

    calls: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    min_ms: float

    @classmethod
    def of(cls, times_ms: npt.ArrayLike) -> Latency:
        """Summarise the times of single calls, in milliseconds."""
        ms = np.asarray(times_ms, np.float64)
        p50, p90, p95, p99 = (float(p) for p in np.percentile(ms, (50, 90, 95, 99)))
        return cls(len(ms), p50, p90, p95, p99, float(ms.mean()), float(ms.min()))


def compare_latency(
    ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 7, calls: int = 6
) -> tuple[float, float, float]:
    """Time two calls in turns, so that a busy machine slows both down alike.

    Returns:
        The median time of each call in milliseconds, and the speed-up of `ours` over `other`: the median over the
        rounds of the ratio of their times.
    """
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        medians = []
        for call in (ours, other):
            each = []
            for _ in range(calls):
                start = time.perf_counter_ns()
                call()
                each.append((time.perf_counter_ns() - start) / 1e6)
            medians.append(float(np.median(each)))
        times.append((medians[0], medians[1]))
    counted = np.array(times[1:])  # the first round warms up
    our_ms, other_ms = np.median(counted, axis=0)
    return float(our_ms), float(other_ms), float(np.median(counted[:, 1] / counted[:, 0]))


def measure_latency(
    call: Callable[[], object], *, warm_up: int = 10, max_calls: int = 200, max_seconds: float = 3.0
) -> Latency:
    """Time single calls, one after the other (single stream).

    Args:
        call: The function to time.
        warm_up: Number of calls before the measurement starts.
        max_calls, max_seconds: The measurement ends when either is reached.
    """
    return Latency.of(call_times(call, warm_up=warm_up, max_calls=max_calls, max_seconds=max_seconds))


def call_times(
    call: Callable[[], object], *, warm_up: int = 10, max_calls: int = 200, max_seconds: float = 3.0
) -> list[float]:
    """Return the time of each call in milliseconds; arguments as for `measure_latency`."""
    for _ in range(warm_up):
        call()
    times: list[float] = []
    began = time.perf_counter_ns()
    while len(times) < max_calls and time.perf_counter_ns() - began < max_seconds * 1e9:
        start = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times
