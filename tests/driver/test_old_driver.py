"""A driver of CUDA 12 under the bindings of CUDA 13, as pip installs them if nothing says otherwise."""

import importlib

import pytest

from stargan_rt import EngineIncompatibleError, LabelSpace
from stargan_rt.backends import tensorrt
from stargan_rt.cuda import driver as cuda_driver

SETTINGS = {"version": 12060}


@pytest.fixture(autouse=True)
def _bindings_of_cuda_13():
    installed = importlib.import_module("cuda.bindings").__version__
    if not installed.startswith("13."):
        pytest.skip(f"these are the bindings that fit: {installed}")


def test_the_extra_that_fits_is_named():
    architecture, reason = cuda_driver.gpu()
    assert architecture == ""
    assert "needs a driver for CUDA 13; this one is for CUDA 12.6: pip install 'stargan-rt[cuda12]'" in reason


def test_a_plan_is_not_loaded(rtx, tmp_path, monkeypatch):
    """It would run, and `profile` would fail: this driver has no cuEventElapsedTime_v2."""
    (tmp_path / "g.engine").write_bytes(b"a plan")
    monkeypatch.setattr(tensorrt.TensorRT, "_check_intact", lambda self, data: None)
    monkeypatch.setattr(tensorrt.library, "deserialise", lambda trt, data: (None, ["no device"]))
    with pytest.raises(EngineIncompatibleError, match=r"none can be used here .*pip install 'stargan-rt\[cuda12\]'"):
        tensorrt.open_bare("tensorrt-rtx", tmp_path / "g.engine", LabelSpace({"a": ("x",)}))


@pytest.mark.filterwarnings("ignore:cuda-bindings was built for CUDA major version 13")
def test_the_bindings_lack_a_function_on_this_driver(device):
    stream = device.create_stream()
    start, end = (stream.record(options={"timing_enabled": True}) for _ in range(2))
    end.sync()
    with pytest.raises(Exception, match=r"cuEventElapsedTime_v2"):
        _ = end - start
