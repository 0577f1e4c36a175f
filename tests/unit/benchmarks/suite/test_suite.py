"""The suite's own parts: the yardstick fixture and the networks that compute nothing."""

import time

import numpy as np
import pytest

from benchmarks import regressions
from benchmarks.suite.networks import SIZE, Device, Instant, engine_with

TIMED = """
import time

def test_twice_the_yardstick(against):
    assert against(lambda: time.sleep(0.01) or "result", lambda: time.sleep(0.005), rounds=5) == "result"
"""


def test_a_network_that_takes_no_time_gives_its_result():
    result = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    with engine_with(Instant(result)) as engine:
        np.testing.assert_array_equal(engine.translate(np.zeros((*SIZE, 3), np.uint8), "happy"), result[0])


def test_a_device_takes_its_time_and_gives_the_image():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    with engine_with(Device(seconds=0.02)) as engine:
        start = time.perf_counter()
        np.testing.assert_array_equal(engine.translate(image, "sad"), image)
        assert time.perf_counter() - start >= 0.02


@pytest.mark.slow
def test_the_ratio_is_to_the_yardstick(tmp_path, monkeypatch):
    (tmp_path / "test_timed.py").write_text(TIMED)
    (tmp_path / "conftest.py").write_text("from benchmarks.suite.conftest import against\n")
    monkeypatch.setattr(regressions, "SUITE", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(regressions.BASELINES.parents[1]))
    (ratio,) = regressions.measured().values()
    assert 1.5 < ratio < 2.5
