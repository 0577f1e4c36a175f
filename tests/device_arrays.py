"""Arrays on the device of a library without a name, on a GPU or on the stand-in."""

from __future__ import annotations

import ctypes

import numpy as np


class Array:
    """A copy of NumPy's array on the device, which speaks ``__cuda_array_interface__``."""

    def __init__(self, content, device_id=0, stream=None, readonly=False):
        from cuda.core import Device

        content = np.asarray(content)
        device = Device(device_id)
        device.set_current()
        # The memory as it lies, with the strides of a view.
        whole = content if content.base is None or content.flags.c_contiguous else content.base
        self._buffer = device.allocate(max(1, whole.nbytes), stream=device.default_stream)
        self.address = int(self._buffer.handle)
        ctypes.memmove(self.address, np.ascontiguousarray(whole).ctypes.data, whole.nbytes)
        offset = content.ctypes.data - whole.ctypes.data
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": content.shape,
            "typestr": content.dtype.str,
            "strides": None if content.flags.c_contiguous else content.strides,
            "data": (self.address + offset, readonly),
            "stream": stream,
        }
        Device(0).set_current()


def values(array):
    """Return what an array on the stand-in's device holds, after all work is done."""
    from cuda.bindings import driver

    assert not int(driver.cuCtxSynchronize()[0])
    interface = array.__cuda_array_interface__
    raw = (ctypes.c_uint8 * int(np.prod(interface["shape"]))).from_address(interface["data"][0])
    return np.ctypeslib.as_array(raw).reshape(interface["shape"]).copy()
