import ctypes
import dataclasses
import json
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stargan_rt import BuildError, EngineIncompatibleError, EngineLoadError, InputError, MissingDependencyError
from stargan_rt.backends import tensorrt, unavailable
from stargan_rt.build.config import BuildConfig
from stargan_rt.errors import StarGANError
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import read_onnx

SIZE, DIM = (32, 32), 5


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX: pip install 'stargan-rt[tensorrt-rtx]'")


@pytest.fixture(scope="module")
def build(rtx, model):
    """Builds the small model, or another, with some settings."""

    def build(data=None, progress=None, **settings):
        config = BuildConfig(**({"targets": ("sm89",)} | settings))
        return tensorrt.compile_plan("tensorrt-rtx", data or model.read_bytes(), config, SIZE, DIM, progress)

    return build


@pytest.fixture(scope="module")
def plan(build):
    return build()


@pytest.fixture
def path(plan, tmp_path):
    path = tmp_path / "g.engine"
    path.write_bytes(plan.data)
    return path


@pytest.fixture
def manifest(model, plan):
    facts = {"backend": "tensorrt-rtx", "backend_version": plan.version, "targets": ["sm89"]}
    return dataclasses.replace(read_onnx(model)[0], build={**facts, "config": {"precision": "fp16"}})


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(tensorrt, "_gpu", lambda: ("", "no driver"))


# Without any vendor package


def test_nothing_of_nvidia_is_imported_before_it_is_needed():
    code = "import sys, stargan_rt.backends.tensorrt; print({'tensorrt', 'tensorrt_rtx', 'cuda'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(backend, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, tensorrt.MODULES[backend], None)
    command = rf"pip install 'stargan-rt\[{backend}\]'"
    with pytest.raises(MissingDependencyError, match=command):
        tensorrt.compile_plan(backend, b"", BuildConfig(), SIZE, DIM)
    with pytest.raises(MissingDependencyError, match=command):
        tensorrt.open_bare(backend, tmp_path / "g.engine", LabelSpace({"a": ("x",)}))
    assert "pip install" in unavailable(backend)


def test_a_missing_cuda_core_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(MissingDependencyError, match=r"stargan-rt\[cuda\]"):
        tensorrt._gpu()


def test_targets_cover():
    assert tensorrt._covers("sm86", "sm86")
    assert not tensorrt._covers("sm86", "sm89")
    assert tensorrt._covers("sm80+", "sm120")
    assert not tensorrt._covers("sm80+", "sm75")


# Building


@pytest.mark.parametrize(
    "targets", [("sm75",), ("sm80",), ("sm86",), ("sm89",), ("sm120",), ("sm75", "sm80", "sm86", "sm89", "sm120")]
)
def test_builds_for_gpus_that_are_not_here(build, targets):
    plan = build(targets=targets)
    assert plan.targets == targets
    assert plan.layers == {"fp32": 8}
    assert plan.version == tensorrt.installed_version("tensorrt-rtx")
    assert len(plan.data) > 10_000


def test_settings_of_tensorrt_rtx(build):
    assert build(min_batch=2, opt_batch=4, max_batch=4, workspace_mib=64, optimization_level=1).data


@pytest.mark.parametrize(
    "settings", [{"dla_core": 0}, {"hardware_compatible": True}, {"version_compatible": True}, {"timing_cache": "t"}]
)
def test_a_setting_that_the_library_lacks_is_refused(build, settings):
    with pytest.raises(InputError, match=r"TensorRT-RTX 1.* has no --" + next(iter(settings)).replace("_", "-")):
        build(**settings)


def test_an_unknown_target_is_refused_with_the_known_ones(build):
    with pytest.raises(InputError, match=r"can't build for sm90; it can for sm75, .*sm120"):
        build(targets=("sm89", "sm90"))


def test_without_targets_the_gpu_here_is_built_for(build, monkeypatch, no_gpu):
    with pytest.raises(InputError, match=r"no usable GPU here.*--target sm86"):
        build(targets=())
    monkeypatch.setattr(tensorrt, "_gpu", lambda: ("sm86", ""))
    assert build(targets=()).targets == ("sm86",)


def test_tensorrt_builds_for_the_gpu_here_only(rtx, monkeypatch, no_gpu):
    monkeypatch.setattr(tensorrt, "vendor", lambda backend: rtx)  # it gets no further than the targets
    with pytest.raises(BuildError, match=r"none is usable here \(no driver\): build there"):
        tensorrt.compile_plan("tensorrt", b"", BuildConfig(), SIZE, DIM)
    monkeypatch.setattr(tensorrt, "_gpu", lambda: ("sm86", ""))
    with pytest.raises(InputError, match=r"the GPU in this machine, sm86, not for sm89; build on that machine"):
        tensorrt.compile_plan("tensorrt", b"", BuildConfig(targets=("sm86", "sm89")), SIZE, DIM)


