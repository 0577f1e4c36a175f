import ctypes
import dataclasses
import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from pretended_cuda import Array, Cuda, Stream, values

from stargan_rt import EngineIncompatibleError, EngineLoadError, InputError, MissingDependencyError
from stargan_rt.backends import RunOptions, tensorrt
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.build_record import BuildRecord
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.plan import compile_plan
from stargan_rt.cuda import driver
from stargan_rt.errors import StarGANError
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import read_onnx

SIZE, DIM = (32, 32), 5


@pytest.fixture(scope="module")
def plan(rtx, model):
    """The small model for a GPU that is not here."""
    return compile_plan("tensorrt-rtx", onnx.load(model), BuildConfig(targets=("sm89",)), SIZE, DIM)


@pytest.fixture
def path(plan, tmp_path):
    path = tmp_path / "g.engine"
    path.write_bytes(plan.data)
    return path


@pytest.fixture
def manifest(model, plan):
    record = BuildRecord("tensorrt-rtx", plan.version, targets=("sm89",), config={"precision": "fp16"})
    return dataclasses.replace(read_onnx(model)[0], build=record)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(driver, "gpu", lambda: ("", "no driver"))


# Without any vendor package


def test_nothing_of_nvidia_is_imported_before_it_is_needed():
    code = "import sys, stargan_rt.backends.tensorrt, stargan_rt.builder.plan; "
    code += "print({'tensorrt', 'tensorrt_rtx', 'cuda'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(backend, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, library.MODULES[backend], None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'stargan-rt\[{backend}\]'"):
        tensorrt.open_bare(backend, tmp_path / "g.engine", LabelSpace({"a": ("x",)}))


def test_a_missing_cuda_core_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(MissingDependencyError, match=r"stargan-rt\[cuda\]"):
        driver.gpu()


def test_targets_cover():
    assert tensorrt._covers("sm86", "sm86")
    assert not tensorrt._covers("sm86", "sm89")
    assert tensorrt._covers("sm80+", "sm120")
    assert not tensorrt._covers("sm80+", "sm75")


# Loading


def test_no_file(rtx, tmp_path):
    with pytest.raises(EngineLoadError, match="No such file"):
        tensorrt.TensorRTRTX(tmp_path / "g.engine", None)


def test_another_version_is_refused_before_the_file_is_looked_at(manifest, tmp_path):
    old = dataclasses.replace(manifest, build=dataclasses.replace(manifest.build, backend_version="1.2.0.54"))
    with pytest.raises(
        EngineIncompatibleError,
        match=r"built with TensorRT-RTX 1\.2\.0\.54; installed is .*stargan-rt build --onnx .* --backend tensorrt-rtx",
    ):
        tensorrt.TensorRTRTX(tmp_path / "none", old)


@pytest.mark.parametrize("kept", [0, 10, 1000, -1, "another file"])
def test_a_damaged_plan_is_refused(path, model, no_gpu, kept):
    path.write_bytes(model.read_bytes() if kept == "another file" else path.read_bytes()[:kept])
    message = r"is damaged, or .*stargan-rt build --onnx .* --backend tensorrt-rtx"
    with pytest.raises(EngineIncompatibleError, match=message):
        tensorrt.TensorRTRTX(path, None)


def test_no_driver(path, manifest, no_gpu, monkeypatch):
    monkeypatch.setattr(library, "deserialise", lambda trt, data: (None, ["cudaError 35"]))
    with pytest.raises(EngineIncompatibleError, match=r"needs an NVIDIA GPU and its driver.*no driver.*openvino"):
        tensorrt.TensorRTRTX(path, manifest)


def test_another_gpu(path, manifest, monkeypatch):
    monkeypatch.setattr(driver, "gpu", lambda: ("sm120", ""))
    with pytest.raises(EngineIncompatibleError, match=r"built for sm89; the GPU here is sm120: add --target sm120"):
        tensorrt.TensorRTRTX(path, manifest)


# Running, on a pretended GPU: what it computes is real, where it computes is not


