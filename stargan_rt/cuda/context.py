"""The context of a GPU, made current for the time of a call."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from stargan_rt.cuda import driver


class PrimaryContext:
    """The primary context of a device, which PyTorch, CuPy and the CUDA runtime use too.

    The context of the calling thread is the caller's business: what is current before `current` is current after it.

    Attributes:
        handle: of the context.
        device: of ``cuda.core``.
    """

    def __init__(self, device: Any) -> None:
        """Retain the context of a device of ``cuda.core``.

        Raises:
            Exception: the driver's reason why the device can't be used.
        """
        self.device = device
        self._bindings = driver.bindings()
        before = driver.checked(self._bindings.cuCtxGetCurrent())
        device.set_current()
        self._context = driver.checked(self._bindings.cuCtxGetCurrent())
        self.handle = int(self._context)
        driver.checked(self._bindings.cuCtxSetCurrent(before))

    def current(self) -> Current:
        """Return a context manager in which this context is current for the calling thread."""
        return Current(self._bindings, self._context, self.handle)


class Current:
    """Makes a context current inside a ``with`` statement; a class, since every call passes through one."""

    __slots__ = ("_bindings", "_context", "_handle", "_pushed")

    def __init__(self, bindings: Any, context: Any, handle: int) -> None:
        self._bindings, self._context, self._handle = bindings, context, handle

    def __enter__(self) -> None:
        self._pushed = int(driver.checked(self._bindings.cuCtxGetCurrent())) != self._handle
        if self._pushed:
            driver.checked(self._bindings.cuCtxPushCurrent(self._context))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pushed:
            self._bindings.cuCtxPopCurrent()
