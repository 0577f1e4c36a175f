"""A network for the stand-in driver: 255 - image + the first value of the label.

Its work is a host function on the stream, which CUDA queues, captures and replays as it does a kernel.
"""

from __future__ import annotations

import ctypes

import numpy as np
from lanes_backend import LanesBackend

from stargan_rt import Engine, LabelSpace, Manifest
from stargan_rt.cuda.context import PrimaryContext
from stargan_rt.cuda.lanes import Lanes

LABELS = LabelSpace({"faces": ("a", "b", "c")})
SIZE = (16, 24)


class Invert:
    """A source of networks, and each of them, when connected."""

    def __init__(self, source=None):
        self.source = source or self
        self.connected, self.batches, self.shapes, self.addresses = [], [], {}, {}
        self.enqueued, self.closed, self.fails, self.in_capture = 0, False, None, None
        self._work = HostFunction(self._compute)

    def connect(self, batch):
        self.connected.append(Invert(self))
        return self.connected[-1]

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
        if self.source.in_capture and is_capturing(stream):
            self.source.in_capture()
        self.source.enqueued += 1
        self._work.enqueue(stream)

    def _compute(self):
        self.source.batches.append(invert(self.shapes, self.addresses))


class HostFunction:
    """Work for a stream."""

    def __init__(self, work):
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: work())

    def enqueue(self, stream):
        # Not by cuda.bindings, which frees what it passes to the function after the first of several replays.
        status = ctypes.CDLL("libcuda.so.1").cuLaunchHostFunc(ctypes.c_void_p(stream), self._function, None)
        assert not status, f"CUDA error {status}"


def is_capturing(stream):
    from cuda.bindings import driver

    status, state = driver.cuStreamIsCapturing(driver.CUstream(stream))
    assert not int(status)
    return int(state) != 0


def invert(shapes, addresses):
    """Compute what the network does, in the memory that it was given, and return the batch size."""
    batch, *item = shapes["image"]
    pixels, dim = int(np.prod(item)), shapes["label"][1]

    def array(name, kind, length):
        raw = (kind * (batch * length)).from_address(addresses[name])
        return np.ctypeslib.as_array(raw).reshape(batch, length)

    image, label = array("image", ctypes.c_uint8, pixels), array("label", ctypes.c_float, dim)
    with np.errstate(invalid="ignore"):  # rows past the caller's hold anything
        array("translated", ctypes.c_uint8, pixels)[:] = 255 - image + label[:, :1].astype(np.uint8)
    return batch


def expected(images, labels):
    return 255 - images + labels[:, 0, None, None, None].astype(np.uint8)


def make_lanes(count=1, batches=(1, 4), capture=True, device=0, size=SIZE, dim=LABELS.dim):
    """Return lanes, and the source of each one's networks."""
    import cuda.core as cuda

    sources = []

    def connect(stream, memory):
        sources.append(Invert())
        return sources[-1]

    context = PrimaryContext(cuda.Device(device))
    return Lanes(cuda, context, connect, size, dim, batches, count, capture), sources


def make_engine(labels=LABELS, **options):
    """Return an engine on such lanes, and the sources of their networks."""
    lanes, sources = make_lanes(dim=labels.dim, **options)
    return Engine(Manifest(labels, SIZE, "fp32", 0, 0), LanesBackend(lanes)), sources
