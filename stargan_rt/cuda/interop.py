"""Arrays and streams of other libraries at the border: PyTorch, CuPy, PyCUDA and whatever speaks their protocols."""

from __future__ import annotations

import contextlib
import math
import sys
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError

_CPU, _CUDA, _PINNED, _MANAGED = 1, 2, 3, 13
"""Device types of DLPack."""
_LEGACY, _PER_THREAD = 1, 2
"""Handles that stand for the two default streams; 0 stands for the first of them too."""


class HasCudaArrayInterface(Protocol):
    """An array in the memory of a GPU, such as CuPy's, Numba's and PyCUDA's."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Address, shape and type."""


class HasDLPack(Protocol):
    """An array in any memory, such as PyTorch's and JAX's."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        """A capsule with address, shape and type."""

    def __dlpack_device__(self) -> tuple[Any, int]:
        """Where it is: (type, number)."""


Foreign: TypeAlias = HasCudaArrayInterface | HasDLPack
"""An array of another library than NumPy."""


class DeviceArray:
    """A result in the memory of the GPU, for arrays of libraries that have no name here.

    It owns its memory. What the stream that it was made on does with it afterwards is in order; other streams are told
    what to wait for by both protocols, as their consumers ask.

    Attributes:
        shape: ``(H, W, 3)`` or ``(n, H, W, 3)``.
        dtype: uint8.
    """

    def __init__(self, cuda: Any, buffer: Any, shape: tuple[int, ...], stream: Any) -> None:
        self._cuda, self._buffer, self._stream = cuda, buffer, stream
        self.shape, self.dtype = shape, np.dtype(np.uint8)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": "|u1",
            "strides": None,
            "data": (int(self._buffer.handle), False),
            "stream": int(self._stream.handle) or _LEGACY,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, int(self._buffer.device_id)

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        if stream != -1:  # the consumer orders the two by itself
            consumer = _stream(self._cuda, _LEGACY if stream is None else stream)
            consumer.wait(self._stream)
        view = self._cuda.utils.StridedMemoryView.from_buffer(self._buffer, self.shape, dtype=self.dtype)
        return view.__dlpack__(stream=-1, **options)


def is_foreign(array: object) -> TypeGuard[Foreign]:
    """Whether this is an array of another library, wherever it lies."""
    return hasattr(array, "__dlpack_device__") or hasattr(array, "__cuda_array_interface__")


def is_on_device(array: Foreign) -> bool:
    """Whether an array lies in the memory of an NVIDIA GPU.

    Raises:
        InputError: it is neither there nor on the host.
    """
    if hasattr(array, "__cuda_array_interface__"):
        return True
    kind = int(array.__dlpack_device__()[0])
    if kind not in (_CPU, _CUDA, _PINNED, _MANAGED):
        raise InputError(
            f"the image, {_name(array)}, is in memory that is neither the host's nor an NVIDIA GPU's (DLPack device "
            f"type {kind}); copy it to the host first, in PyTorch with .cpu().numpy()"
        )
    return kind in (_CUDA, _MANAGED)


def to_host(array: Foreign) -> npt.NDArray[Any]:
    """An array on the host as NumPy's, without a copy.

    Raises:
        InputError: it is on a GPU.
    """
    if is_on_device(array):
        raise InputError(
            f"the image, {_name(array)}, is on the GPU: `translate` takes it, alone or as one array (n, H, W, 3); "
            "lists, map and submit take images on the host, in PyTorch .cpu().numpy()"
        )
    try:
        return np.from_dlpack(array)  # type: ignore[arg-type]  # what is on the host and foreign has DLPack
    except (BufferError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the image, {_name(array)}, can't be read by NumPy: {error}") from None


class Border:
    """Where arrays of one GPU come in and go out.

    An array is uint8, C-contiguous, ``(H, W, 3)`` or ``(n, H, W, 3)`` RGB, of the network's size.
    """

    def __init__(self, cuda: Any, device: Any, size: tuple[int, int]) -> None:
        """For a device of ``cuda.core`` and images of (height, width)."""
        self._cuda, self._device, self._size = cuda, device, size

    def view(self, array: Any, what: str, stream: int) -> Any:
        """What is known of an array on the device: a ``cuda.core.utils.StridedMemoryView``, which keeps it alive.

        Args:
            array: to be read or written.
            what: it is, for errors.
            stream: handle of one that is to wait for the array's own; -1 where that is settled.

        Raises:
            InputError: what is wrong with the array, what is needed, and how to get it.
        """
        if not is_foreign(array) or not is_on_device(array):
            raise self._unfit(array, what, "it is not on the GPU", "in PyTorch, array.cuda()")
        try:
            view = self._cuda.utils.StridedMemoryView.from_any_interface(array, stream_ptr=stream)
            dtype, shape = view.dtype, tuple(view.shape)
        except (BufferError, NotImplementedError, TypeError, ValueError) as error:
            raise self._unfit(array, what, f"it can't be read: {error}", "copy it first") from None
        here = int(self._device.device_id)
        if not view.is_device_accessible or int(view.device_id) != here:
            where = f"GPU {view.device_id}" if view.is_device_accessible else "the host"
            raise self._unfit(array, what, f"it is on {where}", f"in PyTorch, array.to('cuda:{here}')")
        if dtype != np.uint8:
            raise self._unfit(
                array, what, f"its dtype is {dtype}", "for floats in [0, 1], in PyTorch, (array * 255).round().byte()"
            )
        if len(shape) not in (3, 4) or shape[-3:] != (*self._size, 3) or shape[0] == 0:
            raise self._unfit(
                array,
                what,
                f"its shape is {shape}",
                "resize it before; channels come last, in PyTorch array.permute(1, 2, 0).contiguous()",
            )
        if not _is_contiguous(shape, view.strides):
            raise self._unfit(
                array,
                what,
                f"it is not C-contiguous (strides {tuple(view.strides)})",
                "in PyTorch array.contiguous(), in CuPy cupy.ascontiguousarray(array)",
            )
        return view

    def buffer(self, view: Any, start: int, count: int) -> Any:
        """Images `start` up to `start + count` of a view, as a buffer that keeps the array alive."""
        nbytes = math.prod((*self._size, 3))
        return self._cuda.Buffer.from_handle(int(view.ptr) + start * nbytes, count * nbytes, owner=view)

    def stream(self, array: Any, stream: Any) -> tuple[Any, bool]:
        """The stream of ``cuda.core`` that a call with `array` is to follow, and whether the array is ready on it.

        Args:
            array: the image.
            stream: what the caller says: an object with ``__cuda_stream__``, a stream of PyTorch, CuPy or PyCUDA,
                or its handle; None for the stream that the array's library uses now.

        Raises:
            InputError: that is no stream.
        """
        if stream is not None:
            return _stream(self._cuda, _handle(stream)), True
        library = _library(array)
        if library == "torch":
            current = sys.modules["torch"].cuda.current_stream(array.device)
            return _stream(self._cuda, int(current.cuda_stream)), True
        if library == "cupy":
            return _stream(self._cuda, int(sys.modules["cupy"].cuda.get_current_stream().ptr)), True
        if hasattr(array, "__cuda_array_interface__"):
            return _stream(self._cuda, int(array.__cuda_array_interface__.get("stream") or _LEGACY)), True
        return _stream(self._cuda, _LEGACY), False  # DLPack: the array's library makes it wait

    def empty(self, like: Any, shape: tuple[int, ...], stream: Any) -> Any:
        """A fresh array of the library of `like`, whose memory belongs to what `stream` does."""
        library = _library(like)
        handle = int(stream.handle)
        if library == "torch":
            torch = sys.modules["torch"]
            with _torch_stream(torch, like.device, handle):
                return torch.empty(shape, dtype=torch.uint8, device=like.device)
        if library == "cupy":
            cupy = sys.modules["cupy"]
            with cupy.cuda.ExternalStream(handle):
                return cupy.empty(shape, dtype=np.uint8)
        if library == "pycuda":
            return sys.modules["pycuda.gpuarray"].empty(shape, np.uint8)
        return DeviceArray(self._cuda, self._device.allocate(math.prod(shape), stream=stream), shape, stream)

    def _unfit(self, array: object, what: str, wrong: str, mend: str) -> InputError:
        height, width = self._size
        return InputError(
            f"{what}, {_name(array)}, can't be used: {wrong}. Needed is uint8 ({height}, {width}, 3) or "
            f"(n, {height}, {width}, 3), C-contiguous, on GPU {int(self._device.device_id)}; {mend}"
        )


def _torch_stream(torch: Any, device: Any, handle: int) -> contextlib.AbstractContextManager[Any]:
    """PyTorch's allocator hands memory out to the stream that is current."""
    if handle in (0, _LEGACY):
        return torch.cuda.stream(torch.cuda.default_stream(device))  # type: ignore[no-any-return]
    return torch.cuda.stream(torch.cuda.ExternalStream(handle, device=device))  # type: ignore[no-any-return]


def _handle(stream: Any) -> int:
    if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
        return stream
    if hasattr(stream, "__cuda_stream__"):
        protocol = stream.__cuda_stream__
        return int((protocol() if callable(protocol) else protocol)[1])
    for attribute in ("cuda_stream", "ptr", "handle"):  # older PyTorch, CuPy, PyCUDA
        if hasattr(stream, attribute):
            return int(getattr(stream, attribute))
    raise InputError(
        f"stream= is a CUDA stream: an object with __cuda_stream__, a stream of PyTorch, CuPy or PyCUDA, or its "
        f"handle; got {stream!r}"
    )


def _stream(cuda: Any, handle: int) -> Any:
    if handle in (0, _LEGACY):
        return cuda.LEGACY_DEFAULT_STREAM
    return cuda.PER_THREAD_DEFAULT_STREAM if handle == _PER_THREAD else cuda.Stream.from_handle(handle)


def _library(array: object) -> str:
    return type(array).__module__.partition(".")[0]


def _name(array: object) -> str:
    return f"a {type(array).__module__}.{type(array).__qualname__}"


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> bool:
    if strides is None:
        return True
    expected = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True
