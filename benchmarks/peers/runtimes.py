"""ONNX Runtime and OpenVINO as their users call them: the float graph of `torch.onnx.export`, the rest in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from benchmarks.case import Case
from benchmarks.peers import Runner
from benchmarks.peers.arrays import to_image, to_network
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL

FEED = dict[str, npt.NDArray[np.float32]]


def onnxruntime(case: Case, provider: str = "CPUExecutionProvider") -> Runner:
    """Run the float graph on an execution provider of ONNX Runtime."""
    return _session(case.plain, case.threads, "fp32", provider)


def onnxruntime_int8(case: Case) -> Runner:
    """Quantise with its static quantiser: QDQ, signed, weights per channel, every operator it supports.

    Quantising the convolutions alone was slower.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(_feeds(case))

        def get_next(self) -> FEED | None:
            return next(self.feeds, None)

    prepared, quantized = case.folder / "prepared.onnx", case.folder / "onnxruntime-int8.onnx"
    quant_pre_process(str(case.plain), str(prepared))
    signed = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    quantize_static(prepared, quantized, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **signed)
    return _session(quantized, case.threads, "int8")


def openvino(case: Case, hint: str | None) -> Runner:
    """Run the float graph, tuned for latency.

    Args:
        case: the generator.
        hint: precision to compute in; None leaves the choice to OpenVINO.
    """
    import openvino as ov

    asked = {} if hint is None else {"INFERENCE_PRECISION_HINT": hint}
    compiled = _compiled(ov.Core().read_model(case.plain), case, asked)
    computed = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    return _request(compiled, {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}[computed])


def openvino_int8(case: Case) -> Runner:
    """Quantise the float graph with NNCF's post-training quantisation and its defaults."""
    import nncf
    import openvino as ov

    feeds = _feeds(case)
    quantized = nncf.quantize(ov.Core().read_model(case.plain), nncf.Dataset(feeds), subset_size=len(feeds))
    return _request(_compiled(quantized, case, {}), "int8")


def _feeds(case: Case) -> list[FEED]:
    return [{IMAGE: to_network(image), LABEL: label[None]} for image, label in case.calibration()]


def _session(path: Path, threads: int, precision: str, provider: str = "CPUExecutionProvider") -> Runner:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"ONNX Runtime fell back to the CPU: the libraries of {provider} do not load")

    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        return to_image(session.run(None, {IMAGE: to_network(image), LABEL: label[None]})[0])

    return Runner(translate, precision, "TF32, its default" if provider.startswith("CUDA") else "")


def _compiled(model: Any, case: Case, asked: dict[str, str]) -> Any:
    import openvino as ov

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": case.threads, **asked}
    return ov.Core().compile_model(model, "CPU", settings)


def _request(compiled: Any, precision: str) -> Runner:
    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        return to_image(compiled({IMAGE: to_network(image), LABEL: label[None]})[0])

    return Runner(translate, precision)
