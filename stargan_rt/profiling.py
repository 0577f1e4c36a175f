"""Per-stage timing of calls, switched on by `Engine.profile`."""

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
    """Stage times of the call in progress, in milliseconds.

    Attributes:
        h2d_ms: Copying images and labels from host to device.
        compute_ms: Executing the network.
        d2h_ms: Copying the result from device to host.
    """

    h2d_ms: float = 0.0
    compute_ms: float = 0.0
    d2h_ms: float = 0.0

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Add the time spent in the block to `compute_ms`, for backends without a device."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.compute_ms += (time.perf_counter() - began) * 1e3


@dataclass(frozen=True)
class CallTimes:
    """Stage times of one call, in milliseconds.

    Attributes:
        h2d_ms: Copying from host to device, or within the device for arrays that are already there. 0 on a CPU.
        compute_ms: Executing the network.
        d2h_ms: Copying from device to host. 0 on a CPU.
        host_ms: The rest of the call: decoding, resizing, encoding the label, launching and waiting.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    host_ms: float


@dataclass
class Profile:
    """The result of `Engine.profile`.

    Attributes:
        calls: Stage times of each completed call, in order of completion.
        memory_bytes: Memory in use when the profile ended: ``"pinned"`` (host), ``"device"`` (buffers and scratch
            memory, without the weights), ``"free"`` and ``"total"`` of the GPU. Empty on a CPU.
        launching: How calls were launched on a GPU when the profile ended: ``"CUDA graphs"``, or that each kernel was
            launched by itself and why. Empty on a CPU.
    """

    calls: list[CallTimes] = field(default_factory=list)
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    launching: str = ""

    def median(self) -> CallTimes:
        """Return the median of each stage over all calls.

        Raises:
            ValueError: No call was completed.
        """
        if not self.calls:
            raise ValueError("no call was completed while profiling")
        return CallTimes(*(median(getattr(call, stage.name) for call in self.calls) for stage in fields(CallTimes)))

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Time one call of this thread; it is added to `calls` if it succeeds."""
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
    """Return the stage times that the current call of this thread fills in, or None while no profile is active."""
    return _local.stages


def span(name: str) -> contextlib.AbstractContextManager[Any]:
    """Return a named NVTX range for Nsight Systems, or a null context if the package nvtx is not installed."""
    nvtx = _nvtx()
    return nvtx.annotate(name, domain="stargan_rt") if nvtx else contextlib.nullcontext()


@functools.cache
def _nvtx() -> Any:
    try:
        return importlib.import_module("nvtx")
    except ImportError:
        return None
