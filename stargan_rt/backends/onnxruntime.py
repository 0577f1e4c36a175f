"""ONNX Runtime: runs everywhere that OpenVINO does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stargan_rt import machine
from stargan_rt.backends.base import DEFAULTS, Backend, RunOptions
from stargan_rt.errors import EngineLoadError, MissingDependencyError
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, Manifest

try:
    import onnxruntime as ort
except ImportError as error:
    raise MissingDependencyError(f"onnxruntime can't be imported ({error}); pip install onnxruntime") from None


class ONNXRuntime(Backend):
    """Runs on ONNX Runtime's CPU execution provider."""

    name = "onnxruntime"

    def __init__(self, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> None:
        self.version: str = ort.__version__
        session = ort.SessionOptions()
        if options.lanes > 1:  # with one thread, a call computes on its caller's thread
            session.intra_op_num_threads = max(1, (options.threads or machine.cores()) // options.lanes)
        elif options.threads is not None:
            session.intra_op_num_threads = options.threads
        session.log_severity_level = 3  # its warnings are for its developers; errors are raised
        try:
            self._session = ort.InferenceSession(path, session, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions derive from nothing narrower
            raise EngineLoadError(f"ONNX Runtime {ort.__version__} refuses {path}: {error}") from None

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        translated: Pixels = self._session.run(None, {IMAGE: images, LABEL: labels})[0]
        return translated

    def close(self) -> None:
        del self._session
