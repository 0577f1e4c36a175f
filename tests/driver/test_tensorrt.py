"""Plans on the stand-in driver: real bindings of TensorRT-RTX and real cuda.core, but for what executes.

TensorRT can't run a plan without a GPU, so the engine and its contexts are played; everything around them is real.
"""

import dataclasses
import gc
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from device_arrays import Array, values
from played_engine import DIM, SIZE, SPACE, Network

from stargan_rt import Engine, EngineIncompatibleError, EngineLoadError, InputError
from stargan_rt.backends import RunOptions, tensorrt
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.build_record import BuildRecord
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.plan import compile_plan
from stargan_rt.errors import StarGANError
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import Manifest, read_onnx
from stargan_rt.models import bundled_model

SETTINGS = {"devices": 2}


@pytest.fixture(scope="module")
def data(rtx):
    """A real plan, for a GPU that is not here; its engine is played."""
    model = bundled_model("avatars")
    size, dim = read_onnx(model)[0].size, read_onnx(model)[0].labels.dim
    return compile_plan("tensorrt-rtx", onnx.load(model), BuildConfig(targets=("sm89",)), size, dim).data


@pytest.fixture
def path(data, tmp_path):
    path = tmp_path / "g.engine"
    path.write_bytes(data)
    return path


@pytest.fixture
def manifest(rtx):
    record = BuildRecord("tensorrt-rtx", rtx.__version__, targets=("sm89",), config={"precision": "fp16"})
    return Manifest(SPACE, SIZE, "fp16", 8, 1, build=record)


@pytest.fixture
def load(rtx, path, monkeypatch, tmp_path):
    """Load a network as if its plan had been deserialised; or fail with what TensorRT says."""
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    loaded = []

    def load(network, manifest=None, **options):
        is_network = isinstance(network, Network)
        answer = (network, []) if is_network else (None, network)
        monkeypatch.setattr(library, "deserialise", lambda trt, data: answer)
        loaded.append(tensorrt.TensorRTRTX(path, manifest, RunOptions(**options)))
        return loaded[-1]

    yield load
    for backend in loaded:
        if hasattr(backend, "_engine"):
            backend.close()


def images_and_labels(random, count):
    labels = np.zeros((count, DIM), np.float32)
    labels[:, 0] = np.arange(count) % 3
    return random.integers(5, 250, (count, *SIZE, 3), np.uint8), labels


def expected(images, labels):
    return 255 - images + labels[:, 0, None, None, None].astype(np.uint8)


# Running