class Network:
    """An engine, its context and its inspector: 255 - image, plus the first label value."""

    def __init__(self, trt, batches=(1, 1, 4), mend=lambda shapes: shapes):
        self.trt, self.batches = trt, batches
        self.tensors = mend(
            {
                "image": (trt.TensorIOMode.INPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
                "label": (trt.TensorIOMode.INPUT, trt.DataType.FLOAT, (-1, DIM)),
                "translated": (trt.TensorIOMode.OUTPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
            }
        )
        self.num_io_tensors = len(self.tensors)
        self.addresses, self.shapes, self.executed, self.works = {}, {}, [], True
        self.cuda, self.configs = Cuda(), []

    def get_tensor_name(self, i):
        return list(self.tensors)[i]

    def get_tensor_mode(self, name):
        return self.tensors[name][0]

    def get_tensor_dtype(self, name):
        return self.tensors[name][1]

    def get_tensor_shape(self, name):
        return self.tensors[name][2]

    def get_tensor_profile_shape(self, name, profile):
        return [(batch, *self.tensors[name][2][1:]) for batch in self.batches]

    def create_execution_context(self, config=None):
        self.configs.append(config)
        return self

    def create_engine_inspector(self):
        return self

    def get_engine_information(self, form):
        conv = {"ParameterType": "Convolution", "Weights": {"Type": "Half"}}
        return json.dumps({"Layers": [conv, conv, {"LayerType": "NoOp"}, "a name"]})

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape
        return self.batches[0] <= shape[0] <= self.batches[2]

    def execute_async_v3(self, stream_handle):
        self.cuda.put(stream_handle, self.compute)
        return self.works

    def compute(self):
        batch, pixels = self.shapes["image"][0], SIZE[0] * SIZE[1] * 3
        assert self.shapes["label"] == (batch, DIM)
        self.executed.append(batch)

        def array(name, kind, length):
            found = np.ctypeslib.as_array((kind * (batch * length)).from_address(self.addresses[name]))
            return found.reshape(batch, length)

        image, label = array("image", ctypes.c_uint8, pixels), array("label", ctypes.c_float, DIM)
        array("translated", ctypes.c_uint8, pixels)[:] = 255 - image + label[:, :1].astype(np.uint8)


@pytest.fixture
def load(rtx, path, monkeypatch, tmp_path):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))

    def load(network, manifest=None, lanes=1):
        is_network = isinstance(network, Network)
        cuda = network.cuda if is_network else Cuda()
        monkeypatch.setattr(driver, "gpu", lambda: ("sm89", ""))
        monkeypatch.setattr(driver, "cuda", lambda: cuda)
        monkeypatch.setattr(library, "deserialise", lambda trt, data: (network, []) if is_network else (None, network))
        return tensorrt.TensorRTRTX(path, manifest, RunOptions(lanes=lanes))

    return load


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("smallest", [1, 2])
def test_run_splits_and_fills_batches(rtx, load, manifest, random, count, smallest):
    network = Network(rtx, (smallest, 2, 4))
    backend = load(network, manifest)
    images = random.integers(5, 250, (count, *SIZE, 3), np.uint8)
    labels = np.zeros((count, DIM), np.float32)
    labels[:, 0] = np.arange(count) % 3
    out = backend.run(images, labels)
    np.testing.assert_array_equal(out, 255 - images + labels[:, 0, None, None, None].astype(np.uint8))
    assert sum(network.executed) >= count
    assert max(network.executed) <= 4
    kept = out.copy()
    backend.run(images[:1] // 2, labels[:1])
    np.testing.assert_array_equal(out, kept)  # nobody else's memory
    backend.close()
    assert network.cuda.allocated == 0


def test_run_from_several_threads(rtx, load, random):
    backend = load(Network(rtx))
    images = random.integers(5, 250, (8, 2, *SIZE, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        for batch, out in zip(
            images, pool.map(lambda b: backend.run(b, np.zeros((2, DIM), np.float32)), images), strict=True
        ):
            np.testing.assert_array_equal(out, 255 - batch)


def test_a_static_plan_runs_at_its_batch(rtx, load):
    def fixed(tensors):
        return {name: (mode, dtype, (2, *shape[1:])) for name, (mode, dtype, shape) in tensors.items()}

    network = Network(rtx, (2, 2, 2), fixed)
    images = np.zeros((3, *SIZE, 3), np.uint8)
    assert (load(network).run(images, np.zeros((3, DIM), np.float32)) == 255).all()
    assert network.executed == [2, 2]


def test_a_failure_of_the_gpu_is_told(rtx, load):
    network = Network(rtx)
    backend = load(network, lanes=2)
    network.works = False
    one = np.zeros((1, *SIZE, 3), np.uint8), np.zeros((1, DIM), np.float32)
    with pytest.raises(StarGANError, match=r"TensorRT refused the execution.*its lane is given up, 1 of 2 go on"):
        backend.run(*one)
    with pytest.raises(StarGANError, match=r"TensorRT refused the execution.*load the engine again"):
        backend.run(*one)
    with pytest.raises(StarGANError, match=r"no lane is left.*load the engine again"):
        backend.run(*one)
    backend.close()


def test_images_on_the_device(rtx, load, random):
    network = Network(rtx)
    backend = load(network)
    image = random.integers(5, 250, (*SIZE, 3), np.uint8)
    label = np.zeros(DIM, np.float32)
    out = backend.run_on_device(Array(image), [label], None, Stream(network.cuda))
    np.testing.assert_array_equal(values(out), 255 - image)
    with pytest.raises(InputError, match="not C-contiguous"):
        backend.run_on_device(Array(image[:, ::-1]), [label], None, None)


def test_no_memory_for_the_lanes_tells_what_is_asked_and_what_is_free(rtx, load, monkeypatch):
    def no_memory(*_, stream):
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: no")

    network = Network(rtx)
    network.device_memory_size_v2 = 300 << 20
    monkeypatch.setattr(tensorrt, "free_and_total", lambda: (100 << 20, 4096 << 20))
    monkeypatch.setattr(type(network.cuda.device), "allocate", no_memory)
    message = r"600 MiB are asked for, 100 MiB of 4,096 MiB are free\. .*fewer lanes.*--max-batch"
    with pytest.raises(EngineLoadError, match=message):
        load(network, lanes=2)
    with pytest.raises(EngineLoadError, match=r"2 MiB are asked for, 100 MiB of 4,096 MiB are free"):
        load(["[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)"])


def test_another_failure_at_load_is_told(rtx, load):
    network = Network(rtx)
    network.set_tensor_address = lambda name, address: False
    with pytest.raises(EngineLoadError, match=r"can't be made ready on the GPU: TensorRT refused the address of image"):
        load(network)


def test_contexts_of_a_lane_share_their_scratch_memory(rtx, load, random):
    network = Network(rtx)
    network.device_memory_size_v2 = 1000
    given = []
    network.set_device_memory = lambda address, size: given.append((address, size))
    backend = load(network, lanes=2)
    images = random.integers(5, 250, (3, *SIZE, 3), np.uint8)
    for count in (3, 2, 3):
        out = backend.run(images[:count], np.zeros((count, DIM), np.float32))
        np.testing.assert_array_equal(out, 255 - images[:count])
    assert network.configs == [rtx.ExecutionContextAllocationStrategy.USER_MANAGED] * 4  # batches 1, 3, 2; 1 of lane 1
    assert len({address for address, _ in given}) == 2
    assert {size for _, size in given} == {1000}
    assert backend.memory_bytes()["device"] > 2000
    backend.close()
    assert network.cuda.allocated == 0


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


def test_tensorrt_rtx_captures_by_itself_on_one_context_a_lane(rtx, load, configured, random):
    backend = load(configured, lanes=2)
    assert configured.config.cuda_graph_strategy == rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    images = random.integers(5, 250, (3, *SIZE, 3), np.uint8)
    for count in (3, 2, 3, 3, 2):
        out = backend.run(images[:count], np.zeros((count, DIM), np.float32))
        np.testing.assert_array_equal(out, 255 - images[:count])
    assert configured.configs == [configured.config] * 2
    assert "launch" not in [entry[0] for entry in configured.cuda.log]  # never both


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


def test_a_bare_plan_tells_its_signature(rtx, load, path):
    space = LabelSpace({"faces": tuple("abcde")})
    backend = load(Network(rtx))
    assert backend.plan_signature() == (SIZE, DIM)
    assert backend.layers() == {"fp16": 2}
    manifest, backend = tensorrt.open_bare("tensorrt-rtx", path, space)
    assert (manifest.size, manifest.labels, manifest.precision) == (SIZE, space, "fp16")
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
        load(Network(rtx, mend=other), manifest)


def test_a_plan_that_brings_code_is_refused(load):
    with pytest.raises(EngineIncompatibleError, match="brings code for the CPU"):
        load(["Cannot deserialize engine with lean runtime since IRuntime::getEngineHostCodeAllowed() is false."])


def test_what_the_library_refuses_is_refused_in_its_words(load):
    with pytest.raises(EngineIncompatibleError, match=r"(?s)refused by TensorRT-RTX.*tensorrt-rtx:\n  some reason"):
        load(["some reason"])
