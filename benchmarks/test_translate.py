"""What `Engine.translate` adds to the bare backend call: `pytest benchmarks -s`.

Each benchmark checks its result too, so nothing is fast because it is wrong.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import pytest

from stargan_rt import Engine
from stargan_rt.images import as_pixels, resize

MAX_OVERHEAD_MS = 0.3


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def engine(request):
    with Engine.load("avatars", backend=request.param) as loaded:
        yield loaded


@pytest.fixture
def face():
    return np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)


def test_translate(benchmark, engine, face):
    out = benchmark(engine.translate, face, "Blond_Hair")
    assert out.shape == (128, 128, 3)


def test_bare_backend(benchmark, engine, face):
    label = engine.labels.encode("Blond_Hair")[None]
    out = benchmark(engine._backend.run, face[None], label)
    np.testing.assert_array_equal(out[0], engine.translate(face, "Blond_Hair"))


def test_overhead_of_translate(engine, face):
    """The Engine's own work, timed with a backend that answers at once: at most 0.3 ms."""
    real, answer = engine._backend, np.zeros((1, 128, 128, 3), np.uint8)

    class Instant:
        def run(self, images, labels):
            assert images.shape == answer.shape
            assert labels.shape == (1, engine.labels.dim)
            return answer

    engine._backend = Instant()
    try:
        times = []
        for _ in range(2000):
            start = time.perf_counter()
            engine.translate(face, "Blond_Hair")
            times.append(time.perf_counter() - start)
    finally:
        engine._backend = real
    overhead_ms = median(times) * 1e3
    print(f"Engine.translate adds {overhead_ms:.3f} ms to {engine.backend}")
    assert overhead_ms <= MAX_OVERHEAD_MS


def test_encode_label(benchmark, engine):
    vector = benchmark(engine.labels.encode, "Blond_Hair, Eyeglasses")
    assert vector[engine.labels.names.index("Eyeglasses")] == 1


def test_fit_a_camera_frame(benchmark):
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1080, 3), np.uint8)
    out = benchmark(lambda: resize(as_pixels(frame), (128, 128)))
    assert abs(int(out.mean()) - int(frame.mean())) <= 1
