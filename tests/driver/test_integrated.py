"""Lanes on an integrated GPU, as a Jetson has it: memory is shared, and nothing is copied."""

import numpy as np
import pytest
from device_arrays import Array, values
from inverting_network import LABELS, SIZE, expected, make_engine, make_lanes

SETTINGS = {"integrated": 1, "major": 8, "minor": 7}


def batch(random, count):
    labels = np.zeros((count, LABELS.dim), np.float32)
    labels[:, 0] = np.arange(count) % 3
    return random.integers(5, 250, (count, *SIZE, 3), np.uint8), labels


def run(lanes, images, labels):
    out = np.empty_like(images)
    lanes.run(images, labels, out)
    return out


def test_nothing_is_copied(driver, random):
    lanes, _ = make_lanes()
    for count in (1, 3, 5):
        images, labels = batch(random, count)
        for _ in range(4):
            np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    assert driver.calls("Memcpy") == []
    assert set(driver.ran()) == {"graph"}
    assert lanes.memory_bytes()["device"] == 0
    lanes.close()


def test_nothing_is_copied_in_a_profile(driver, random):
    engine, _ = make_engine()
    image = batch(random, 1)[0][0]
    with engine.profile() as profile:
        for _ in range(3):
            np.testing.assert_array_equal(engine.translate(image, "b"), 255 - image)
    assert driver.calls("Memcpy") == []
    assert profile.launching == "CUDA graphs"
    engine.close()


def test_calls_on_the_device_are_done_before_their_memory_is_written(random):
    lanes, _ = make_lanes()
    images, labels = batch(random, 2)
    first = lanes.run_on_device(Array(images), [labels])
    others, _ = batch(random, 2)
    np.testing.assert_array_equal(run(lanes, others, labels * 0), 255 - others)
    np.testing.assert_array_equal(values(first), expected(images, labels))
    lanes.close()


@pytest.mark.parametrize("smallest", [1, 2])
def test_the_network_works_in_buffers_that_are_lent(driver, random, smallest):
    lanes, (source,) = make_lanes(batches=(smallest, 4))
    image, out = lanes.buffers()
    images, labels = batch(random, 1)
    for turn in range(4):
        image[...] = images[0] // (turn + 1)
        lanes.run(image[None], labels, out[None])
        np.testing.assert_array_equal(out, 255 - image + labels[0, 0].astype(np.uint8))
    assert driver.calls("Memcpy") == []
    network = source.connected[-1]
    assert (network.addresses["image"], network.addresses["translated"]) == (image.ctypes.data, out.ctypes.data)
    np.testing.assert_array_equal(run(lanes, images, labels), expected(images, labels))
    lanes.close()
