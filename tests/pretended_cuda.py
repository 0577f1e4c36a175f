"""A cuda.core without a GPU: device memory is the host's, and work is done when it is put on a stream.

What must be in order is written to `log`, as (what, stream, …).
"""

from __future__ import annotations

import ctypes
import itertools
import types

import numpy as np


class Cuda(types.SimpleNamespace):
    """The module."""

    def __init__(self, device_id=0):
        self.log = []
        self.allocated = 0  # bytes
        self.capturing = {}  # stream handle → what is captured
        self.refuses_capture = False
        self._handles = itertools.count(100)
        self._streams = {}
        self.LEGACY_DEFAULT_STREAM = Stream(self, 1)
        self.PER_THREAD_DEFAULT_STREAM = Stream(self, 2)
        self.Stream = types.SimpleNamespace(from_handle=lambda handle: self._streams[handle])
        self.StreamOptions = self.EventOptions = types.SimpleNamespace
        self.Buffer = types.SimpleNamespace(from_handle=lambda at, size, owner: Buffer(self, at, size, owner))
        self.LegacyPinnedMemoryResource = lambda: types.SimpleNamespace(allocate=self.allocate)
        self.utils = types.SimpleNamespace(StridedMemoryView=View)
        self.device = Device(self, device_id)
        self.Device = lambda number: self.device

    def allocate(self, size, stream=None):
        memory = (ctypes.c_uint8 * size)()
        self.allocated += size
        return Buffer(self, ctypes.addressof(memory), size, memory, owns=True)

    def put(self, stream, work):
        """Does the work, or captures it."""
        handle = stream if isinstance(stream, int) else int(stream.handle)
        if handle in self.capturing:
            self.capturing[handle].append(work)
        else:
            work()


class Buffer:
    device_id = 0

    def __init__(self, cuda, handle, size, owner, owns=False):
        self.cuda, self.handle, self.size, self.owner, self.owns = cuda, handle, size, owner, owns

    def copy_to(self, other, *, stream):
        assert self.size == other.size

        def copy():
            self.cuda.log.append(("copy", int(stream.handle), self.size))
            ctypes.memmove(other.handle, self.handle, self.size)

        self.cuda.put(stream, copy)

    def close(self, stream=None):
        assert self.owns
        self.cuda.allocated -= self.size
        self.owns = False


class Event:
    def __init__(self, cuda, options):
        self.cuda, self.timed, self.synced = cuda, getattr(options, "timing_enabled", False), 0

    def sync(self):
        self.synced += 1

    def __sub__(self, other):
        assert self.timed
        assert other.timed
        return 0.5

    def close(self):
        pass


class Stream:
    def __init__(self, cuda, handle=None):
        self.cuda = cuda
        self.handle = next(cuda._handles) if handle is None else handle
        self.closed = False
        cuda._streams[self.handle] = self

    def __cuda_stream__(self):
        return 0, self.handle

    def record(self, event):
        self.cuda.log.append(("record", self.handle, event))

    def wait(self, event):
        self.cuda.log.append(("wait", self.handle, event))

    def sync(self):
        assert not self.closed
        self.cuda.log.append(("sync", self.handle))

    def close(self):
        self.closed = True

    def create_graph_builder(self):
        return Builder(self)


class Builder:
    def __init__(self, stream):
        self.stream, self.handle, self.cuda = stream, stream.handle, stream.cuda

    def begin_building(self, mode):
        assert mode == "thread_local"
        if self.cuda.refuses_capture:
            raise RuntimeError("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
        self.cuda.capturing[self.handle] = []

    def end_building(self):
        self.work = self.cuda.capturing.pop(self.handle)
        return self

    def complete(self):
        return Graph(self.cuda, self.work)

    def close(self):
        self.cuda.capturing.pop(self.handle, None)


class Graph:
    def __init__(self, cuda, work):
        self.cuda, self.work, self.closed = cuda, work, False

    def upload(self, stream):
        assert not self.closed

    def launch(self, stream):
        assert not self.closed
        self.cuda.log.append(("launch", stream.handle))
        for work in self.work:
            work()

    def close(self):
        self.closed = True


class Device:
    def __init__(self, cuda, device_id):
        self.cuda, self.device_id = cuda, device_id

    def set_current(self):
        pass

    def allocate(self, size, *, stream):
        assert stream is not None
        return self.cuda.allocate(size)

    def create_stream(self, options):
        assert options.nonblocking
        return Stream(self.cuda)

    def create_event(self, options):
        return Event(self.cuda, options)


class View:
    """Of an array with `__cuda_array_interface__`, as cuda.core makes it."""

    is_device_accessible = True

    def __init__(self, interface, device_id, owner):
        self.ptr, self.readonly = interface["data"]
        self.shape, self.dtype = interface["shape"], np.dtype(interface["typestr"])
        strides = interface.get("strides")
        self.strides = strides and tuple(stride // self.dtype.itemsize for stride in strides)
        self.device_id, self.owner = device_id, owner

    @classmethod
    def from_any_interface(cls, array, stream_ptr):
        assert stream_ptr in (-1, 1)
        return cls(array.__cuda_array_interface__, getattr(array, "device_id", 0), array)


class Array:
    """An array on the pretended device, of a library without a name."""

    def __init__(self, values, device_id=0, stream=None, readonly=False):
        self.values, self.device_id = values, device_id
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": values.shape,
            "typestr": values.dtype.str,
            "strides": None if values.flags.c_contiguous else values.strides,
            "data": (values.ctypes.data, readonly),
            "stream": stream,
        }


def values(array):
    """What an array with `__cuda_array_interface__` holds."""
    interface = array.__cuda_array_interface__
    raw = (ctypes.c_uint8 * int(np.prod(interface["shape"]))).from_address(interface["data"][0])
    return np.ctypeslib.as_array(raw).reshape(interface["shape"]).copy()


class Invert:
    """A network and its source: 255 - image + the first value of the label."""

    def __init__(self, cuda):
        self.cuda, self.shapes, self.addresses = cuda, {}, {}
        self.connected, self.enqueued, self.closed, self.fails = [], 0, False, None

    def connect(self):
        network = Invert(self.cuda)
        network.source = self
        self.connected.append(network)
        return network

    def close(self):
        self.closed = True

    def set_shape(self, name, shape):
        self.shapes[name] = shape

    def set_address(self, name, address):
        self.addresses[name] = address

    def enqueue(self, stream):
        assert isinstance(stream, int)
        if self.source.fails:
            raise self.source.fails
        self.source.enqueued += 1
        self.cuda.put(stream, self._compute)

    def _compute(self):
        batch, *item = self.shapes["image"]
        pixels, dim = int(np.prod(item)), self.shapes["label"][1]
        image = self._array("image", ctypes.c_uint8, (batch, pixels))
        label = self._array("label", ctypes.c_float, (batch, dim))
        translated = self._array("translated", ctypes.c_uint8, (batch, pixels))
        translated[:] = 255 - image + label[:, :1].astype(np.uint8)
        self.cuda.log.append(("network", batch))

    def _array(self, name, kind, shape):
        raw = (kind * int(np.prod(shape))).from_address(self.addresses[name])
        return np.ctypeslib.as_array(raw).reshape(shape)
