"""ONNX Runtime and its execution providers; only the one for CPUs is here, the others are tested up to their start."""

import numpy as np
import onnxruntime as ort
import pytest

from stargan_rt import Engine, EngineLoadError, InputError, MissingDependencyError, backends, machine
from stargan_rt.backends import RunOptions
from stargan_rt.backends.onnxruntime import Bound, ONNXRuntime, providers, run_bound
from stargan_rt.builder import typed_graph
from stargan_rt.manifest import read_onnx, write_to_onnx


def absent(*kinds):
    return [kind for kind in kinds if kind not in providers()]


def test_the_cpu_is_the_default_device(model):
    with Engine.load(model, backend="onnxruntime") as engine:
        assert engine.device == "cpu"
    with Engine.load(model, backend="onnxruntime", device="cpu") as engine:
        assert engine.device == "cpu"


@pytest.mark.parametrize("device", absent("cuda", "tensorrt", "dml", "coreml"))
def test_a_provider_that_is_not_installed_is_named(model, device):
    with pytest.raises(
        MissingDependencyError, match=rf"has no \w+ExecutionProvider, which device '{device}.* it has cpu"
    ):
        Engine.load(model, backend="onnxruntime", device=device)


@pytest.mark.parametrize("device", [1, "1"])
def test_a_number_is_a_cuda_device(model, device):
    if "cuda" in providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(MissingDependencyError, match=r"'cuda:1' needs.*pip install onnxruntime-gpu"):
        Engine.load(model, backend="onnxruntime", device=device)


@pytest.mark.parametrize("device", ["tpu", "cpu:1", "cuda:x", "cuda:", "coreml:0"])
def test_unknown_devices_are_refused(model, device):
    with pytest.raises(InputError, match=rf"no device '{device}'; known: cpu, cuda:0, tensorrt:0, dml:0, coreml"):
        Engine.load(model, backend="onnxruntime", device=device)


def test_a_provider_that_does_not_start_is_an_error_and_not_the_cpu(model, monkeypatch):
    """ONNX Runtime goes on with the CPU then; here it really does, since its list of providers is wrong."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineLoadError, match="can't start CUDAExecutionProvider for device 'cuda:0'"),
    ):
        Engine.load(model, backend="onnxruntime", device="cuda:0")


def test_openvino_has_no_other_device(model):
    with pytest.raises(InputError, match="openvino runs on the CPU"):
        Engine.load(model, backend="openvino", device="cuda:0")


def test_auto_takes_cuda_where_a_gpu_is_and_tensorrt_is_not(model, monkeypatch):
    manifest = read_onnx(model)[0]
    loaded = []

    class Recorded(ONNXRuntime):
        def __init__(self, path, manifest, options):
            loaded.append(options.device)
            super().__init__(path, manifest, RunOptions())

    real, version = backends.backend_class, backends.version
    monkeypatch.setattr(backends, "backend_class", lambda name: Recorded if name == "onnxruntime" else real(name))
    monkeypatch.setattr(machine, "gpu", lambda: "a GPU")
    backends.create("auto", model, manifest).close()
    assert loaded == []  # onnxruntime-gpu is not installed
    monkeypatch.setattr(backends, "version", lambda name: "1.32" if name == "onnxruntime-gpu" else version(name))
    monkeypatch.setattr(backends, "unavailable", lambda name: "not installed" if name in backends.PLANS else None)
    backends.create("auto", model, manifest).close()
    assert loaded == ["cuda:0"]
    monkeypatch.setattr(backends, "unavailable", lambda name: None)
    backends.create("auto", model, manifest).close()
    assert loaded == ["cuda:0"]  # TensorRT is there: the file is to be built for it


@pytest.fixture
def session(model):
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def test_memory_of_the_caller_is_read_and_written_in_place(model, session, random):
    """Bound by address, as on a GPU, but on the device that is here."""
    images = random.integers(0, 256, (2, 32, 32, 3), np.uint8)
    labels = np.eye(5, dtype=np.float32)[:2]
    expected = session.run(None, {"image": images, "label": labels})[0]
    out = np.empty_like(images)
    run_bound(session, images.ctypes.data, labels, out.ctypes.data, images.shape, "cpu", 0)
    np.testing.assert_array_equal(out, expected)
    run_bound(session, images.ctypes.data, labels, images.ctypes.data, images.shape, "cpu", 0)
    np.testing.assert_array_equal(images, expected)


def test_buffers_of_a_batch_size_are_used_again(session, random):
    labels = np.eye(5, dtype=np.float32)[:2]
    first = random.integers(0, 256, (2, 32, 32, 3), np.uint8)
    bound = Bound(session, first, labels, "cpu", 0)
    for images in (first, 255 - first):
        expected = session.run(None, {"image": images, "label": labels})[0]
        np.testing.assert_array_equal(bound.run(images, labels), expected)


def test_an_fp16_graph_runs_as_it_is(model, tmp_path, image):
    manifest, graph = read_onnx(model)
    typed = typed_graph(graph, "fp16", "onnxruntime")
    write_to_onnx(manifest, typed)
    (tmp_path / "h.onnx").write_bytes(typed.SerializeToString())
    with (
        Engine.load(tmp_path / "h.onnx", backend="onnxruntime", device="cpu") as half,
        Engine.load(model, backend="onnxruntime") as full,
    ):
        difference = half.translate(image, "happy").astype(int) - full.translate(image, "happy")
    assert np.abs(difference).mean() < 2
