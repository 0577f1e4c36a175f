"""Arrays and streams of other libraries at the border: PyTorch, CuPy, PyCUDA and whatever speaks their protocols."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from stargan_rt.cuda import driver
from stargan_rt.cuda.context import PrimaryContext
from stargan_rt.errors import InputError

_CPU, _CUDA, _PINNED, _MANAGED = 1, 2, 3, 13
"""Device types of DLPack."""
_LEGACY, _PER_THREAD = 1, 2
"""Handles that stand for the two default streams; 0 stands for the first of them too."""
_AUTOPRIMARY = "with PyCUDA, import pycuda.autoprimaryctx instead of pycuda.autoinit"


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

    It owns its memory. What the stream that it was made on does with it afterwards is in order; consumers on other
    streams learn through both protocols what to wait for.

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


class _Allocation:
    """A ``DeviceAllocation`` of PyCUDA, which has no shape, as one image of the network's size."""

    def __init__(self, allocation: Any, size: tuple[int, int]) -> None:
        self._allocation = allocation
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": (*size, 3),
            "typestr": "|u1",
            "strides": None,
            "data": (int(allocation), False),
            "stream": None,
        }


def is_foreign(array: object) -> TypeGuard[Foreign]:
    """Return whether this is an array of another library, wherever it lies."""
    return hasattr(array, "__dlpack_device__") or hasattr(array, "__cuda_array_interface__") or _is_allocation(array)


def is_on_device(array: Foreign) -> bool:
    """Return whether an array lies in the memory of an NVIDIA GPU.

    Raises:
        InputError: it is neither there nor on the host.
    """
    if hasattr(array, "__cuda_array_interface__") or _is_allocation(array):
        return True
    kind = int(array.__dlpack_device__()[0])
    if kind not in (_CPU, _CUDA, _PINNED, _MANAGED):
        raise InputError(
            f"the image, {_name(array)}, is in memory that is neither the host's nor an NVIDIA GPU's (DLPack device "
            f"type {kind}); copy it to the host first, in PyTorch with .cpu().numpy()"
        )
    return kind in (_CUDA, _MANAGED)


def to_host(array: Foreign) -> npt.NDArray[Any]:
    """Return an array on the host as NumPy's, without a copy.

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

    def __init__(self, cuda: Any, context: PrimaryContext, size: tuple[int, int]) -> None:
        """Make one for the device of a context, which is current in all calls, and images of (height, width)."""
        self._cuda, self._context, self._device, self._size = cuda, context, context.device, size
        self._bindings = driver.bindings()
        self._of_pointer = self._bindings.CUpointer_attribute.CU_POINTER_ATTRIBUTE_CONTEXT

    def view(self, array: Any, what: str, stream: int) -> Any:
        """Return what is known of an array on the device: a ``cuda.core.utils.StridedMemoryView``.

        Args:
            array: to be read or written; the view keeps it alive.
            what: it is, for errors.
            stream: handle of one that is to wait for the array's own; -1 where that is settled.

        Raises:
            InputError: what is wrong with the array, what is needed, and how to get it.
        """
        if not is_foreign(array) or not is_on_device(array):
            raise self._unfit(array, what, "it is not on the GPU", "in PyTorch, array.cuda()")
        readable = self._allocation(array, what) if _is_allocation(array) else array
        try:
            view = self._cuda.utils.StridedMemoryView.from_any_interface(readable, stream_ptr=stream)
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
        status, owner = self._bindings.cuPointerGetAttribute(self._of_pointer, int(view.ptr))
        if not int(status) and int(owner) not in (0, self._context.handle):  # memory of pools has none
            raise self._unfit(array, what, "it belongs to another CUDA context than the primary one", _AUTOPRIMARY)
        return view

    def _allocation(self, allocation: Any, what: str) -> _Allocation:
        nbytes = math.prod((*self._size, 3))
        held = driver.checked(self._bindings.cuMemGetAddressRange(int(allocation))[::2])
        if held < nbytes:
            raise self._unfit(allocation, what, f"it has {held} bytes, of {nbytes}", "allocate one for a whole image")
        return _Allocation(allocation, self._size)

    def buffer(self, view: Any, start: int, count: int) -> Any:
        """Return images `start` up to `start + count` of a view, as a buffer that keeps the array alive."""
        nbytes = math.prod((*self._size, 3))
        return self._cuda.Buffer.from_handle(int(view.ptr) + start * nbytes, count * nbytes, owner=view)

    def stream(self, array: Any, stream: Any) -> tuple[Any, bool]:
        """Return the stream that a call with `array` is to follow, and whether the array is ready on it.

        Args:
            array: the image.
            stream: what the caller gave: an object with ``__cuda_stream__``, a stream of PyTorch, CuPy or PyCUDA,
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
        # With DLPack the array's library makes this stream wait; an allocation of PyCUDA has no stream.
        return _stream(self._cuda, _LEGACY), _is_allocation(array)

    def point(self, stream: Any, event: Any) -> None:
        """Record `event` on the caller's stream, for a lane to wait for.

        Raises:
            InputError: the stream is destroyed, of another context, or being captured.
        """
        handle = self._bindings.CUstream(int(stream.handle))
        status, capturing = self._bindings.cuStreamIsCapturing(handle)
        if not int(status) and int(capturing):
            raise InputError(
                "stream= is being captured as a CUDA graph (torch.cuda.graph), and a call of an engine can't be part "
                "of one: labels come from the host. Call it outside the capture; the engine replays graphs of its own"
            )
        try:
            stream.record(event)
        except Exception as error:  # cuda.core's exceptions derive from nothing narrower
            raise InputError(
                f"stream= can't be used ({error}): it must be a stream that exists, of the primary context of GPU "
                f"{int(self._device.device_id)}; {_AUTOPRIMARY}"
            ) from None

    def empty(self, like: Any, shape: tuple[int, ...], stream: Any) -> Any:
        """Return a fresh array of the library of `like`, to be used in the order of `stream`."""
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
        if _is_allocation(like) and len(shape) == 3:
            return sys.modules["pycuda.driver"].mem_alloc(math.prod(shape))
        if library == "pycuda":
            return importlib.import_module("pycuda.gpuarray").empty(shape, np.uint8)
        self._device.set_current()  # what cuda.core wants to have been called in this thread
        return DeviceArray(self._cuda, self._device.allocate(math.prod(shape), stream=stream), shape, stream)

    def _unfit(self, array: object, what: str, wrong: str, fix: str) -> InputError:
        height, width = self._size
        return InputError(
            f"{what}, {_name(array)}, can't be used: {wrong}. Needed is uint8 ({height}, {width}, 3) or "
            f"(n, {height}, {width}, 3), C-contiguous, on GPU {int(self._device.device_id)}; {fix}"
        )


def _torch_stream(torch: Any, device: Any, handle: int) -> contextlib.AbstractContextManager[Any]:
    """Make a stream PyTorch's current one, for which its allocator hands memory out."""
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


def _is_allocation(array: object) -> bool:
    """Return whether this is memory of ``pycuda.driver.mem_alloc`` or of a pool of PyCUDA."""
    return _library(array) == "pycuda" and type(array).__name__ in ("DeviceAllocation", "PooledDeviceAllocation")


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
