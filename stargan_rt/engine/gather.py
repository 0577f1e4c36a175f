"""Joining images that wait at the same time into batches, for backends that are faster with them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stargan_rt.images import Pixels

Passes: TypeAlias = list[npt.NDArray[np.float32]]
"""Label vectors ``(c,)`` of one image, applied one after the other."""


class _Item(NamedTuple):
    pixels: Pixels
    passes: Passes
    future: Future[Pixels]


class Gatherer:
    """Runs single images in batches of those that are waiting.

    A batch starts as soon as a runner is free, with the images that wait then: a single image is never held back for
    others, and images that arrive while the runners are busy share the next batch. Their labels may differ, since
    labels are rows of a batch.
    """

    def __init__(self, run: Callable[[list[Pixels], list[Passes]], Pixels], largest: int, runners: int) -> None:
        """Start no thread yet.

        Args:
            run: translates images of the network's size: uint8 ``(H, W, 3)`` each → uint8 ``(n, H, W, 3)``.
            largest: the largest batch.
            runners: number of batches that may run concurrently.
        """
        self._run, self._largest = run, largest
        self._waiting: deque[_Item] = deque()
        self._lock = threading.Lock()
        self._runners = ThreadPoolExecutor(runners, "stargan-rt-batch")

    def submit(self, pixels: Pixels, passes: Passes) -> Future[Pixels]:
        """Translate an image uint8 ``(H, W, 3)`` with the next batch; the Future holds a fresh array of its shape."""
        item = _Item(pixels, passes, Future())
        with self._lock:
            self._waiting.append(item)
        self._runners.submit(self._run_waiting)
        return item.future

    def close(self) -> None:
        """Wait until no image is waiting and no batch is running."""
        self._runners.shutdown(wait=True)

    def _run_waiting(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest))]
        if not batch:
            return  # an earlier batch took them
        try:
            results = self._run([item.pixels for item in batch], [item.passes for item in batch])
        except BaseException as error:
            for item in batch:
                item.future.set_exception(error)
            return
        for item, result in zip(batch, results, strict=True):
            # A copy, so that one result does not keep the whole batch in memory.
            item.future.set_result(result.copy() if len(batch) > 1 else result)
