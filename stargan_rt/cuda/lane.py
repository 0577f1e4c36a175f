"""A lane: one stream, with everything that a batch needs on its way through the GPU."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stargan_rt import profiling
from stargan_rt.cuda.graph import Capturing, capture
from stargan_rt.cuda.lru import LRU
from stargan_rt.cuda.memory import DeviceMemory, Lent, Memory, Slots
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED

BATCH_SIZES = 8
"""Batch sizes that a lane keeps ready; another takes the place of the one that was used longest ago."""
LABEL_SLOTS = 16
"""Calls with arrays on the GPU that may be in progress on a lane before the host waits for the oldest."""


class Network(Protocol):
    """What a lane executes, for one batch size: set up once, then enqueued any number of times.

    Tensors are those of the ONNX contract: ``image`` and ``translated`` uint8 ``(n, H, W, 3)``, ``label`` float32
    ``(n, c)``. Any method may raise.
    """

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set the shape of an input."""

    def set_address(self, name: str, address: int) -> None:
        """Set where a tensor lies on the device; it stays there as long as the network is used."""

    def enqueue(self, stream: int) -> None:
        """Put the network's kernels on a stream, given as its handle; the stream may be capturing."""


class NetworkSource(Protocol):
    """Where a lane gets its networks: they share what one stream can share."""

    def connect(self, batch: int) -> Network:
        """Return a network for a batch size."""

    def close(self) -> None:
        """Free what they shared; none of them is used any more."""


class Contract(NamedTuple):
    """The shapes of a network.

    Attributes:
        size: (height, width) of the images.
        dim: length of a label.
        smallest, largest: batches that the network takes.
    """

    size: tuple[int, int]
    dim: int
    smallest: int
    largest: int


@dataclass
class _Step:
    """What is ready for a batch size. Its graphs name memory that lives longer: the lane's, or what it keeps alive."""

    network: Network
    uploads: list[tuple[Any, Any]]
    downloads: list[tuple[Any, Any]]
    keeps: object = None
    graphs: dict[bool, Any] = field(default_factory=dict)
    warm: bool = False


