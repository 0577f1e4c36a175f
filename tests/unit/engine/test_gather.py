"""Images that wait at the same time share a batch, on a backend that is faster with batches."""

import threading
import time

import numpy as np
import pytest

from stargan_rt import Engine, InputError
from stargan_rt.backends.onnxruntime import ONNXRuntime
from stargan_rt.manifest import read_onnx

LARGEST = 16


class Batching(ONNXRuntime):
    """The real ONNX Runtime, as it is on a GPU: with batches larger than a CPU's."""

    max_batch = LARGEST

    def __init__(self, path, manifest):
        super().__init__(path, manifest)
        self.gathers, self.max_batch = True, LARGEST
        self.batches = []
        self.go = threading.Event()
        self.go.set()

    def run(self, images, labels):
        self.batches.append(len(images))
        assert self.go.wait(30)
        return super().run(images, labels)


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def backend(model):
    return Batching(model, read_onnx(model)[0])


@pytest.fixture
def engine(model, backend):
    with Engine(read_onnx(model)[0], backend) as engine:
        yield engine


@pytest.fixture
def images(random):
    return random.integers(0, 256, (40, 32, 32, 3), np.uint8)


def test_what_waits_shares_a_batch(engine, backend, images):
    """While the first image is computed, the others arrive."""
    backend.go.clear()
    labels = [engine.labels.names[number % 5] for number in range(len(images))]
    futures = [engine.submit(image, label) for image, label in zip(images, labels, strict=True)]
    wait_until(lambda: all(future.running() for future in futures))
    backend.go.set()
    results = [future.result() for future in futures]
    assert sum(backend.batches) == len(images)
    assert max(backend.batches) == LARGEST
    for image, label, result in zip(images[::7], labels[::7], results[::7], strict=True):
        difference = result.astype(int) - engine.translate(image, label)
        assert np.abs(difference).max() <= 1
    assert all(result.base is None or len(result.base) == 1 for result in results)  # none keeps a batch in memory


def test_a_single_image_is_not_held_back(engine, backend, image):
    engine.submit(image, "happy").result()
    assert backend.batches == [1]


def test_map_keeps_the_order_and_fills_batches(engine, backend, images):
    results = list(engine.map(images, "happy"))
    for image, result in zip(images[::9], results[::9], strict=True):
        assert np.abs(result.astype(int) - engine.translate(image, "happy")).max() <= 1
    assert max(backend.batches) > 1


def test_a_bad_image_fails_alone(engine, backend, images):
    backend.go.clear()
    good = [engine.submit(image, "happy") for image in images[:3]]
    bad = engine.submit(np.zeros((4, 4), np.float32), "happy")
    backend.go.set()
    with pytest.raises(InputError):
        bad.result()
    assert [future.result().shape for future in good] == [(32, 32, 3)] * 3


def test_an_error_of_the_network_reaches_every_image_of_its_batch(engine, backend, images):
    def fail(images, labels):
        raise RuntimeError("the GPU failed")

    backend.run = fail
    futures = [engine.submit(image, "happy") for image in images[:4]]
    for future in futures:
        with pytest.raises(RuntimeError, match="the GPU failed"):
            future.result()


def test_closing_waits_for_what_was_submitted(model, backend, images):
    engine = Engine(read_onnx(model)[0], backend)
    futures = [engine.submit(image, "sad") for image in images[:20]]
    engine.close()
    assert all(future.done() for future in futures)


def test_translate_splits_at_the_largest_batch_of_the_backend(engine, backend, images):
    engine.translate(images, "happy")
    assert backend.batches == [16, 16, 8]


def test_a_cpu_goes_on_one_by_one(model, images):
    backend = Batching(model, read_onnx(model)[0])
    backend.gathers = False
    with Engine(read_onnx(model)[0], backend) as engine:
        assert len(list(engine.map(images[:4], "happy"))) == 4
    assert backend.batches == [1] * 4
