"""The frame kernels on a GPU against their twin on the CPU, and how near they come to a plain copy."""

import ctypes
import json
import shutil
import statistics
import subprocess

import numpy as np
import pytest
from frame_cases import LAYOUTS, REGIONS, SIZE, Buffer

from stargan_rt.cuda import FATBIN
from stargan_rt.cuda.frames import DeviceFrame, FrameKernels
from stargan_rt.faces import Region, crop, paste

FULL_HD = (1080, 1920)
RING = 32
"""Frames used in turn: together more than any cache holds."""


class Gpu:
    def __init__(self, fatbin):
        from cuda import core

        self._core = core
        self.device = core.Device(0)
        self.device.set_current()
        self.stream = self.device.create_stream()
        self._memory, self._pinned = core.DeviceMemoryResource(self.device), core.LegacyPinnedMemoryResource()
        self.kernels = FrameKernels(fatbin)

    def room(self, n_bytes):
        return self._memory.allocate(n_bytes, stream=self.stream)

    def upload(self, array):
        host, device = self._pinned.allocate(array.nbytes), self.room(array.nbytes)
        self._bytes_of(host, array.nbytes)[:] = array.ravel()
        host.copy_to(device, stream=self.stream)
        self.stream.sync()
        return device

    def download(self, device, n_bytes):
        host = self._pinned.allocate(n_bytes)
        device.copy_to(host, stream=self.stream)
        self.stream.sync()
        return self._bytes_of(host, n_bytes).copy()

    def milliseconds(self, work, times=7):
        """Median time of work(stream)."""
        work(self.stream)
        spans = []
        for _ in range(times):
            start, end = (self.device.create_event({"timing_enabled": True}) for _ in range(2))
            self.stream.record(start)
            work(self.stream)
            self.stream.record(end)
            end.sync()
            spans.append(end - start)
        return statistics.median(spans)

    def captured(self, work):
        """work(stream) as a graph, so that the launches don't wait for Python."""
        work(self.stream)  # loads the kernels, which a capture might not allow
        self.stream.sync()
        builder = self.stream.create_graph_builder()
        builder.begin_building("thread_local")
        work(builder)
        return builder.end_building().complete().launch

    @staticmethod
    def _bytes_of(buffer, n_bytes):
        return np.ctypeslib.as_array((ctypes.c_uint8 * n_bytes).from_address(int(buffer.handle)))


@pytest.fixture(scope="module")
def gpu(root, tmp_path_factory):
    fatbin = FATBIN
    if not fatbin.is_file():
        if shutil.which("nvcc") is None:
            pytest.skip("installed without kernels, and no CUDA compiler on this machine")
        fatbin = tmp_path_factory.mktemp("kernels") / "frames.fatbin"
        source = root / "stargan_rt" / "cuda" / "frames.cu"
        subprocess.run(["nvcc", "-fatbin", "-arch=native", "-o", fatbin, source], check=True)
    return Gpu(fatbin)


def on_gpu(gpu, buffer, layout, size):
    """The buffer's copy on the GPU, and the frame in it."""
    memory = gpu.upload(buffer.bytes)
    return memory, DeviceFrame(int(memory.handle) + buffer.offset, *size, layout, buffer.pitch)


def check_crop(gpu, buffer, layout, region, size, frame_size=SIZE):
    memory, frame = on_gpu(gpu, buffer, layout, frame_size)
    output = gpu.room(size[0] * size[1] * 3)
    gpu.kernels.crop(gpu.stream, frame, region, int(output.handle), size)
    got = gpu.download(output, size[0] * size[1] * 3).reshape(*size, 3).astype(int)
    assert np.abs(got - crop(buffer.frame, region, size, layout)).max() <= 1
    assert (gpu.download(memory, buffer.bytes.nbytes) == buffer.bytes).all()


def check_paste(gpu, buffer, layout, region, picture, feather, frame_size=SIZE):
    memory, frame = on_gpu(gpu, buffer, layout, frame_size)
    on_device, gaps = gpu.upload(picture), buffer.gaps
    gpu.kernels.paste(gpu.stream, frame, region, int(on_device.handle), picture.shape[:2], feather)
    paste(buffer.frame, picture, region, layout, feather)
    expected = buffer.frame.astype(int)
    buffer.bytes[:] = gpu.download(memory, buffer.bytes.nbytes)
    assert np.abs(expected - buffer.frame).max() <= 1
    assert (expected != buffer.frame).mean() < 0.01
    assert (buffer.gaps == gaps).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize(("pad", "offset"), [(0, 0), (2, 4), (13, 3)])
def test_the_kernels_are_the_twin_within_a_level(gpu, random, layout, region, pad, offset):
    buffer = Buffer(random, layout, pad=pad, offset=offset)
    check_crop(gpu, buffer, layout, region, (37, 70))
    picture = random.integers(0, 256, (23, 29, 3), np.uint8)
    for feather in (0, 0.1, 0.5):
        check_paste(gpu, buffer, layout, region, picture, feather)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_face_in_full_hd(gpu, random, layout):
    buffer, region = Buffer(random, layout, FULL_HD, pad=128), Region.box(1500.5, 600.25, 360, 360, 12)
    check_crop(gpu, buffer, layout, region, (128, 128), FULL_HD)
    check_paste(gpu, buffer, layout, region, random.integers(0, 256, (128, 128, 3), np.uint8), 0.1, FULL_HD)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_share_of_the_copy_bandwidth(gpu, random, layout):
    """Prints JSON: each kernel's traffic per second over that of a copy, on whole frames, and a face's time."""
    height, width = FULL_HD
    picture_bytes = height * width * 3
    frame_bytes = height * width * 3 // (2 if layout == "nv12" else 1)
    frames, pictures = gpu.room(RING * frame_bytes), gpu.room(RING * picture_bytes)
    ring = [
        (DeviceFrame(int(frames.handle) + i * frame_bytes, *FULL_HD, layout), int(pictures.handle) + i * picture_bytes)
        for i in range(RING)
    ]
    whole, face = Region.box(0, 0, width, height), Region.box(800, 300, 360, 360, 12)

    def crops(region, size):
        return lambda stream: [gpu.kernels.crop(stream, f, region, p, size) for f, p in ring]

    def pastes(region, size):
        return lambda stream: [gpu.kernels.paste(stream, f, region, p, size) for f, p in ring]

    other = gpu.room(RING * picture_bytes)
    copy = gpu.milliseconds(lambda stream: pictures.copy_to(other, stream=stream))
    bytes_per_ms = 2 * RING * picture_bytes / copy
    traffic = {"crop": frame_bytes + picture_bytes, "paste": 2 * frame_bytes + picture_bytes}
    figures = {"gpu": gpu.device.name, "layout": layout, "copy_gb_per_s": round(bytes_per_ms / 1e6, 1)}
    for name, works in (("crop", crops), ("paste", pastes)):
        frame_ms = gpu.milliseconds(gpu.captured(works(whole, FULL_HD))) / RING
        face_ms = gpu.milliseconds(gpu.captured(works(face, (128, 128)))) / RING
        figures[f"{name}_1080p_us"] = round(frame_ms * 1e3, 2)
        figures[f"{name}_1080p_share_of_copy"] = round(traffic[name] / frame_ms / bytes_per_ms, 3)
        figures[f"{name}_face_us"] = round(face_ms * 1e3, 2)
    print(json.dumps(figures))
    assert all(value for value in figures.values())