def graph(*nodes, initializers=()):
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *SIZE, 3])
    label = helper.make_tensor_value_info("label", TensorProto.FLOAT, ["batch", DIM])
    out = helper.make_tensor_value_info("translated", TensorProto.UINT8, None)
    made = helper.make_graph(list(nodes), "g", [image, label], [out], list(initializers))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def test_a_network_that_is_refused_comes_with_the_librarys_own_words(build):
    with pytest.raises(BuildError, match=r"(?s)can't read the network:.*turn \(Transpose\): .*has type UInt8"):
        build(graph(helper.make_node("Transpose", ["image"], ["translated"], "turn", perm=[0, 3, 1, 2])))
    zero = [helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]), helper.make_tensor("z", TensorProto.INT8, [], [3])]
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        helper.make_node("Cast", ["y"], ["translated"], to=TensorProto.UINT8),
    ]
    with pytest.raises(BuildError, match=r"(?s)quantise \(QuantizeLinear\): .*zero"):
        build(graph(*nodes, initializers=zero))
    with pytest.raises(BuildError, match="Failed to parse the ONNX model"):
        build(b"no ONNX")


def test_a_network_of_another_size_is_refused(rtx, model):
    with pytest.raises(BuildError, match="profile has min=64"):
        tensorrt.compile_plan("tensorrt-rtx", model.read_bytes(), BuildConfig(targets=("sm89",)), (64, 64), DIM)


def test_precisions_are_read_from_the_graph(build, model):
    typed = onnx.load(model)
    conv = next(node for node in typed.graph.node if node.op_type == "Conv" and node.input[1] != "")
    conv.name = conv.name or "first"
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [0.05])
    zero = helper.make_tensor("zero", TensorProto.INT8, [], [0])
    typed.graph.initializer.extend([scale, zero])
    at = list(typed.graph.node).index(conv)
    for i in (1, 0):  # around the weights, then around the image
        name = conv.input[i]
        quantise = helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_q"], f"q{i}")
        back = helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_dq"], f"dq{i}")
        conv.input[i] = f"{name}_dq"
        typed.graph.node.insert(at, back)
        typed.graph.node.insert(at, quantise)
        expected = {"fp32": 8} if i == 1 else {"fp32": 7, "int8": 1}  # quantised weights alone compute in float
        assert build(typed.SerializeToString()).layers == expected


def test_progress_is_told(build):
    told = []
    build(progress=lambda *step: told.append(step))
    assert ("Building engine", 1, 6) in told or len({phase for phase, _, _ in told}) > 1
    assert all(1 <= done <= total for _, done, total in told)


def test_ctrl_c_ends_the_build_and_the_handler_is_put_back(build):
    before = signal.getsignal(signal.SIGINT)
    steps = []

    def press(*step):
        steps.append(step)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build(progress=press)
    assert len(steps) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert build().data  # nothing of it is left


def test_an_error_of_the_progress_function_comes_out(build):
    def fail(*_):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        build(progress=fail)


def test_builds_in_threads(build):
    with ThreadPoolExecutor(2) as pool:
        assert all(plan.data for plan in pool.map(lambda _: build(), range(2)))


class Options:
    """What a timing cache needs of TensorRT's builder config."""

    def __init__(self, taken=True, complaint=""):
        self.taken, self.complaint, self.attached = taken, complaint, None

    def create_timing_cache(self, data):
        if data and self.complaint:
            self.log.log(2, self.complaint)
        return data

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        if cache and not self.taken:
            return False
        self.attached = cache
        return True


@pytest.mark.parametrize(
    ("content", "options", "attached"),
    [
        (None, Options(), b""),
        (b"good", Options(), b"good"),
        (b"torn", Options(complaint="Failed to deserialize timing cache"), b""),
        (b"other GPU", Options(taken=False), b""),
    ],
)
def test_a_timing_cache_of_no_use_is_replaced(rtx, tmp_path, caplog, content, options, attached):
    path = tmp_path / "timing"
    if content is not None:
        path.write_bytes(content)
    options.log = tensorrt._log(rtx)
    assert tensorrt._attach_cache(options, path, options.log) == attached == options.attached
    assert bool(caplog.records) == (content not in (None, b"good"))
    assert options.complaint in caplog.text


def test_a_timing_cache_that_cannot_be_read_is_refused(rtx, tmp_path):
    with pytest.raises(InputError, match="can't read the timing cache"):
        tensorrt._attach_cache(Options(), tmp_path, tensorrt._log(rtx))


