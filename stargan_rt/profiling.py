"""Where the time of a call goes, on request."""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from statistics import median
from typing import Any


class _Local(threading.local):
    stages: Stages | None = None


_local = _Local()


@dataclass
class Stages:
    """Milliseconds of a call's stages, as far as it has come.

    Attributes:
        h2d_ms: images and labels into the network's memory on the device.
        compute_ms: the network.
        d2h_ms: the result out of it.
    """

    h2d_ms: float = 0.0
    compute_ms: float = 0.0
    d2h_ms: float = 0.0

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Counts the time spent inside as computing: for backends that copy nothing."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.compute_ms += (time.perf_counter() - began) * 1e3


@dataclass(frozen=True)
class CallTimes:
    """Milliseconds of one call.

    Attributes:
        h2d_ms: copying to the device; within it, for arrays that are there already. 0 on a CPU.
        compute_ms: the network.
        d2h_ms: copying back. 0 on a CPU.
        host_ms: everything else: decoding, resizing, labels, launching and waiting.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    host_ms: float


@dataclass
class Profile:
    """What `Engine.profile` gathers.

    Attributes:
        calls: the times of each call that ended, in the order in which they did.
        memory_bytes: what the backend holds and what is left, when the profile ended: ``"pinned"``, ``"device"``
            (buffers and scratch; not the weights), ``"free"`` and ``"total"``; empty on a CPU.
    """

    calls: list[CallTimes] = field(default_factory=list)
    memory_bytes: Mapping[str, int] = field(default_factory=dict)

    def median(self) -> CallTimes:
        """The median of every stage for itself.

        Raises:
            ValueError: no call has ended.
        """
        if not self.calls:
            raise ValueError("no call was made while profiling")
        return CallTimes(*(median(getattr(call, stage.name) for call in self.calls) for stage in fields(CallTimes)))

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """A call of this thread, which is counted if it succeeds."""
        stages = _local.stages = Stages()
        began = time.perf_counter()
        try:
            with span("translate"):
                yield
        finally:
            _local.stages = None
        total_ms = (time.perf_counter() - began) * 1e3
        inside_ms = stages.h2d_ms + stages.compute_ms + stages.d2h_ms
        self.calls.append(CallTimes(stages.h2d_ms, stages.compute_ms, stages.d2h_ms, total_ms - inside_ms))


def current() -> Stages | None:
    """What this thread's call is to fill in, while it is profiled."""
    return _local.stages


def span(name: str) -> contextlib.AbstractContextManager[Any]:
    """A named range for Nsight Systems, where the package nvtx is installed; else nothing."""
    nvtx = _nvtx()
    return nvtx.annotate(name, domain="stargan_rt") if nvtx else contextlib.nullcontext()


@functools.cache
def _nvtx() -> Any:
    try:
        return importlib.import_module("nvtx")
    except ImportError:
        return None
