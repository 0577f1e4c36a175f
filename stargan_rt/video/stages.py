"""Stages that run in threads of their own, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

DEPTH = 4
"""Items that may wait between two stages."""
_POLL_S = 0.1


@dataclass
class StageTime:
    """What a stage spent.

    Attributes:
        name: of the stage.
        seconds: spent working, without waiting for other stages.
        items: number of items that it handled.
    """

    name: str
    seconds: float = 0.0
    items: int = 0

    @property
    def ms(self) -> float:
        """Milliseconds an item."""
        return 1e3 * self.seconds / max(self.items, 1)


class Stages(Generic[Item]):
    """A source, stages, and a sink that runs in the calling thread; items keep their order.

    Args:
        source: yields the items; what it takes is counted as its time.
        stages: name and function of each stage; it changes the item and returns nothing.
        newest: of items that wait for the first stage, keep only the newest one, as for a camera.
        counts: whether an item counts in the times.
    """

    def __init__(
        self,
        source: tuple[str, Iterable[Item]],
        stages: Sequence[tuple[str, Callable[[Item], None]]],
        *,
        newest: bool = False,
        counts: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        self.times = [StageTime(name) for name in (source[0], *(name for name, _ in stages))]
        self.dropped = 0
        self._newest, self._counts = newest, counts
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._queues: list[queue.Queue[Item | None]] = [
            queue.Queue(1 if newest and not number else DEPTH) for number in range(len(stages) + 1)
        ]
        self._threads = [threading.Thread(target=self._feed, args=(source[1],), name=source[0], daemon=True)]
        for number, (name, work) in enumerate(stages):
            thread = threading.Thread(target=self._stage, args=(number, work), name=name, daemon=True)
            self._threads.append(thread)

    def results(self) -> Iterator[Item]:
        """Run the stages and yield what comes out of the last one.

        Raises:
            BaseException: the first error of the source or a stage, after the items before it were yielded.
        """
        for thread in self._threads:
            thread.start()
        try:
            while (item := self._get(self._queues[-1])) is not None:
                yield item
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(5)
        if self._error is not None:
            raise self._error

    def _feed(self, source: Iterable[Item]) -> None:
        items = iter(source)
        try:
            while not self._stop.is_set():
                began = time.perf_counter()
                item = next(items, None)
                self.times[0].seconds += time.perf_counter() - began
                if item is None:
                    break
                self.times[0].items += self._counts(item)
                self._put(self._queues[0], item, self._newest)
        except BaseException as error:
            self._fail(error)
        finally:
            if close := getattr(items, "close", None):
                close()
            self._put(self._queues[0], None)

    def _stage(self, number: int, work: Callable[[Item], None]) -> None:
        taken, given, spent = self._queues[number], self._queues[number + 1], self.times[number + 1]
        try:
            while (item := self._get(taken)) is not None:
                began = time.perf_counter()
                work(item)
                spent.seconds += time.perf_counter() - began
                spent.items += self._counts(item)
                self._put(given, item)
        except BaseException as error:
            self._fail(error)
        finally:
            self._put(given, None)
            while self._error is not None and not self._stop.is_set() and self._get(taken) is not None:
                pass  # the stages before must not wait for this one

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error

    def _put(self, where: queue.Queue[Item | None], item: Item | None, replace: bool = False) -> None:
        while not self._stop.is_set():
            try:
                where.put(item, timeout=0 if replace else _POLL_S)
                return
            except queue.Full:
                if replace:
                    try:
                        where.get_nowait()
                        self.dropped += 1
                    except queue.Empty:
                        pass

    def _get(self, where: queue.Queue[Item | None]) -> Item | None:
        while not self._stop.is_set():
            try:
                return where.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        return None
