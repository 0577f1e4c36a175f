"""Capturing what is put on a stream as a CUDA graph, and the fallback where that is refused."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Capturing:
    """Whether the lanes of an engine capture graphs: until one is refused, which is told once and loudly."""

    def __init__(self, allowed: bool = True) -> None:
        self.allowed = allowed

    def refused(self, error: BaseException) -> None:
        """Ends capturing for all lanes that share this."""
        if self.allowed:
            self.allowed = False
            logger.warning(
                "CUDA refused to capture the network as a graph (%s: %s); every call launches its kernels one by one "
                "from now on, which is slower",
                type(error).__name__,
                error,
            )


def capture(stream: Any, put: Callable[[Any], None]) -> Any:
    """A graph of what `put` puts on the stream, ready to be launched on it; nothing is executed.

    The graph names the addresses that it was captured with and owns none of them: they must outlive it.

    Args:
        stream: of cuda.core; work under way on it is not touched.
        put: is called with what takes the stream's place meanwhile.

    Raises:
        Exception: whatever CUDA or the network has against it; the stream is usable again.
    """
    builder = stream.create_graph_builder()
    try:
        # Other threads may allocate and synchronise meanwhile.
        builder.begin_building("thread_local")
        put(builder)
        graph = builder.end_building().complete()
    except BaseException:
        with contextlib.suppress(Exception):  # it ends the capture, and complains of one that failed
            builder.close()
        raise
    builder.close()
    graph.upload(stream)
    return graph
