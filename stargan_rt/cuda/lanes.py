"""The lanes of an engine: calls go to the first free one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.cuda.graph import Capturing
from stargan_rt.cuda.interop import Border
from stargan_rt.cuda.lane import Lane, NetworkSource
from stargan_rt.cuda.memory import free_and_total
from stargan_rt.cuda.pool import Pool
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels


class Lanes:
    """Runs networks of one engine on the lanes of one GPU, from any number of threads.

    An exception of CUDA or of a network gives its lane up; the others go on.
    """

    def __init__(
        self,
        cuda: Any,
        device: Any,
        connect: Callable[[Any], NetworkSource],
        size: tuple[int, int],
        dim: int,
        batches: tuple[int, int],
        count: int = 1,
        capture: bool = True,
    ) -> None:
        """Makes the lanes; the calling thread's device is `device` then.

        Args:
            cuda: the module ``cuda.core``.
            device: of it; its primary context is used.
            connect: stream → source of networks, for each lane.
            size: (height, width) of the images.
            dim: length of a label.
            batches: the smallest and the largest that the network takes.
            count: of lanes, at least 1.
            capture: whether calls are captured as graphs; False for networks that do so themselves.

        Raises:
            Exception: whatever CUDA or `connect` has against it, such as no memory.
        """
        self._device, self._largest = device, batches[1]
        self._border = Border(cuda, device, size)
        device.set_current()
        capturing = Capturing(capture)
        lanes: list[Lane] = []
        try:
            for _ in range(count):
                # Not the default stream: TensorRT would synchronise with everything else on the GPU.
                stream = device.create_stream(options=cuda.StreamOptions(nonblocking=True))
                lanes.append(Lane(cuda, device, stream, connect(stream), size, dim, batches, capturing))
        except BaseException:
            Pool(lanes).close()
            raise
        self._pool = Pool(lanes)
        self.pinned_bytes = sum(lane.pinned_bytes for lane in lanes)
        self.device_bytes = sum(lane.device_bytes for lane in lanes)

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def left(self) -> int:
        """How many have not been given up."""
        return self._pool.left

    def run(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        """Translates images on the host, and waits for them.

        Args:
            images: uint8 ``(n, H, W, 3)``.
            labels: float32 ``(n, c)``.
            out: uint8 ``(n, H, W, 3)``; it may be `images`.
        """
        with self._pool.taken() as lane:
            self._device.set_current()  # the calling thread may never have seen CUDA
            for start in range(0, len(images), self._largest):
                part = slice(start, start + self._largest)
                lane.run(images[part], labels[part], out[part])

    def run_on_device(
        self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any = None, stream: Any = None
    ) -> Any:
        """Translates images on the GPU; the host does not wait.

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
        self._device.set_current()
        caller, ready = self._border.stream(image, stream)
        source = self._border.view(image, "the image", -1 if ready else 1)
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
        if out is None:
            out = self._border.empty(image, shape, caller)
        target = self._border.view(out, "out", -1)
        if tuple(target.shape) != shape or target.readonly:
            state = "read-only" if target.readonly else f"of shape {tuple(target.shape)}"
            raise InputError(f"out is {state}; the result needs a writable array of shape {shape}")
        with self._pool.taken() as lane:
            lane.begin(caller)
            for vectors in passes:
                rows = np.broadcast_to(vectors, (count, vectors.shape[-1]))
                for start in range(0, count, self._largest):
                    size = min(self._largest, count - start)
                    part = self._border.buffer(source, start if images > 1 else 0, size if images > 1 else 1)
                    lane.run_on_device(part, rows[start : start + size], self._border.buffer(target, start, size))
                source, images = target, count
            lane.end(caller)
        return out

    def memory_bytes(self) -> dict[str, int]:
        """What the buffers take, pinned and on the device, and what is free there."""
        self._device.set_current()
        found = {"pinned": self.pinned_bytes, "device": self.device_bytes}
        sizes = free_and_total()
        return found if sizes is None else {**found, "free": sizes[0], "total": sizes[1]}

    def close(self) -> None:
        """Waits for what is under way, then frees everything."""
        # After the last lane is gone CUDA may refuse all, which has been told.
        with contextlib.nullcontext() if self.left else contextlib.suppress(Exception):
            self._device.set_current()
        self._pool.close()
