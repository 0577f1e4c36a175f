"""A lane: one stream, with all that a batch needs on its way through the GPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stargan_rt import profiling
from stargan_rt.cuda.graph import Capturing, capture
from stargan_rt.cuda.lru import LRU
from stargan_rt.cuda.memory import Memory, Slots
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED

BATCH_SIZES = 8
"""Sizes of batch that a lane keeps ready; another takes the place of the one that was used longest ago."""
LABEL_SLOTS = 16
"""Calls with arrays on the GPU that may be under way on a lane before the host waits for the oldest."""


class Network(Protocol):
    """What a lane executes, for one batch size: shapes and addresses are told once, then it is enqueued for ever.

    Tensors are those of the ONNX contract: ``image`` and ``translated`` uint8 ``(n, H, W, 3)``, ``label`` float32
    ``(n, c)``. Any method may raise.
    """

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """The shape of an input."""

    def set_address(self, name: str, address: int) -> None:
        """Where a tensor lies on the device; it stays there as long as the network is used."""

    def enqueue(self, stream: int) -> None:
        """Puts the network's kernels on a stream, given as its handle; the stream may be capturing."""


class NetworkSource(Protocol):
    """Where a lane gets its networks: they share what one stream can share."""

    def connect(self) -> Network:
        """A network for another batch size."""

    def close(self) -> None:
        """Frees what they shared; none of them is used any more."""


@dataclass
class _Step:
    """What is ready for a batch size. Its graphs name the lane's memory, which lives longer."""

    network: Network
    uploads: list[tuple[Any, Any]]
    download: tuple[Any, Any]
    graphs: dict[bool, Any] = field(default_factory=dict)
    warm: bool = False


