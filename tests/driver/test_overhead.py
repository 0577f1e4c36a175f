"""What a call costs the host on the whole path of a GPU: `translate`, real cuda.core, graph replay, and no network."""

import gc
import os
import time
import tracemalloc

import numpy as np
import pytest
from played_engine import SIZE, SPACE, Network

from stargan_rt import Engine
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends.tensorrt import TensorRT

SETTINGS = {"log": 0}
MAX_US = 30


@pytest.fixture
def idle(rtx, tmp_path, monkeypatch):
    """An engine of the TensorRT backend whose network does nothing."""
    path = tmp_path / "g.engine"
    path.write_bytes(b"a plan")
    monkeypatch.setattr(library, "deserialise", lambda trt, data: (Network(trt, idle=True), []))
    monkeypatch.setattr(TensorRT, "_check_intact", lambda self, data: None)
    with Engine.load(path, backend="tensorrt-rtx", labels=SPACE) as engine:
        yield engine


@pytest.mark.parametrize("way", ["result", "out", "buffers"])
def test_host_overhead_of_a_call(idle, way):
    image, out = (
        idle.buffers() if way == "buffers" else (np.zeros((*SIZE, 3), np.uint8), np.zeros((*SIZE, 3), np.uint8))
    )
    target = None if way == "result" else out
    for _ in range(200):
        idle.translate(image, "a", out=target)
    times = []
    for _ in range(3000):
        began = time.perf_counter()
        idle.translate(image, "a", out=target)
        times.append(time.perf_counter() - began)
    # Other programs on the machine only add to it.
    overhead_us = 1e6 * float(np.percentile(times, 25))
    print(
        f"translate with graph replay, {way}: {overhead_us:.1f} us on the host, median {1e6 * np.median(times):.1f} us"
    )
    assert overhead_us < MAX_US


def test_ten_thousand_calls_leave_no_garbage_and_nothing_grows(idle, driver):
    image, out = np.zeros((*SIZE, 3), np.uint8), np.zeros((*SIZE, 3), np.uint8)
    for _ in range(200):
        idle.translate(image, "a", out=out)
    gc.collect()
    held = driver.device_bytes(), driver.pinned_bytes()
    gc.disable()
    try:
        objects, resident = len(gc.get_objects()), resident_kb()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            idle.translate(image, "a", out=out)
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
        tracemalloc.stop()
        assert len(gc.get_objects()) - objects < 50
        assert gc.collect() < 50  # cycles that only the collector frees
    finally:
        gc.enable()
    assert (driver.device_bytes(), driver.pinned_bytes()) == held
    assert resident_kb() - resident < 4096


def resident_kb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
