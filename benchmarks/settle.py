"""Warming up until times settle: clocks rise, and TensorRT-RTX replaces general kernels by specialised ones."""

from __future__ import annotations

import time
from collections.abc import Callable

from stargan_rt.timing import median_ms

CALLS = 20
"""Calls in a window whose median is compared with that of the window before."""
TOLERANCE = 0.02
SETTLE_S = {"tensorrt": 1.0, "tensorrt-rtx": 10.0}
"""Backend → least seconds before it is timed: TensorRT-RTX compiles specialised kernels in the background."""


def settle(call: Callable[[], object], least_s: float = 1.0, most_s: float = 30.0, calls: int = CALLS) -> bool:
    """Call until the median of a window differs by less than 2 % from the last one, twice in a row.

    Args:
        call: what is to be timed afterwards.
        least_s: least seconds, as of `SETTLE_S`.
        most_s: seconds after which it gives up.
        calls: number of calls in a window.

    Returns:
        Whether the times have settled.
    """
    start, last, steady = time.perf_counter(), 0.0, 0
    while (seconds := time.perf_counter() - start) < most_s:
        ms = median_ms(call, calls, warm_up=0)
        steady = steady + 1 if abs(ms - last) <= TOLERANCE * ms else 0
        if steady >= 2 and seconds >= least_s:
            return True
        last = ms
    return False