# Loading


def test_no_file(rtx, tmp_path):
    with pytest.raises(EngineLoadError, match="No such file"):
        tensorrt.TensorRTRTX(tmp_path / "g.engine", None)


def test_another_version_is_refused_before_the_file_is_looked_at(manifest, tmp_path):
    old = dataclasses.replace(manifest, build={**manifest.build, "backend_version": "1.2.0.54"})
    with pytest.raises(
        EngineIncompatibleError,
        match=r"built with TensorRT-RTX 1\.2\.0\.54; installed is .*stargan-rt build --onnx .* --backend tensorrt-rtx",
    ):
        tensorrt.TensorRTRTX(tmp_path / "none", old)


@pytest.mark.parametrize("kept", [0, 10, 1000, -1])
def test_a_damaged_plan_is_refused(path, no_gpu, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(EngineIncompatibleError, match=r"damaged.*stargan-rt build --onnx .* --backend tensorrt-rtx"):
        tensorrt.TensorRTRTX(path, None)


def test_a_file_that_is_no_plan_is_refused(model, no_gpu):
    with pytest.raises(EngineIncompatibleError, match="damaged, or no engine of TensorRT-RTX"):
        tensorrt.TensorRTRTX(model, None)


def test_no_driver(path, manifest, no_gpu, monkeypatch):
    monkeypatch.setattr(tensorrt, "_deserialise", lambda trt, data: (None, ["cudaError 35"]))
    with pytest.raises(EngineIncompatibleError, match=r"needs an NVIDIA GPU and its driver.*no driver.*openvino"):
        tensorrt.TensorRTRTX(path, manifest)


def test_another_gpu(path, manifest, monkeypatch):
    monkeypatch.setattr(tensorrt, "_gpu", lambda: ("sm120", ""))
    with pytest.raises(EngineIncompatibleError, match=r"built for sm89; the GPU here is sm120: add --target sm120"):
        tensorrt.TensorRTRTX(path, manifest)


# Running, on a pretended GPU: what it computes is real, where it computes is not


class Buffer:
    def __init__(self, handle, size, owner):
        self.handle, self.size, self.owner, self.closed = handle, size, owner, False

    @classmethod
    def from_handle(cls, handle, size, owner):
        return cls(handle, size, owner)

    @classmethod
    def allocate(cls, size, stream=None):
        memory = (ctypes.c_uint8 * size)()
        return cls(ctypes.addressof(memory), size, memory)

    def copy_to(self, other, *, stream):
        assert stream is not None
        assert self.size == other.size
        ctypes.memmove(other.handle, self.handle, self.size)

    def close(self, stream=None):
        self.closed = True


class Stream:
    handle, closed = 7, False

    def sync(self):
        assert not self.closed

    def close(self):
        self.closed = True


class Device:
    def __init__(self, number):
        assert number == 0

    def set_current(self):
        pass

    allocate = staticmethod(Buffer.allocate)

    def create_stream(self, options):
        assert options.nonblocking
        return Stream()


CUDA = types.SimpleNamespace(
    Device=Device, Buffer=Buffer, LegacyPinnedMemoryResource=lambda: Buffer, StreamOptions=types.SimpleNamespace
)


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

    def create_execution_context(self):
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
        assert stream_handle == 7
        batch, pixels = self.shapes["image"][0], SIZE[0] * SIZE[1] * 3
        assert self.shapes["label"] == (batch, DIM)
        self.executed.append(batch)

        def array(name, kind, length):
            found = np.ctypeslib.as_array((kind * (batch * length)).from_address(self.addresses[name]))
            return found.reshape(batch, length)

        image, label = array("image", ctypes.c_uint8, pixels), array("label", ctypes.c_float, DIM)
        array("translated", ctypes.c_uint8, pixels)[:] = 255 - image + label[:, :1].astype(np.uint8)
        return self.works


@pytest.fixture
def load(rtx, path, monkeypatch):
    def load(network, manifest=None):
        monkeypatch.setattr(tensorrt, "_gpu", lambda: ("sm89", ""))
        monkeypatch.setattr(tensorrt, "_cuda", lambda: CUDA)
        found = (network, []) if isinstance(network, Network) else (None, network)
        monkeypatch.setattr(tensorrt, "_deserialise", lambda trt, data: found)
        return tensorrt.TensorRTRTX(path, manifest)

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
    assert backend._stream.closed


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
    backend = load(network)
    network.works = False
    with pytest.raises(StarGANError, match=r"TensorRT refused the execution.*load the engine again"):
        backend.run(np.zeros((1, *SIZE, 3), np.uint8), np.zeros((1, DIM), np.float32))


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
