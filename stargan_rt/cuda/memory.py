"""Memory that a lane owns: pinned on the host, and on the device."""

from __future__ import annotations

import ctypes
import math
import re
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.cuda import driver
from stargan_rt.cuda.context import PrimaryContext


class DeviceMemory:
    """Where an engine's device memory comes from: a pool of its own, which gives everything back when it is closed.

    The pool that a device has by default keeps what was freed, for the whole process.
    """

    def __init__(self, cuda: Any, device: Any) -> None:
        self._own = bool(device.properties.memory_pools_supported)
        self._resource = (
            cuda.DeviceMemoryResource(device, cuda.DeviceMemoryResourceOptions())
            if self._own
            else device.memory_resource
        )

    def allocate(self, nbytes: int, stream: Any) -> Any:
        """Return a buffer of ``cuda.core``, to be used on the stream."""
        return self._resource.allocate(nbytes, stream=stream)

    def close(self) -> None:
        """Give the memory back to the driver; all buffers are closed."""
        if self._own:
            self._resource.close()


class Memory:
    """The memory of one tensor, for the largest batch: pinned on the host and on the device, or one for both.

    It is allocated once and its addresses never change, so that captured graphs may name them; a batch is the front
    of it. Its owner closes it, after everything that names it.

    Attributes:
        address: on the device.
        array: on the host, ``(batch, *item)``.
        item: shape of one item of the batch.
        mapped: both are the same memory, as integrated GPUs can have it: nothing is copied.
        pinned_bytes, device_bytes: that it takes.
    """

    def __init__(
        self,
        cuda: Any,
        memory: DeviceMemory,
        stream: Any,
        batch: int,
        item: tuple[int, ...],
        dtype: type,
        mapped: bool = False,
    ) -> None:
        self._cuda, self._stream, self.item, self.mapped = cuda, stream, item, mapped
        self.item_bytes = math.prod(item) * np.dtype(dtype).itemsize
        self.pinned_bytes = batch * self.item_bytes
        self.device_bytes = 0 if mapped else self.pinned_bytes
        self._device = None if mapped else memory.allocate(self.device_bytes, stream=stream)
        try:
            self._host = cuda.LegacyPinnedMemoryResource().allocate(self.pinned_bytes)
        except Exception:
            if self._device is not None:
                self._device.close(stream)
            raise
        self.address = mapped_address(self._host) if self._device is None else int(self._device.handle)
        self.array: npt.NDArray[Any] = pinned_array(self._host, dtype).reshape(batch, *item)

    def host(self, batch: int) -> Any:
        """Return the front of the pinned memory, as a buffer that owns nothing."""
        return self._cuda.Buffer.from_handle(int(self._host.handle), batch * self.item_bytes, owner=self._host)

    def rows(self, start: int, count: int) -> Any:
        """Return rows of the device memory, as a buffer that owns nothing."""
        owner = self._host if self._device is None else self._device
        return self._cuda.Buffer.from_handle(
            self.address + start * self.item_bytes, count * self.item_bytes, owner=owner
        )

    def close(self) -> None:
        """Free it; nothing on the stream may use it any more."""
        if self._device is not None:
            self._device.close(self._stream)
        self._host.close()


@dataclass(frozen=True, eq=False)
class Lent:
    """Pinned memory that a caller has: an image and its result, for one batch.

    Attributes:
        image, translated: uint8 ``(n, H, W, 3)``; buffers of ``cuda.core``.
        addresses: of both on the device, where the GPU shares the memory of the CPU.
    """

    image: Any
    translated: Any
    addresses: tuple[int, int] | None


def lend(
    cuda: Any, context: PrimaryContext, batch: int, item: tuple[int, ...], mapped: bool
) -> tuple[Lent, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Allocate pinned memory for a caller, and return it with its arrays, ``(batch, *item)``.

    It is freed when nobody has one of the arrays or `Lent` any more.
    """
    nbytes = batch * math.prod(item)
    image, translated = (cuda.LegacyPinnedMemoryResource().allocate(nbytes) for _ in range(2))
    addresses = (mapped_address(image), mapped_address(translated)) if mapped else None
    lent = Lent(image, translated, addresses)
    arrays = [pinned_array(buffer, np.uint8, owner=lent).reshape(batch, *item) for buffer in (image, translated)]
    weakref.finalize(lent, _free, context, image, translated).atexit = False
    return lent, arrays[0], arrays[1]


def _free(context: PrimaryContext, *buffers: Any) -> None:
    with context.current():  # whatever thread happens to collect them
        for buffer in buffers:
            buffer.close()


class Slots:
    """Pinned memory for uploads that nobody waits for: one is written while copies still read the others.

    While all slots are in use the host waits for the oldest, which bounds how far it runs ahead of the GPU.
    """

    def __init__(self, cuda: Any, device: Any, count: int, largest: int, dtype: type) -> None:
        """Allocate `count` slots of `largest` values of `dtype`."""
        self._cuda = cuda
        self._bytes = largest * np.dtype(dtype).itemsize
        self._host = cuda.LegacyPinnedMemoryResource().allocate(count * self._bytes)
        self.nbytes = count * self._bytes
        self._arrays = pinned_array(self._host, dtype).reshape(count, largest)
        self._copied = [device.create_event(options=cuda.EventOptions()) for _ in range(count)]
        self._used = 0

    def upload(self, values: npt.NDArray[Any], target: Any, stream: Any) -> None:
        """Put a copy of `values` to the device buffer `target`, of the same size, on the stream."""
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
        """Free the slots; no copy may be in progress."""
        for event in self._copied:
            event.close()
        self._host.close()


def pinned_array(buffer: Any, dtype: type, owner: object = None) -> npt.NDArray[Any]:
    """Return the whole of a host buffer as a flat, writable array, which keeps `owner` alive but not the buffer."""
    # By address, since older versions of numpy make read-only arrays of DLPack.
    raw = (ctypes.c_uint8 * int(buffer.size)).from_address(int(buffer.handle))
    raw.owner = owner  # type: ignore[attr-defined]  # the array's base is `raw`
    return np.ctypeslib.as_array(raw).view(dtype)


def mapped_address(pinned: Any) -> int:
    """Return where the GPU finds a pinned buffer of the host."""
    return int(driver.checked(driver.bindings().cuMemHostGetDevicePointer(int(pinned.handle), 0)))


def free_and_total() -> tuple[int, int] | None:
    """Return the bytes free and in all on the current GPU; None where the driver does not say."""
    try:
        status, free, total = driver.bindings().cuMemGetInfo()
    except Exception:  # no bindings, no driver: the caller has another error to report
        return None
    return None if int(status) else (int(free), int(total))


def is_out_of_memory(*texts: str) -> bool:
    """Return whether one of these messages of CUDA or TensorRT says that memory ran out."""
    return any(re.search(r"out.?of.?memory|allocate memory from pool", text, re.IGNORECASE) for text in texts)
