"""Plans on a machine without a GPU; tests/driver/test_tensorrt.py runs them on the stand-in driver."""

import dataclasses
import subprocess
import sys

import onnx
import pytest

from stargan_rt import EngineIncompatibleError, EngineLoadError, MissingDependencyError
from stargan_rt.backends import tensorrt
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.build_record import BuildRecord
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.plan import compile_plan
from stargan_rt.cuda import driver
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
    monkeypatch.setattr(driver, "gpu", lambda device=0: ("", "no driver"))


# Without any vendor package


def test_nothing_of_nvidia_is_imported_before_it_is_needed():
    code = "import sys, stargan_rt.backends.tensorrt, stargan_rt.builder.plan; "
    code += "print({'tensorrt', 'tensorrt_rtx', 'cuda'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(backend, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, library.MODULES[backend], None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'stargan-rt\[{library.EXTRAS[backend]}\]'"):
        tensorrt.open_bare(backend, tmp_path / "g.engine", LabelSpace({"a": ("x",)}))


def test_a_missing_cuda_core_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(MissingDependencyError, match=r"stargan-rt\[cuda13\]"):
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
    monkeypatch.setattr(driver, "gpu", lambda device=0: ("sm120", ""))
    with pytest.raises(EngineIncompatibleError, match=r"built for sm89; GPU 0 here is sm120: add --target sm120"):
        tensorrt.TensorRTRTX(path, manifest)
