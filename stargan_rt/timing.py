"""Latency measurement; every published latency comes from here."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


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


def in_turns(
    turns: Mapping[K, Callable[[], V]],
    rounds: int,
    *,
    warm_up: int = 0,
    progress: Callable[[int, int], object] = lambda *_: None,
    seed: int = 0,
) -> dict[K, list[V]]:
    """Call everything once in each round, so that a busy machine slows all alike.

    The order changes from round to round, so that nothing always follows the same neighbour.

    Args:
        turns: what is compared; each call measures something and returns it.
        rounds: number of rounds that count.
        warm_up: number of rounds before them whose results are dropped.
        progress: called with the number of rounds done and the number of all rounds.
        seed: seed of the order.

    Returns:
        What each call returned, one value a round.
    """
    shuffle, total = random.Random(seed).shuffle, warm_up + rounds
    results: dict[K, list[V]] = {key: [] for key in turns}
    for number in range(total):
        progress(number, total)
        order = list(turns)
        shuffle(order)
        for key in order:
            value = turns[key]()
            if number >= warm_up:
                results[key].append(value)
    progress(total, total)
    return results


def compare_latency(
    ours: Callable[[], object], other: Callable[[], object], *, rounds: int = 7, calls: int = 6
) -> tuple[float, float, float]:
    """Time two calls in turns, so that a busy machine slows both down alike.

    Returns:
        The median time of each call in milliseconds, and the speed-up of `ours` over `other`: the median over the
        rounds of the ratio of their times.
    """
    turns = {name: partial(median_ms, call, calls, warm_up=0) for name, call in (("ours", ours), ("other", other))}
    ms = in_turns(turns, rounds, warm_up=1)
    ratios = np.divide(ms["other"], ms["ours"])
    return float(np.median(ms["ours"])), float(np.median(ms["other"])), float(np.median(ratios))


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


def median_ms(call: Callable[[], object], calls: int, *, warm_up: int = 1) -> float:
    """Return the median ms of some calls; those of `warm_up` fill the caches and are not counted."""
    return float(np.median(call_times(call, warm_up=warm_up, max_calls=calls, max_seconds=math.inf)))
