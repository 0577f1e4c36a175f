"""Memory that a lane owns: pinned on the host, and on the device."""

from __future__ import annotations

import ctypes
import importlib
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt


class Memory:
    """Pinned and device memory of one tensor, for the largest batch.

    It is allocated once and its addresses never change, so that captured graphs may name them; a batch is the front
    of it. Whoever made it closes it, after everything that names it.

    Attributes:
        address: on the device.
        array: the pinned side, ``(batch, *item)``.
        item: shape of one item of the batch.
        nbytes: on either side.
    """

    def __init__(self, cuda: Any, device: Any, stream: Any, batch: int, item: tuple[int, ...], dtype: type) -> None:
        self._cuda, self._stream, self.item = cuda, stream, item
        self.item_bytes = math.prod(item) * np.dtype(dtype).itemsize
        self.nbytes = batch * self.item_bytes
        self._host = cuda.LegacyPinnedMemoryResource().allocate(self.nbytes)
        self._device = device.allocate(self.nbytes, stream=stream)
        self.address = int(self._device.handle)
        self.array: npt.NDArray[Any] = pinned_array(self._host, dtype).reshape(batch, *item)

    def parts(self, batch: int) -> tuple[Any, Any]:
        """The front of the pinned and of the device memory, as buffers that own nothing."""
        host, device = (
            self._cuda.Buffer.from_handle(int(whole.handle), batch * self.item_bytes, owner=whole)
            for whole in (self._host, self._device)
        )
        return host, device

    def rows(self, start: int, count: int) -> Any:
        """Rows of the device memory, as a buffer that owns nothing."""
        return self._cuda.Buffer.from_handle(
            self.address + start * self.item_bytes, count * self.item_bytes, owner=self._device
        )

    def close(self) -> None:
        """Frees both sides; nothing on the stream may use them any more."""
        self._device.close(self._stream)
        self._host.close()


class Slots:
    """Pinned memory for uploads that nobody waits for: one is written while copies still read the others.

    With all slots under way the host waits for the oldest, which bounds how far it runs ahead of the GPU.
    """

    def __init__(self, cuda: Any, device: Any, count: int, largest: int, dtype: type) -> None:
        """Allocates `count` slots of `largest` values of `dtype`."""
        self._cuda = cuda
        self._bytes = largest * np.dtype(dtype).itemsize
        self._host = cuda.LegacyPinnedMemoryResource().allocate(count * self._bytes)
        self.nbytes = count * self._bytes
        self._arrays = pinned_array(self._host, dtype).reshape(count, largest)
        self._copied = [device.create_event(options=cuda.EventOptions()) for _ in range(count)]
        self._used = 0

    def upload(self, values: npt.NDArray[Any], target: Any, stream: Any) -> None:
        """Puts a copy of `values` to the device buffer `target`, of the same size, on the stream."""
        slot = self._used % len(self._copied)
        if self._used >= len(self._copied):
            self._copied[slot].sync()
        self._arrays[slot, : values.size] = values.ravel()
        source = self._cuda.Buffer.from_handle(
            int(self._host.handle) + slot * self._bytes, values.nbytes, owner=self._host
        )
        source.copy_to(target, stream=stream)
        stream.record(self._copied[slot])
        self._used += 1

    def close(self) -> None:
        """Frees the slots; no copy may be under way."""
        for event in self._copied:
            event.close()
        self._host.close()


def pinned_array(buffer: Any, dtype: type) -> npt.NDArray[Any]:
    """The whole of a host buffer as a flat, writable array, which does not keep the buffer alive."""
    # By address, since older versions of numpy make read-only arrays of DLPack.
    raw = (ctypes.c_uint8 * int(buffer.size)).from_address(int(buffer.handle))
    return np.ctypeslib.as_array(raw).view(dtype)


def free_and_total() -> tuple[int, int] | None:
    """Bytes free and in all on the current GPU; None where the driver does not say."""
    try:
        status, free, total = importlib.import_module("cuda.bindings.driver").cuMemGetInfo()
    except Exception:  # no bindings, no driver: whoever asks has another error to tell
        return None
    return None if int(status) else (int(free), int(total))


def is_out_of_memory(*texts: str) -> bool:
    """Whether one of these messages of CUDA or TensorRT says that memory ran out."""
    return any(re.search(r"out.?of.?memory", text, re.IGNORECASE) for text in texts)
