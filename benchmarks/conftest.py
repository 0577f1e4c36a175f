"""What the suite's benchmarks share: a fixture that times a call in turns with a yardstick."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

R = TypeVar("R")
ROUNDS = 40
"""Unless a benchmark says otherwise: a call and its yardstick take a few milliseconds."""


class Against:
    """Benchmarks a call, and notes its time as a multiple of a yardstick's: `extra_info["ratio"]`.

    The yardstick is timed right before every round of the call, so that the machine, and whatever else it
    has to do, slows both; the ratio is the median of the rounds' own. Calls of microseconds are to be
    given as a loop of many, of a millisecond or so.
    """

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self._benchmark = benchmark

    def __call__(self, call: Callable[[], R], yardstick: Callable[[], object], rounds: int = ROUNDS) -> R:
        """Returns what `call` returned last."""
        yardsticks: list[float] = []
        calls: list[float] = []

        def before() -> None:
            start = time.perf_counter()
            yardstick()
            yardsticks.append(time.perf_counter() - start)

        def timed() -> R:
            start = time.perf_counter()
            result = call()
            calls.append(time.perf_counter() - start)
            return result

        warm_up = max(1, rounds // 8)
        result: R = self._benchmark.pedantic(timed, setup=before, rounds=rounds, warmup_rounds=warm_up)
        if self._benchmark.enabled:
            ratios = np.divide(calls, yardsticks)[warm_up:]
            self._benchmark.extra_info["ratio"] = float(np.median(ratios))
        return result


@pytest.fixture
def against(benchmark: BenchmarkFixture) -> Against:
    return Against(benchmark)