class Lane:
    """One stream with its networks, buffers and graphs, for one thread at a time.

    Everything is allocated here and at the first use of a batch size, nothing afterwards. The first batch of a size is
    enqueued plainly, since TensorRT allocates then; the second is captured, and from then on replayed.

    Attributes:
        stream: of cuda.core, and the lane's own.
        pinned_bytes, device_bytes: of the lane's own buffers.
    """

    def __init__(
        self,
        cuda: Any,
        device: Any,
        stream: Any,
        source: NetworkSource,
        size: tuple[int, int],
        dim: int,
        batches: tuple[int, int],
        capturing: Capturing,
    ) -> None:
        """Allocates the buffers and connects the smallest batch.

        Args:
            cuda: the module ``cuda.core``.
            device: of it, and current.
            stream: on which everything happens; the lane closes it.
            source: of networks; the lane closes it.
            size: (height, width) of the images.
            dim: length of a label.
            batches: the smallest and the largest that the network takes.
            capturing: shared by the lanes of an engine.
        """
        self._cuda, self.stream, self._source = cuda, stream, source
        self.smallest, self.largest = batches
        self._dim = dim
        self._memory = {
            name: Memory(cuda, device, stream, self.largest, item, dtype)
            for name, item, dtype in (
                (IMAGE, (*size, 3), np.uint8),
                (LABEL, (dim,), np.float32),
                (TRANSLATED, (*size, 3), np.uint8),
            )
        }
        self._slots = Slots(cuda, device, LABEL_SLOTS, self.largest * dim, np.float32)
        self._ready, self._done = (device.create_event(options=cuda.EventOptions()) for _ in range(2))
        self._marks = [device.create_event(options=cuda.EventOptions(timing_enabled=True)) for _ in range(4)]
        self._capturing = capturing
        self.pinned_bytes = sum(memory.nbytes for memory in self._memory.values()) + self._slots.nbytes
        self.device_bytes = sum(memory.nbytes for memory in self._memory.values())
        self._steps: LRU[int, _Step] = LRU(BATCH_SIZES, self._connect, self._drop)
        self._steps.get(self.smallest)  # what it takes of the GPU's memory is missed now or never

    def run(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        """Translates a batch from host to host, and waits for it.

        Args:
            images: uint8 ``(n, H, W, 3)``, n at most `largest`.
            labels: float32 ``(n, c)``.
            out: uint8 ``(n, H, W, 3)``; it may be `images`.
        """
        count = len(images)
        # Rows past ours hold what was there before; nobody reads their result.
        step = self._steps.get(max(count, self.smallest))
        self._memory[IMAGE].array[:count] = images
        self._memory[LABEL].array[:count] = labels
        stages = profiling.current()
        if stages is None:
            self._launch(step, copies=True)
            self.stream.sync()
        else:
            self._run_in_stages(step, stages)
        out[:] = self._memory[TRANSLATED].array[:count]

    def begin(self, caller: Any) -> None:
        """Lets the lane go on when the stream `caller` has come to this point; the host does not wait."""
        caller.record(self._ready)
        self.stream.wait(self._ready)

    def run_on_device(self, source: Any, labels: npt.NDArray[np.float32], target: Any) -> None:
        """Puts a batch on the stream that stays on the device; the host does not wait, but when profiled.

        The images pass through the lane's own memory, since graphs name that, and since TensorRT wants addresses that
        an array's part may not have.

        Args:
            source: buffer of n images, or of one, which then goes with all labels.
            labels: float32 ``(n, c)``, n at most `largest`; copied at once.
            target: buffer of n images; it may be `source`.
        """
        count = len(labels)
        step = self._steps.get(max(count, self.smallest))
        images, translated = self._memory[IMAGE], self._memory[TRANSLATED]
        stages = profiling.current()
        self._mark(stages, 0)
        repeats = count if int(source.size) == images.item_bytes else 1
        for row in range(repeats):
            source.copy_to(images.rows(row, count // repeats), stream=self.stream)
        self._slots.upload(labels, self._memory[LABEL].rows(0, count), self.stream)
        self._mark(stages, 1)
        self._launch(step, copies=False)
        self._mark(stages, 2)
        translated.rows(0, count).copy_to(target, stream=self.stream)
        self._mark(stages, 3)
        if stages is not None:
            self._read_marks(stages)

    def end(self, caller: Any) -> None:
        """Lets the stream `caller` go on when the lane has come to this point; the host does not wait."""
        self.stream.record(self._done)
        caller.wait(self._done)

    def sync(self) -> None:
        """Waits until nothing is under way."""
        self.stream.sync()

    def close(self) -> None:
        """Waits for what is under way, then frees everything."""
        self.stream.sync()
        self._steps.clear()  # the graphs before the memory that they name
        self._source.close()
        for memory in self._memory.values():
            memory.close()
        self._slots.close()
        for event in (self._ready, self._done, *self._marks):
            event.close()
        self.stream.close()

    def _connect(self, batch: int) -> _Step:
        network = self._source.connect()
        for name, memory in self._memory.items():
            network.set_address(name, memory.address)
            if name != TRANSLATED:
                network.set_shape(name, (batch, *memory.item))
        host, device = self._memory[TRANSLATED].parts(batch)
        return _Step(network, [self._memory[name].parts(batch) for name in (IMAGE, LABEL)], (device, host))

    def _drop(self, step: _Step) -> None:
        self.stream.sync()  # calls that nobody waited for
        for graph in step.graphs.values():
            graph.close()

    def _launch(self, step: _Step, copies: bool) -> None:
        """Puts a batch on the stream, with the copies from and to the host or without."""
        graph = step.graphs.get(copies)
        if graph is None and step.warm and self._capturing.allowed:
            try:
                graph = step.graphs[copies] = capture(self.stream, lambda stream: self._put(step, copies, stream))
            except Exception as error:  # cuda.core's exceptions derive from nothing narrower
                self._capturing.refused(error)
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
            device, host = step.download
            device.copy_to(host, stream=stream)

    def _run_in_stages(self, step: _Step, stages: profiling.Stages) -> None:
        """As `_launch` with copies, timed: they are not part of the graph then."""
        self._mark(stages, 0)
        with profiling.span("copy in"):
            for host, device in step.uploads:
                host.copy_to(device, stream=self.stream)
        self._mark(stages, 1)
        with profiling.span("network"):
            self._launch(step, copies=False)
        self._mark(stages, 2)
        with profiling.span("copy out"):
            device, host = step.download
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