@pytest.mark.parametrize("count", [1, 4, 9])
@pytest.mark.parametrize("smallest", [1, 2])
def test_run_splits_and_fills_batches(rtx, load, manifest, random, count, smallest):
    network = Network(rtx, (smallest, 2, 4))
    backend = load(network, manifest)
    images, labels = images_and_labels(random, count)
    for _ in range(3):  # enqueued, captured, replayed
        out = backend.run(images, labels)
        np.testing.assert_array_equal(out, expected(images, labels))
    assert max(network.executed) <= 4
    kept = out.copy()
    backend.run(images[:1] // 2, labels[:1])
    np.testing.assert_array_equal(out, kept)  # nobody else's memory


def test_a_context_takes_the_profile_that_fits(rtx, load, random):
    network = Network(rtx, (1, 1, 1), (1, 8, 8))
    backend = load(network)
    assert backend.max_batch == 8
    for count in (1, 5, 8, 1, 9):
        images, labels = images_and_labels(random, count)
        np.testing.assert_array_equal(backend.run(images, labels), expected(images, labels))
    assert [context.profile for context in network.contexts] == [0, 1, 1]  # one for each batch size
    assert network.executed == [1, 5, 8, 1, 8, 1]


def test_shapes_and_addresses_are_set_once_and_not_while_capturing(rtx, load, random):
    network = Network(rtx)
    backend = load(network)
    images, labels = images_and_labels(random, 2)
    for _ in range(4):
        backend.run(images, labels)
    settings = [("address", "image"), ("address", "label"), ("address", "translated"), ("shape", "image")]
    settings.append(("shape", "label"))
    assert sorted(network.contexts[1].calls[:5]) == sorted(settings)
    assert network.contexts[1].calls[5:] == [("execute",)] * 2  # enqueued and captured


def test_run_from_several_threads(rtx, load, random):
    backend = load(Network(rtx), lanes=2)
    images = random.integers(5, 250, (8, 2, *SIZE, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda batch: backend.run(batch, np.zeros((2, DIM), np.float32)), images)
        for batch, out in zip(images, results, strict=True):
            np.testing.assert_array_equal(out, 255 - batch)


def test_a_static_plan_runs_at_its_batch(rtx, load):
    def fixed(tensors):
        return {name: (mode, dtype, (2, *shape[1:])) for name, (mode, dtype, shape) in tensors.items()}

    network = Network(rtx, (2, 2, 2), fix=fixed)
    images = np.zeros((3, *SIZE, 3), np.uint8)
    assert (load(network).run(images, np.zeros((3, DIM), np.float32)) == 255).all()
    assert network.executed == [2, 2]


def test_images_on_the_device(rtx, load, random):
    backend = load(Network(rtx))
    image = random.integers(5, 250, (*SIZE, 3), np.uint8)
    label = np.zeros(DIM, np.float32)
    out = backend.run_on_device(Array(image), [label], None, None)
    np.testing.assert_array_equal(values(out), 255 - image)
    with pytest.raises(InputError, match="not C-contiguous"):
        backend.run_on_device(Array(image[:, ::-1]), [label], None, None)


def test_a_device_is_chosen(rtx, load, driver, random):
    backend = load(Network(rtx), device=1)
    images, labels = images_and_labels(random, 1)
    np.testing.assert_array_equal(backend.run(images, labels), expected(images, labels))
    assert {line.fields["device"] for line in driver.log() if line.name == "cuMemPoolCreate"} == {"1"}
    with pytest.raises(InputError, match=r"number of a GPU, such as 1 or 'cuda:1'; got 'gpu'"):
        load(Network(rtx), device="gpu")
    with pytest.raises(EngineIncompatibleError, match="none can be used here"):
        load(["no device"], device="cuda:7")


def test_engine_load_takes_a_device(rtx, path, driver, monkeypatch):
    monkeypatch.setattr(library, "deserialise", lambda trt, data: (Network(rtx), []))
    engine = Engine.load(path, backend="tensorrt-rtx", labels=SPACE, device="cuda:1")
    assert {line.fields["device"] for line in driver.log() if line.name == "cuMemPoolCreate"} == {"1"}
    image, out = engine.buffers()
    engine.translate(image, "b", out=out)
    assert (out == 255).all()
    engine.close()


# Failures


def test_a_failure_of_the_gpu_is_reported_with_what_tensorrt_logged(rtx, load):
    network = Network(rtx)
    backend = load(network, lanes=2)
    network.works, network.logs = False, [(rtx.ILogger.ERROR, "Error Code 1: something broke")]
    one = np.zeros((1, *SIZE, 3), np.uint8), np.zeros((1, DIM), np.float32)
    with pytest.raises(
        StarGANError, match=r"(?s)refused the execution.*its lane is given up, 1 of 2 go on:\n  Error Code 1: something"
    ):
        backend.run(*one)
    with pytest.raises(StarGANError, match=r"TensorRT refused the execution.*load the engine again"):
        backend.run(*one)
    with pytest.raises(StarGANError, match=r"no lane is left.*load the engine again"):
        backend.run(*one)


def test_no_memory_for_the_lanes_reports_what_is_asked_and_what_is_free(rtx, load, driver):
    network = Network(rtx)
    network.device_memory_size_v2 = 300 << 20
    driver.fail("cuMemAllocFromPoolAsync", 2)
    message = r"60\d MiB are asked for, 4,\d\d\d MiB of 4,096 MiB are free\. .*fewer lanes.*--max-batch"
    with pytest.raises(EngineLoadError, match=message):
        load(network, lanes=2)
    with pytest.raises(EngineLoadError, match=r"MiB are asked for, 4,\d\d\d MiB of 4,096 MiB are free"):
        load(["[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)"])


def test_another_failure_at_load_is_reported(rtx, load):
    network = Network(rtx)
    network.works = False
    with pytest.raises(EngineLoadError, match=r"can't be made ready on the GPU: TensorRT refused the address of image"):
        load(network)


# What TensorRT logs


def test_there_is_one_logger_and_it_is_made_once(rtx):
    first = library.log(rtx)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(1000):
            assert library.log(rtx) is first
        assert len(gc.get_objects()) - before < 10  # a class is many objects, and a cycle
    finally:
        gc.enable()


def test_warnings_are_warnings_and_errors_go_into_exceptions(rtx, caplog):
    log = library.log(rtx)
    with caplog.at_level(logging.DEBUG, "stargan_rt"):
        mark = log.mark()
        log.log(rtx.ILogger.WARNING, "slow kernel")
        log.log(rtx.ILogger.ERROR, "nobody listens")
        with log.collected() as lines:
            log.log(rtx.ILogger.ERROR, "somebody listens")
        log.log(rtx.ILogger.INFO, "news")
    levels = {record.message: record.levelname for record in caplog.records}
    assert levels == {"slow kernel": "WARNING", "nobody listens": "ERROR", "somebody listens": "DEBUG", "news": "DEBUG"}
    assert lines == ["somebody listens"]
    assert log.since(mark) == ["slow kernel", "nobody listens", "somebody listens"]
    assert log.since(log.mark()) == []


# What contexts share


def test_contexts_of_a_lane_share_their_scratch_memory(rtx, load, driver, random):
    gc.collect()
    before = driver.device_bytes()
    network = Network(rtx)
    network.device_memory_size_v2 = 1000
    backend = load(network, lanes=2)
    images, labels = images_and_labels(random, 3)
    for count in (3, 2, 3):
        np.testing.assert_array_equal(backend.run(images[:count], labels[:count]), expected(images, labels)[:count])
    assert network.configs == [rtx.ExecutionContextAllocationStrategy.USER_MANAGED] * 4  # batches 1, 3, 2; 1 of lane 1
    assert len({context.scratch[0] for context in network.contexts}) == 2
    assert {context.scratch[1] for context in network.contexts} == {1000}
    assert backend.memory_bytes()["device"] == driver.device_bytes() - before
    backend.close()
    assert driver.device_bytes() == before


class Cache:
    """A runtime cache of TensorRT-RTX."""

    def __init__(self):
        self.held = b""

    def deserialize(self, data):
        self.held = data
        return True

    def serialize(self):
        return self.held + b"kernels"


class Config:
    """A runtime config of TensorRT-RTX."""

    cuda_graph_strategy = None

    def create_runtime_cache(self):
        return Cache()

    def set_runtime_cache(self, cache):
        self.cache = cache
        return True


@pytest.fixture
def configured(rtx):
    network = Network(rtx)
    network.config = Config()
    network.create_runtime_config = lambda: network.config
    return network


def test_tensorrt_rtx_captures_by_itself_on_one_context_a_lane(rtx, load, configured, driver, random):
    backend = load(configured, lanes=2)
    assert configured.config.cuda_graph_strategy == rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    images, labels = images_and_labels(random, 3)
    image, out = backend.buffers(SIZE)
    image[...] = images[0]
    for turn, count in enumerate((3, 2, 3, 3, 2)):  # shapes and addresses of the one context change from call to call
        images = images - np.uint8(turn)
        image[...] = images[0]
        np.testing.assert_array_equal(backend.run(images[:count], labels[:count]), expected(images, labels)[:count])
        backend.run_into(image[None], labels[:1], out[None])
        np.testing.assert_array_equal(out, 255 - image)
    assert configured.configs == [configured.config] * 2
    assert driver.calls("GraphLaunch|BeginCapture") == []
    assert backend.launching() == "CUDA graphs of TensorRT-RTX"


def test_tensorrt_rtx_keeps_its_kernels(load, configured, tmp_path):
    load(configured).close()
    (file,) = (tmp_path / "cache" / "kernels").iterdir()
    assert file.read_bytes() == b"kernels"
    again = load(configured)
    assert configured.config.cache.held == b"kernels"
    again.close()
    assert file.read_bytes() == b"kernels" * 2


def test_kernels_that_can_not_be_kept_are_a_warning(load, configured, tmp_path, caplog):
    backend = load(configured)
    (tmp_path / "cache").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        backend.close()
    assert "compiled kernels are not kept" in caplog.text


# Files


def test_a_bare_plan_says_its_signature(rtx, load, path):
    backend = load(Network(rtx))
    assert backend.plan_signature() == (SIZE, DIM)
    assert backend.layers() == {"fp16": 2}
    manifest, backend = tensorrt.open_bare("tensorrt-rtx", path, SPACE)
    assert (manifest.size, manifest.labels, manifest.precision) == (SIZE, SPACE, "fp16")
    backend.close()
    with pytest.raises(InputError, match="takes labels of length 5; those given make 1"):
        tensorrt.open_bare("tensorrt-rtx", path, LabelSpace({"faces": ("a",)}))


@pytest.mark.parametrize(
    "other",
    [
        lambda t: {**t, "image": (*t["image"][:2], (-1, 3, *SIZE))},
        lambda t: {**t, "label": (t["label"][0], t["image"][1], t["label"][2])},
        lambda t: {name: t[name] for name in ("image", "translated")},
        lambda t: {**t, "more": t["translated"]},
        lambda t: {
            **t,
            "image": (*t["image"][:2], (-1, 64, 64, 3)),
            "translated": (*t["translated"][:2], (-1, 64, 64, 3)),
        },
    ],
)
def test_another_network_is_refused(rtx, load, manifest, other):
    with pytest.raises(EngineIncompatibleError, match=r"is another network.*expected INPUT image UINT8"):
        load(Network(rtx, fix=other), manifest)


def test_a_plan_that_contains_code_is_refused(load):
    with pytest.raises(EngineIncompatibleError, match="contains code for the CPU"):
        load(["Cannot deserialize engine with lean runtime since IRuntime::getEngineHostCodeAllowed() is false."])


def test_what_the_library_refuses_is_refused_in_its_words(load):
    with pytest.raises(EngineIncompatibleError, match=r"(?s)refused by TensorRT-RTX.*tensorrt-rtx:\n  some reason"):
        load(["some reason"])


def test_a_plan_for_another_gpu_is_refused(rtx, load, manifest):
    manifest = dataclasses.replace(manifest, build=dataclasses.replace(manifest.build, targets=("sm120",)))
    with pytest.raises(EngineIncompatibleError, match=r"built for sm120; GPU 0 here is sm89: add --target sm89"):
        load(Network(rtx), manifest)
