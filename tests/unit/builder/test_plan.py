import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import onnx
import pytest
from onnx import TensorProto, helper

from stargan_rt import BuildError, InputError, MissingDependencyError
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends import unavailable, version
from stargan_rt.builder import plan
from stargan_rt.builder.config import BuildConfig
from stargan_rt.cuda import driver

SIZE, DIM = (32, 32), 5


@pytest.fixture(scope="module")
def compiled(rtx, model):
    """Compiles the small model, or another, with some settings."""

    def compiled(graph=None, progress=None, **settings):
        config = BuildConfig(**({"targets": ("sm89",)} | settings))
        return plan.compile_plan("tensorrt-rtx", graph or onnx.load(model), config, SIZE, DIM, progress)

    return compiled


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(driver, "gpu", lambda: ("", "no driver"))


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(backend, monkeypatch):
    monkeypatch.setitem(sys.modules, library.MODULES[backend], None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'stargan-rt\[{backend}.*\]'"):
        plan.compile_plan(backend, onnx.ModelProto(), BuildConfig(), SIZE, DIM)
    assert "pip install" in unavailable(backend)


def test_compiles_for_gpus_that_are_not_here(compiled):
    settings = {"profiles": ("2", "3:4:8"), "workspace_mib": 64, "optimization_level": 1}
    found = compiled(targets=("sm75", "sm120"), **settings)
    assert found.targets == ("sm75", "sm120")
    assert found.layers == {"fp32": 8}
    assert found.version == version("tensorrt-rtx")
    assert len(found.data) > 10_000


@pytest.mark.parametrize(
    "settings", [{"dla_core": 0}, {"hardware_compatible": True}, {"version_compatible": True}, {"timing_cache": "t"}]
)
def test_a_setting_that_the_library_lacks_is_refused(compiled, settings):
    with pytest.raises(InputError, match=r"TensorRT-RTX 1.* has no --" + next(iter(settings)).replace("_", "-")):
        compiled(**settings)


def test_an_unknown_target_is_refused_with_the_known_ones(compiled):
    with pytest.raises(InputError, match=r"can't build for sm90; it can for sm75, .*sm120"):
        compiled(targets=("sm89", "sm90"))


def test_without_targets_the_gpu_here_is_built_for(compiled, monkeypatch, no_gpu):
    with pytest.raises(InputError, match=r"no usable GPU here.*--target sm86"):
        compiled(targets=())
    monkeypatch.setattr(driver, "gpu", lambda: ("sm86", ""))
    assert compiled(targets=()).targets == ("sm86",)


def test_tensorrt_builds_for_the_gpu_here_only(rtx, monkeypatch, no_gpu):
    monkeypatch.setattr(library, "vendor", lambda backend: rtx)  # it gets no further than the targets
    with pytest.raises(BuildError, match=r"none is usable here \(no driver\): build there"):
        plan.compile_plan("tensorrt", onnx.ModelProto(), BuildConfig(), SIZE, DIM)
    monkeypatch.setattr(driver, "gpu", lambda: ("sm86", ""))
    with pytest.raises(InputError, match=r"the GPU in this machine, sm86, not for sm89; build on that machine"):
        plan.compile_plan("tensorrt", onnx.ModelProto(), BuildConfig(targets=("sm86", "sm89")), SIZE, DIM)


def graph(*nodes, initializers=()):
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *SIZE, 3])
    label = helper.make_tensor_value_info("label", TensorProto.FLOAT, ["batch", DIM])
    out = helper.make_tensor_value_info("translated", TensorProto.UINT8, None)
    made = helper.make_graph(list(nodes), "g", [image, label], [out], list(initializers))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_network_that_is_refused_comes_with_the_librarys_own_words(compiled):
    with pytest.raises(
        BuildError, match=r"(?s)^TensorRT-RTX 1\S+ can't read the network:.*turn \(Transpose\): .*has type UInt8"
    ):
        compiled(graph(helper.make_node("Transpose", ["image"], ["translated"], "turn", perm=[0, 3, 1, 2])))
    zero = [helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]), helper.make_tensor("z", TensorProto.INT8, [], [3])]
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        helper.make_node("Cast", ["y"], ["translated"], to=TensorProto.UINT8),
    ]
    with pytest.raises(BuildError, match=r"(?s)quantise \(QuantizeLinear\): .*zero"):
        compiled(graph(*nodes, initializers=zero))


def test_a_network_of_another_size_is_refused(rtx, model):
    with pytest.raises(BuildError, match="profile has min=64"):
        plan.compile_plan("tensorrt-rtx", onnx.load(model), BuildConfig(targets=("sm89",)), (64, 64), DIM)


def test_precisions_are_read_from_the_graph(compiled, model):
    typed = onnx.load(model)
    conv = next(node for node in typed.graph.node if node.op_type == "Conv")
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
        assert compiled(typed).layers == expected


def test_progress_is_told(compiled):
    told = []
    compiled(progress=lambda *step: told.append(step))
    assert told
    assert all(phase and 1 <= done <= total for phase, done, total in told)


def test_ctrl_c_ends_the_build_and_the_handler_is_put_back(compiled):
    before = signal.getsignal(signal.SIGINT)
    steps = []

    def press(*step):
        steps.append(step)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        compiled(progress=press)
    assert len(steps) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert compiled().data  # nothing of it is left


def test_an_error_of_the_progress_function_comes_out(compiled):
    def fail(*_):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        compiled(progress=fail)


def test_builds_in_threads(compiled):
    with ThreadPoolExecutor(2) as pool:
        assert all(found.data for found in pool.map(lambda _: compiled(), range(2)))


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
    options.log = library.log(rtx)
    assert plan._attach_cache(options, path, options.log) == attached == options.attached
    assert bool(caplog.records) == (content not in (None, b"good"))
    assert options.complaint in caplog.text


def test_a_timing_cache_that_cannot_be_read_is_refused(rtx, tmp_path):
    with pytest.raises(InputError, match="can't read the timing cache"):
        plan._attach_cache(Options(), tmp_path, library.log(rtx))
