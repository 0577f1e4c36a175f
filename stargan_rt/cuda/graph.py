"""Capturing what is put on a stream as a CUDA graph, and the fallback where that fails."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""Captures of an engine that may fail before it stops trying."""


class Capturing:
    """Whether the lanes of an engine capture graphs, and if not, why.

    Attributes:
        allowed: whether the next call may be captured.
    """

    def __init__(self, allowed: bool = True) -> None:
        self.allowed = allowed
        self._failures = 0
        self._reason = ""

    def failed(self, error: BaseException) -> None:
        """Count a capture that failed; after `ATTEMPTS` of them, stop capturing and say so in a warning."""
        self._failures += 1
        self._reason = f"{type(error).__name__}: {error}"
        if self.allowed and self._failures >= ATTEMPTS:
            self.allowed = False
            logger.warning(
                "CUDA refused to capture the network as a graph %d times (the last time: %s); from now on every call "
                "launches its kernels one by one, which is slower",
                self._failures,
                self._reason,
            )

    def describe(self) -> str:
        """Return how calls are launched, for `stargan_rt.profiling.Profile.launching`."""
        if self.allowed:
            return "CUDA graphs"
        return f"kernel by kernel, since capturing failed ({self._reason})" if self._reason else "kernel by kernel"


def capture(stream: Any, put: Callable[[Any], None]) -> Any:
    """Return a graph of what `put` puts on the stream, ready to be launched on it; nothing is executed.

    The graph names the addresses that it was captured with and owns none of them: they must outlive it.

    Args:
        stream: of cuda.core; work in progress on it is not touched.
        put: is called with what takes the stream's place during the capture.

    Raises:
        Exception: CUDA or the network refused; the stream is usable again.
    """
    builder = stream.create_graph_builder()
    try:
        with _no_collection():
            # In this mode, other threads may allocate and synchronise during the capture.
            builder.begin_building("thread_local")
            put(builder)
            graph = builder.end_building().complete()
    except BaseException:
        with contextlib.suppress(Exception):  # it ends the capture, and raises if that had failed
            builder.close()
        raise
    builder.close()
    graph.upload(stream)
    return graph


_collecting = threading.Lock()
_captures = 0
_enabled_before = False


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from running: freeing memory of the GPU would invalidate the capture."""
    global _captures, _enabled_before
    with _collecting:
        if _captures == 0:
            _enabled_before = gc.isenabled()
            gc.disable()
        _captures += 1
    try:
        yield
    finally:
        with _collecting:
            _captures -= 1
            if _captures == 0 and _enabled_before:
                gc.enable()
