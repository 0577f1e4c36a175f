"""A fixture that times a call in turns with a yardstick."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

R = TypeVar("R")
ROUNDS = 40
"""Rounds of a benchmark, unless it sets another number: a call and its yardstick take a few milliseconds."""


class Against:
    """Benchmarks a call and records its time as a multiple of a yardstick's: `extra_info["ratio"]`.

    The yardstick is timed right before every round of the call, so that a busy machine slows both; the ratio is the
    median of the rounds' ratios. Repeat calls of microseconds in a loop of a millisecond or so.
    """

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self._benchmark = benchmark

    def __call__(self, call: Callable[[], R], yardstick: Callable[[], object], rounds: int = ROUNDS) -> R:
        """Return the last result of `call`."""
        yardsticks: list[float] = []

        def before() -> None:
            start = time.perf_counter()
            yardstick()
            yardsticks.append(time.perf_counter() - start)

        warm_up = max(1, rounds // 8)
        result: R = self._benchmark.pedantic(call, setup=before, rounds=rounds, warmup_rounds=warm_up)
        if stats := self._benchmark.stats:
            ratios = np.divide(stats.stats.data, yardsticks[warm_up:])
            self._benchmark.extra_info["ratio"] = float(np.median(ratios))
        return result


@pytest.fixture
def against(benchmark: BenchmarkFixture) -> Against:
    """Time a call against a yardstick."""
    return Against(benchmark)
