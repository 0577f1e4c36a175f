"""Execution contexts of a plan for the lanes, and what TensorRT-RTX keeps between runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stargan_rt.cuda.memory import DeviceMemory
from stargan_rt.errors import InputError
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from stargan_rt.manifest import IMAGE

logger = logging.getLogger(__name__)


class Context:
    """A batch size on an execution context: a `stargan_rt.cuda.lane.Network`."""

    def __init__(self, context: Any, shared: bool) -> None:
        """Use an execution context, which other batch sizes may share."""
        self._context, self._shared = context, shared
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self._shapes[name] = shape
        succeed(self._context.set_input_shape(name, shape), f"{name} of {shape[0]}")

    def set_address(self, name: str, address: int) -> None:
        self._addresses[name] = address
        succeed(self._context.set_tensor_address(name, address), f"the address of {name}")

    def enqueue(self, stream: int) -> None:
        if self._shared:  # another batch size may have been set since
            for name, address in self._addresses.items():
                succeed(self._context.set_tensor_address(name, address), f"the address of {name}")
            for name, shape in self._shapes.items():
                succeed(self._context.set_input_shape(name, shape), f"{name} of {shape[0]}")
        succeed(self._context.execute_async_v3(stream_handle=stream), "the execution")


class Contexts:
    """The contexts of one lane: a `stargan_rt.cuda.lane.NetworkSource`.

    TensorRT gets a context for each batch size, since a captured graph goes on reading what its context keeps for its
    shape. They share one scratch memory, since the lane's stream runs them one after the other. TensorRT-RTX gets one
    context for all batch sizes of an optimisation profile, and keeps a graph for each shape by itself.
    """

    def __init__(self, trt: Any, engine: Any, runtime: RuntimeSettings, memory: DeviceMemory, stream: Any) -> None:
        self._trt, self._engine, self._runtime, self._stream = trt, engine, runtime, stream
        self._profiles = profiles(engine)
        self._shared: dict[int, Any] = {}
        self._scratch: Any = None
        self._scratch_bytes = scratch_bytes(engine)
        if self._scratch_bytes and not runtime.captures_itself:
            self._scratch = memory.allocate(self._scratch_bytes, stream)

    def connect(self, batch: int) -> Context:
        profile = fitting(self._profiles, batch)
        if self._runtime.captures_itself:
            if profile not in self._shared:
                self._shared[profile] = self._context(profile, self._runtime.config)
            return Context(self._shared[profile], shared=True)
        if self._scratch is None:
            return Context(self._context(profile), shared=False)
        context = self._context(profile, self._trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        context.set_device_memory(int(self._scratch.handle), self._scratch_bytes)
        return Context(context, shared=False)

    def _context(self, profile: int, *how: Any) -> Any:
        context = self._engine.create_execution_context(*how)
        succeed(context is not None, "the execution context")
        if len(self._profiles) > 1:  # the only one is taken without asking
            selected = context.set_optimization_profile_async(profile, int(self._stream.handle))
            succeed(selected, f"profile {profile}")
        return context

    def close(self) -> None:
        self._shared.clear()
        if self._scratch is not None:
            self._scratch.close(self._stream)


class RuntimeSettings:
    """What TensorRT-RTX does better by itself: capturing graphs, and keeping the kernels it compiles.

    It compiles a plan's kernels on the machine that runs it, general ones first and better ones in the background, and
    captures a graph when the better ones are ready; capturing from outside would keep the general ones for ever.
    TensorRT does none of this.

    Attributes:
        config: for `create_execution_context`; None where there is nothing to set.
        captures_itself: whether the library captures graphs, so that nobody else may.
    """

    def __init__(self, trt: Any, engine: Any, plan: bytes, architecture: str, graphs: bool = True) -> None:
        self.config: Any = None
        self.captures_itself = False
        self._cache: Any = None
        if not hasattr(trt, "CudaGraphStrategy") or not hasattr(engine, "create_runtime_config"):
            return
        self.config = engine.create_runtime_config()
        if graphs:
            self.config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self.captures_itself = True
        if hasattr(self.config, "create_runtime_cache"):
            key = hashlib.sha256(plan + f"{trt.__name__} {trt.__version__} {architecture}".encode()).hexdigest()
            self._path = cache_folder() / "kernels" / f"{key[:32]}.bin"
            self._cache = self.config.create_runtime_cache()
            self._before = self._read()
            # The library checks that the kernels are for this GPU and driver, and ignores them otherwise.
            if self._before:
                self._cache.deserialize(self._before)
            self.config.set_runtime_cache(self._cache)

    def close(self) -> None:
        """Keep the kernels compiled since for the next time; if they can't be written, log a warning."""
        if self._cache is None:
            return
        data = bytes(memoryview(self._cache.serialize()))
        if data != self._before:
            try:
                with written_whole(self._path, CACHE_HINT) as temporary:
                    temporary.write_bytes(data)
            except InputError as error:
                logger.warning("compiled kernels are not kept for the next time: %s", error)
        self._cache = self.config = None

    def _read(self) -> bytes:
        try:
            return Path(self._path).read_bytes()
        except OSError:
            return b""


def profiles(engine: Any) -> list[tuple[int, int, int]]:
    """Return the optimisation profiles of a plan as (smallest, tuned, largest) batch."""
    fixed = int(engine.get_tensor_shape(IMAGE)[0])
    if fixed != -1:
        return [(fixed, fixed, fixed)]
    shapes = (engine.get_tensor_profile_shape(IMAGE, i) for i in range(engine.num_optimization_profiles))
    return [(int(smallest[0]), int(tuned[0]), int(largest[0])) for smallest, tuned, largest in shapes]


def fitting(profiles: Sequence[tuple[int, int, int]], batch: int) -> int:
    """Return the index of the profile for a batch: of those that take it, the one tuned for the nearest batch.

    Raises:
        RuntimeError: no profile takes the batch.
    """
    takes = [i for i, (smallest, _, largest) in enumerate(profiles) if smallest <= batch <= largest]
    succeed(bool(takes), f"a batch of {batch}, for which the plan has no profile")
    return min(takes, key=lambda i: (abs(profiles[i][1] - batch), profiles[i][2] - profiles[i][0]))


def scratch_bytes(engine: Any) -> int:
    """Return the bytes that each lane needs on the device in addition to its buffers."""
    return int(getattr(engine, "device_memory_size_v2", 0))


def succeed(status: bool, what: str) -> None:
    """Raise an exception where TensorRT returned False."""
    if not status:
        raise RuntimeError(f"TensorRT refused {what}")
