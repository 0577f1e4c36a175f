"""What `Engine.translate`, `submit` and `map` add to the backend: `pytest benchmarks/suite -s`.

Each benchmark also checks its result, so that nothing is fast because it is wrong. Ratios are to a yardstick timed in
turns; `python -m benchmarks regressions` compares them with the saved ones.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.suite.conftest import Against
from benchmarks.suite.networks import Device, Instant, engine_with
from benchmarks.suite.test_labels import plain_python
from stargan_rt import Engine
from stargan_rt.images import fitted, write_image
from stargan_rt.timing import median_ms

MAX_OVERHEAD_MS = 0.3


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def engine(request):
    with Engine.load("avatars", backend=request.param) as loaded:
        yield loaded


@pytest.fixture
def face():
    return np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)


def test_translate(against: Against, engine, face):
    """Compare with the bare backend call."""
    label = engine.labels.encode("Blond_Hair")[None]
    out = against(
        lambda: engine.translate(face, "Blond_Hair"), lambda: engine._backend.run(face[None], label), rounds=7
    )
    np.testing.assert_array_equal(out, engine._backend.run(face[None], label)[0])


def test_overhead_of_translate(face):
    """The Engine's own work, with a backend that returns at once: at most 0.3 ms."""
    with engine_with(Instant(face[None].copy())) as engine:
        overhead_ms = median_ms(lambda: engine.translate(face, "happy"), 2000)
    print(f"Engine.translate adds {overhead_ms:.3f} ms to the backend")
    assert overhead_ms <= MAX_OVERHEAD_MS


def test_translate_with_a_network_that_takes_no_time(against: Against, face):
    """Compare a hundred calls a round with plain Python work."""
    answer = face[::-1][None].copy()
    with engine_with(Instant(answer)) as engine:
        out = against(lambda: [engine.translate(face, "happy") for _ in range(100)][-1], plain_python)
    np.testing.assert_array_equal(out, answer[0])


def test_submit(against: Against, face):
    """Compare with handing the copy of an image to a thread, a hundred times a round."""
    answer = face[::-1][None].copy()
    with engine_with(Instant(answer)) as engine, ThreadPoolExecutor(2) as pool:

        def plain():
            return [pool.submit(face.copy).result() for _ in range(100)][-1]

        out = against(lambda: [engine.submit(face, "happy").result() for _ in range(100)][-1], plain)
    np.testing.assert_array_equal(out, answer[0])


def test_map_hides_reading_behind_a_device(against: Against, tmp_path):
    """Compare with the bare device on prepared arrays; reading a file takes about as long as the device."""
    random, paths = np.random.default_rng(0), []
    for number in range(12):
        paths.append(tmp_path / f"{number}.jpg")
        write_image(paths[-1], random.integers(0, 256, (512, 512, 3), np.uint8))
    device = Device(seconds=0.006)
    prepared = [fitted(path, (128, 128))[0] for path in paths]
    with engine_with(device) as engine:
        label = engine.labels.encode("happy")[None]
        outs = against(
            lambda: list(engine.map(paths, "happy")), lambda: [device.run(p[None], label) for p in prepared], rounds=8
        )
    np.testing.assert_array_equal(np.stack(outs), np.stack(prepared))
