"""The network in a detector's `.tflite` file, run by OpenVINO, or by ONNX Runtime where OpenVINO is not installed."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError
from stargan_rt.faces.face import Array
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole

Floats = npt.NDArray[np.float32]


def open_network(path: Path) -> OpenVINONetwork | OnnxNetwork:
    """Open a detector's file with the first of OpenVINO and ONNX Runtime that is installed.

    Raises:
        InputError: the file can't be read, or is not a network with one image in and two outputs.
    """
    try:
        import openvino  # noqa: F401
    except ImportError:
        return OnnxNetwork(path)
    return OpenVINONetwork(path)


class OpenVINONetwork:
    """Runs on one thread of the CPU: the network is too small for more."""

    def __init__(self, path: Path) -> None:
        try:
            model = _core().read_model(path)
            config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
            self._request = _core().compile_model(model, "CPU", config).create_infer_request()
            self.size = _side([int(side) for side in model.inputs[0].shape], len(model.outputs), path)
        except RuntimeError as error:
            raise InputError(f"OpenVINO can't read {path} as a face detector: {error}") from None

    def run(self, image: Floats) -> tuple[Array, Array]:
        self._request.infer({0: np.ascontiguousarray(image[None])})
        return _outputs([tensor.data for tensor in self._request.output_tensors])


class OnnxNetwork:
    """Runs the file after converting it to ONNX; the conversion is kept in the cache."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        from stargan_rt.faces.tflite_to_onnx import converted
        from stargan_rt.files import sha256

        try:
            cached = cache_folder() / "detectors" / f"{sha256(path)[:16]}.onnx"
            if not cached.is_file():
                data = converted(path.read_bytes())
                with written_whole(cached, CACHE_HINT) as temporary:
                    temporary.write_bytes(data)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise InputError(f"{path} can't be converted to ONNX ({error}); install OpenVINO to run it") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(cached), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.size = _side(self._session.get_inputs()[0].shape, len(self._session.get_outputs()), path)

    def run(self, image: Floats) -> tuple[Array, Array]:
        return _outputs(self._session.run(None, {self._input: image[None]}))


def _side(shape: list[int], outputs: int, path: Path) -> int:
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or outputs != 2:
        raise InputError(
            f"{path} is not a BlazeFace detector: its input has shape {shape}, and it has {outputs} outputs"
        )
    return shape[1]


def _outputs(tensors: list[Any]) -> tuple[Array, Array]:
    """Return the regressors ``(anchors, 16)`` and the logits ``(anchors,)``, in whichever order they come."""
    logits, regressors = sorted((np.asarray(tensor[0]) for tensor in tensors), key=lambda tensor: tensor.shape[-1])
    return regressors, logits[..., 0]


@functools.cache
def _core() -> Any:
    import openvino as ov

    return ov.Core()
