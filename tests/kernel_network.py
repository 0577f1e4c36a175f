"""A plain CUDA kernel as the network, so that lanes can be tested on any GPU.

It computes 255 - image + the first value of the label, each `launches` times.
"""

from __future__ import annotations

import functools
import math
import os

import numpy as np
import pytest
from lanes_backend import LanesBackend

from stargan_rt import Engine, LabelSpace, Manifest
from stargan_rt.cuda.context import PrimaryContext
from stargan_rt.cuda.lanes import Lanes

LABELS = LabelSpace({"faces": ("Blond_Hair", "happy", "sad")})
CODE = """
extern "C" __global__ void invert(
    const unsigned char* image, const float* label, unsigned char* translated, int pixels, int dim)
{
    const float added = label[blockIdx.y * dim];
    const long long first = (long long)blockIdx.y * pixels;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += gridDim.x * blockDim.x)
        translated[first + i] = 255 - image[first + i] + (unsigned char)added;
}
"""


def expected(images, labels):
    return 255 - images + labels[:, 0, None, None, None].astype(np.uint8)


@functools.cache
def kernel():
    from cuda.core import Device, Program, ProgramOptions

    try:
        program = Program(CODE, "c++", ProgramOptions(std="c++17", arch=f"sm_{Device(0).arch}"))
    except Exception as error:
        if os.environ.get("STARGAN_RT_REQUIRE_GPU"):
            raise
        pytest.skip(f"NVRTC can't be used (pip install nvidia-cuda-nvrtc): {error}")
    return program.compile("cubin").get_kernel("invert")


class Kernels:
    """A source of networks; and each of them, when connected."""

    def __init__(self, launches=1):
        self.launches, self.shapes, self.addresses, self.enqueued = launches, {}, {}, 0
        self.connected = []

    def connect(self, batch):
        self.connected.append(Kernels(self.launches))
        return self.connected[-1]

    def close(self):
        pass

    def set_shape(self, name, shape):
        self.shapes[name] = shape

    def set_address(self, name, address):
        self.addresses[name] = address

    def enqueue(self, stream):
        from cuda.core import LaunchConfig, Stream, launch

        batch, *item = self.shapes["image"]
        pixels, dim = math.prod(item), self.shapes["label"][1]
        config = LaunchConfig(grid=(min(-(-pixels // 256), 128), batch), block=256)
        where = [self.addresses[name] for name in ("image", "label", "translated")]
        for _ in range(self.launches):
            launch(Stream.from_handle(stream), config, kernel(), *where, np.int32(pixels), np.int32(dim))
        self.enqueued += 1


def make_lanes(size=(128, 128), batches=(1, 8), count=1, capture=True, launches=1, sources=None):
    """Return lanes; the source of each one's networks is appended to `sources`."""
    import cuda.core as cuda

    device = cuda.Device(0)
    device.set_current()
    kernel()

    def connect(stream, memory):
        source = Kernels(launches)
        if sources is not None:
            sources.append(source)
        return source

    return Lanes(cuda, PrimaryContext(device), connect, size, LABELS.dim, batches, count, capture)


def make_engine(size=(128, 128), lanes=1, **options):
    backend = LanesBackend(make_lanes(size, count=lanes, **options))
    return Engine(Manifest(LABELS, size, "fp32", 0, 0), backend, lanes)
