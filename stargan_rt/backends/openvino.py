"""OpenVINO: the CPU default, the fastest one measured there."""

from __future__ import annotations

from pathlib import Path
from queue import Empty, LifoQueue

import numpy as np
import numpy.typing as npt

from stargan_rt.backends.base import Backend
from stargan_rt.errors import EngineLoadError, MissingDependencyError
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL

try:
    import openvino as ov
except ImportError as error:
    raise MissingDependencyError(f"openvino can't be imported ({error}); pip install openvino") from None


# The binding builds this table at its first use, and two threads that do so at once wait for each other for ever.
ov.Type.u8.to_dtype()


class OpenVINO(Backend):
    """Runs on OpenVINO's CPU plugin."""

    name = "openvino"

    def __init__(self, path: Path, threads: int | None) -> None:
        self.version: str = ov.__version__
        config: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            # The plugin would quietly compute in bf16 where the CPU can; precision is the graph's business.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            self._model = ov.Core().compile_model(path, "CPU", config)
        except RuntimeError as error:
            raise EngineLoadError(f"OpenVINO {ov.__version__} refuses {path}: {error}") from None
        # A request serves one thread at a time. The last one used comes first: its buffers are warm.
        self._idle: LifoQueue[ov.InferRequest] = LifoQueue()

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._model.create_infer_request()
        try:
            request.infer({IMAGE: images, LABEL: labels}, share_inputs=True)
            return np.array(request.get_output_tensor().data)
        finally:
            self._idle.put(request)

    def close(self) -> None:
        self._idle = LifoQueue()  # the requests hold the model too
        del self._model