class Lane:
    """One stream with its networks, buffers and graphs, for one thread at a time; its context is current in all calls.

    Everything is allocated here and at the first use of a batch size, nothing afterwards. The first batch of a size is
    enqueued kernel by kernel, since TensorRT allocates then; the second is captured, and from then on replayed.

    Attributes:
        stream: of cuda.core; the lane's own.
        pinned_bytes, device_bytes: of the lane's own buffers.
    """

    def __init__(
        self,
        cuda: Any,
        device: Any,
        memory: DeviceMemory,
        stream: Any,
        source: NetworkSource,
        contract: Contract,
        capturing: Capturing,
    ) -> None:
        """Allocate the buffers and connect the smallest batch.

        Args:
            cuda: the module ``cuda.core``.
            device: of it. An integrated GPU reads and writes the pinned memory where it lies.
            memory: of the device.
            stream: on which everything happens; the lane closes it.
            source: of networks; the lane closes it.
            contract: what they take.
            capturing: shared by the lanes of an engine.
        """
        self._cuda, self.stream, self._source = cuda, stream, source
        self.smallest, self.largest = contract.smallest, contract.largest
        self.mapped = bool(device.properties.integrated)
        self._memory: dict[str, Memory] = {}
        self._capturing = capturing
        self._unfinished = False
        # Closed one by one on failure: cuda.core hides the error if an exception destroys a pinned buffer on its way.
        with contextlib.ExitStack() as undo:
            undo.callback(stream.close)
            undo.callback(source.close)
            for name, item, dtype in (
                (IMAGE, (*contract.size, 3), np.uint8),
                (LABEL, (contract.dim,), np.float32),
                (TRANSLATED, (*contract.size, 3), np.uint8),
            ):
                self._memory[name] = Memory(cuda, memory, stream, self.largest, item, dtype, self.mapped)
                undo.callback(self._memory[name].close)
            self._slots = Slots(cuda, device, LABEL_SLOTS, self.largest * contract.dim, np.float32)
            undo.callback(self._slots.close)
            self._image, self._label, self._translated = (self._memory[name] for name in (IMAGE, LABEL, TRANSLATED))
            self._done = device.create_event(options=cuda.EventOptions())
            self._marks = [device.create_event(options=cuda.EventOptions(timing_enabled=True)) for _ in range(4)]
            self._steps: LRU[tuple[int, Lent | None], _Step] = LRU(BATCH_SIZES, self._connect, self._drop)
            self._steps.get((self.smallest, None))  # so that running out of memory fails here and not in a later call
            undo.pop_all()
        self.pinned_bytes = sum(part.pinned_bytes for part in self._memory.values()) + self._slots.nbytes
        self.device_bytes = sum(part.device_bytes for part in self._memory.values())

    def run(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels, lent: Lent | None = None) -> None:
        """Translate a batch from host to host, and wait for it.

        Args:
            images: uint8 ``(n, H, W, 3)``, n at most `largest`.
            labels: float32 ``(n, c)``.
            out: uint8 ``(n, H, W, 3)``; it may be `images`.
            lent: pinned memory, where `images` and `out` are its arrays; they are not copied then.
        """
        count = len(images)
        # Rows past ours hold what was there before; nobody reads their result.
        step = self._steps.get((max(count, self.smallest), lent))
        if self.mapped and self._unfinished:
            self.stream.sync()  # calls with arrays on the GPU may still use this very memory
            self._unfinished = False
        if lent is None:
            self._image.array[:count] = images
        self._label.array[:count] = labels
        stages = profiling.current()
        if stages is None:
            self._launch(step, copies=True)
            self.stream.sync()
        else:
            self._run_in_stages(step, stages)
        if lent is None:
            out[:] = self._translated.array[:count]

    def begin(self, ready: Any) -> None:
        """Let the lane wait for an event of the caller's stream; the host does not wait."""
        self.stream.wait(ready)

    def run_on_device(self, source: Any, labels: npt.NDArray[np.float32], target: Any) -> None:
        """Put a batch that stays on the device on the stream; the host does not wait, except when profiled.

        The images pass through the lane's own memory, since graphs name that, and since TensorRT needs addresses that
        part of an array may not have.

        Args:
            source: buffer of n images, or of one, which then goes with all labels.
            labels: float32 ``(n, c)``, n at most `largest`; copied at once.
            target: buffer of n images; it may be `source`.
        """
        count = len(labels)
        step = self._steps.get((max(count, self.smallest), None))
        self._unfinished = True
        stages = profiling.current()
        self._mark(stages, 0)
        repeats = count if int(source.size) == self._image.item_bytes else 1
        for row in range(repeats):
            source.copy_to(self._image.rows(row, count // repeats), stream=self.stream)
        self._slots.upload(labels, self._label.rows(0, count), self.stream)
        self._mark(stages, 1)
        self._launch(step, copies=False)
        self._mark(stages, 2)
        self._translated.rows(0, count).copy_to(target, stream=self.stream)
        self._mark(stages, 3)
        if stages is not None:
            self._read_marks(stages)

    def end(self, caller: Any) -> None:
        """Let the stream `caller` wait for what the lane has been given; the host does not wait."""
        self.stream.record(self._done)
        caller.wait(self._done)

    def sync(self) -> None:
        """Wait until no work is in progress."""
        self.stream.sync()

    def close(self) -> None:
        """Wait for the work in progress, then free everything."""
        self.stream.sync()
        self._steps.clear()  # the graphs before the memory that they name
        self._source.close()
        for memory in self._memory.values():
            memory.close()
        self._slots.close()
        for event in (self._done, *self._marks):
            event.close()
        self.stream.sync()  # memory of a pool is freed in the order of the stream
        self.stream.close()

    def _connect(self, key: tuple[int, Lent | None]) -> _Step:
        batch, lent = key
        network = self._source.connect(batch)
        image, translated = self._image.address, self._translated.address
        if lent is not None and lent.addresses is not None:
            image, translated = lent.addresses
        network.set_address(IMAGE, image)
        network.set_address(LABEL, self._label.address)
        network.set_address(TRANSLATED, translated)
        network.set_shape(IMAGE, (batch, *self._image.item))
        network.set_shape(LABEL, (batch, *self._label.item))
        if self.mapped:
            return _Step(network, [], [], lent)
        into = lent.image if lent is not None else self._image.host(batch)
        out_of = lent.translated if lent is not None else self._translated.host(batch)
        uploads = [(into, self._image.rows(0, batch)), (self._label.host(batch), self._label.rows(0, batch))]
        return _Step(network, uploads, [(self._translated.rows(0, batch), out_of)], lent)

    def _drop(self, step: _Step) -> None:
        self.stream.sync()  # calls that nobody waited for
        for graph in step.graphs.values():
            graph.close()

    def _launch(self, step: _Step, copies: bool) -> None:
        """Put a batch on the stream, with the copies from and to the host or without."""
        graph = step.graphs.get(copies)
        if graph is None and step.warm and self._capturing.allowed:
            try:
                graph = step.graphs[copies] = capture(self.stream, lambda stream: self._put(step, copies, stream))
            except Exception as error:  # cuda.core's exceptions derive from nothing narrower
                self._capturing.failed(error)
        if graph is not None:
            graph.launch(self.stream)
        else:
            self._put(step, copies, self.stream)
        step.warm = True

    def _put(self, step: _Step, copies: bool, stream: Any) -> None:
        if copies:
            for host, device in step.uploads:
                host.copy_to(device, stream=stream)
        # A graph builder captures the very stream that it was made of.
        step.network.enqueue(int(self.stream.handle))
        if copies:
            for device, host in step.downloads:
                device.copy_to(host, stream=stream)

    def _run_in_stages(self, step: _Step, stages: profiling.Stages) -> None:
        """Do what `_launch` does with copies, timed: they are not part of the graph then."""
        self._mark(stages, 0)
        with profiling.span("copy in"):
            for host, device in step.uploads:
                host.copy_to(device, stream=self.stream)
        self._mark(stages, 1)
        with profiling.span("network"):
            self._launch(step, copies=False)
        self._mark(stages, 2)
        with profiling.span("copy out"):
            for device, host in step.downloads:
                device.copy_to(host, stream=self.stream)
        self._mark(stages, 3)
        self._read_marks(stages)

    def _mark(self, stages: profiling.Stages | None, number: int) -> None:
        if stages is not None:
            self.stream.record(self._marks[number])

    def _read_marks(self, stages: profiling.Stages) -> None:
        self._marks[3].sync()
        stages.h2d_ms += self._marks[1] - self._marks[0]
        stages.compute_ms += self._marks[2] - self._marks[1]
        stages.d2h_ms += self._marks[3] - self._marks[2]
