"""The lanes of an engine, and how calls are given to them."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.cuda.context import PrimaryContext
from stargan_rt.cuda.graph import Capturing
from stargan_rt.cuda.interop import Border
from stargan_rt.cuda.lane import Contract, Lane, NetworkSource
from stargan_rt.cuda.memory import DeviceMemory, Lent, free_and_total, lend
from stargan_rt.cuda.pool import Pool
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels


class Lanes:
    """Runs networks of one engine on the lanes of one GPU, from any number of threads.

    The calling thread's current context is left as it was. An exception of CUDA or of a network gives its lane up; the
    others go on.
    """

    def __init__(
        self,
        cuda: Any,
        context: PrimaryContext,
        connect: Callable[[Any, DeviceMemory], NetworkSource],
        size: tuple[int, int],
        dim: int,
        batches: tuple[int, int],
        count: int = 1,
        capture: bool = True,
    ) -> None:
        """Make the lanes.

        Args:
            cuda: the module ``cuda.core``.
            context: of the device that everything is on.
            connect: (stream, device memory) → source of networks, for each lane.
            size: (height, width) of the images.
            dim: length of a label.
            batches: the smallest and the largest that the network takes.
            count: number of lanes, at least 1.
            capture: whether calls are captured as graphs; False for networks that do so themselves.

        Raises:
            Exception: CUDA or `connect` failed, for example for lack of memory.
        """
        self._cuda, self._context = cuda, context
        self._contract = Contract(size, dim, *batches)
        self._largest = batches[1]
        self._border = Border(cuda, context, size)
        self._capturing = Capturing(capture)
        self._lent: weakref.WeakValueDictionary[int, Lent] = weakref.WeakValueDictionary()
        self._events: deque[Any] = deque()
        self._mapped = bool(context.device.properties.integrated)
        lanes: list[Lane] = []
        with context.current():
            context.device.set_current()  # what cuda.core wants to have been called in this thread
            self._memory = DeviceMemory(cuda, context.device)
            try:
                for _ in range(count):
                    # Not the default stream: TensorRT would synchronise with everything else on the GPU.
                    stream = context.device.create_stream(options=cuda.StreamOptions(nonblocking=True))
                    source = connect(stream, self._memory)
                    lane = Lane(cuda, context.device, self._memory, stream, source, self._contract, self._capturing)
                    lanes.append(lane)
            except BaseException:
                Pool(lanes).close()
                self._memory.close()
                raise
        self._pool = Pool(lanes)
        self._pinned_bytes = sum(lane.pinned_bytes for lane in lanes)
        self._device_bytes = sum(lane.device_bytes for lane in lanes)

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def left(self) -> int:
        """Number of lanes that have not been given up."""
        return self._pool.left

    def run(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        """Translate images on the host, and wait for them.

        Args:
            images: uint8 ``(n, H, W, 3)``.
            labels: float32 ``(n, c)``.
            out: uint8 ``(n, H, W, 3)``; it may be `images`.
        """
        lent = self._lent_to(images, out) if self._lent else None
        with self._context.current(), self._pool.taken() as lane:
            if len(images) <= self._largest:
                lane.run(images, labels, out, lent)
                return
            for start in range(0, len(images), self._largest):
                part = slice(start, start + self._largest)
                lane.run(images[part], labels[part], out[part])

    def buffers(self) -> tuple[Pixels, Pixels]:
        """Return pinned arrays for an image and its result, uint8 ``(H, W, 3)`` and zeros.

        `run` copies neither of them if it gets both.
        """
        item = (*self._contract.size, 3)
        with self._context.current():
            lent, images, translated = lend(self._cuda, self._context, self._contract.smallest, item, self._mapped)
        images[...], translated[...] = 0, 0
        self._lent[_address(images)] = lent
        return images[0], translated[0]

    def _lent_to(self, images: Pixels, out: Pixels) -> Lent | None:
        lent = self._lent.get(_address(images)) if len(images) == 1 else None
        return lent if lent is not None and _address(out) == int(lent.translated.handle) else None

    def run_on_device(
        self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any = None, stream: Any = None
    ) -> Any:
        """Translate images on the GPU; the host does not wait.

        Args:
            image: of another library, uint8 ``(H, W, 3)`` or ``(n, H, W, 3)`` of the network's size, C-contiguous.
            passes: label vectors ``(c,)`` for all images or ``(n, c)``, applied one after the other.
            out: to be written, of the result's shape; None makes an array of the library of `image`.
            stream: of the caller. The lane waits for what is on it now, and what comes on it later waits for the lane.

        Returns:
            `out` or the new array, to be used on the caller's stream.

        Raises:
            InputError: an array or a stream that can't be used, or lengths that don't fit together.
        """
        with self._context.current():
            return self._run_on_device(image, passes, out, stream)

    def _run_on_device(self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any, stream: Any) -> Any:
        caller, is_ready = self._border.stream(image, stream)
        source = self._border.view(image, "the image", -1 if is_ready else 1)
        shape = tuple(source.shape)
        images = shape[0] if len(shape) == 4 else 1
        labels = max(len(np.atleast_2d(vectors)) for vectors in passes)
        count = max(images, labels)
        if {images, labels} - {1, count}:
            raise InputError(
                f"{images} images and {labels} labels do not fit together; give as many labels as images, or one of "
                "either"
            )
        shape = (count, *shape[-3:]) if len(shape) == 4 or passes[0].ndim == 2 else shape
        # Before a lane is taken: a stream that can't be used is the caller's mistake, and costs nothing.
        ready = self._event()
        try:
            self._border.point(caller, ready)
            if out is None:
                out = self._border.empty(image, shape, caller)
            target = self._border.view(out, "out", -1)
            if tuple(target.shape) != shape or target.readonly:
                state = "read-only" if target.readonly else f"of shape {tuple(target.shape)}"
                raise InputError(f"out is {state}; the result needs a writable array of shape {shape}")
            with self._pool.taken(int(caller.handle)) as lane:
                lane.begin(ready)
                try:
                    self._put(lane, source, images, passes, count, target)
                except BaseException:
                    with contextlib.suppress(Exception):  # the stream may be used no more; the first error counts
                        lane.end(caller)
                    raise
                lane.end(caller)
        finally:
            self._events.append(ready)  # who waits for it has noted the point
        return out

    def _put(
        self, lane: Lane, source: Any, images: int, passes: Sequence[npt.NDArray[np.float32]], count: int, target: Any
    ) -> None:
        for vectors in passes:
            rows = np.broadcast_to(vectors, (count, vectors.shape[-1]))
            for start in range(0, count, self._largest):
                size = min(self._largest, count - start)
                part = self._border.buffer(source, start if images > 1 else 0, size if images > 1 else 1)
                lane.run_on_device(part, rows[start : start + size], self._border.buffer(target, start, size))
            source, images = target, count

    def _event(self) -> Any:
        with contextlib.suppress(IndexError):
            return self._events.pop()
        self._context.device.set_current()  # what cuda.core wants to have been called in this thread
        return self._context.device.create_event(options=self._cuda.EventOptions())

    def memory_bytes(self) -> dict[str, int]:
        """Return what the buffers take, pinned and on the device, and what is free there."""
        with self._context.current():
            found = {"pinned": self._pinned_bytes, "device": self._device_bytes}
            sizes = free_and_total()
        return found if sizes is None else {**found, "free": sizes[0], "total": sizes[1]}

    def launching(self) -> str:
        """Return how calls are launched: as CUDA graphs, or kernel by kernel and why."""
        return self._capturing.describe()

    def close(self) -> None:
        """Wait for the work in progress, then free everything. No call may be running, and none may follow."""
        # After the last lane is gone CUDA may refuse everything, which has been reported.
        with contextlib.nullcontext() if self.left else contextlib.suppress(Exception), self._context.current():
            self._pool.close()
            while self._events:
                self._events.pop().close()
            self._memory.close()


def _address(array: Pixels) -> int:
    return int(array.__array_interface__["data"][0])
