"""OpenVINO: the CPU default, the fastest one measured there."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from queue import Empty, LifoQueue

import numpy as np
import numpy.typing as npt

from stargan_rt import machine
from stargan_rt.backends.base import DEFAULTS, Backend, RunOptions
from stargan_rt.errors import EngineLoadError, MissingDependencyError
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, Manifest

try:
    import openvino as ov
except ImportError as error:
    raise MissingDependencyError(f"openvino can't be imported ({error}); pip install openvino") from None


PRECISIONS = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}
"""OpenVINO's words → ours."""

# The binding builds this table at its first use, and two threads that do so at once wait for each other for ever.
ov.Type.u8.to_dtype()


@functools.cache
def _core() -> ov.Core:
    """One for the process, never freed.

    Its CPU plugin gives the thread that loads it another stack for signals, and frees that with the last user of the
    plugin: where that is on another thread, the next Ctrl-C would crash the first.
    """
    return ov.Core()


class OpenVINO(Backend):
    """Runs on OpenVINO's CPU plugin."""

    name = "openvino"

    def __init__(self, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> None:
        self.version: str = ov.__version__
        config: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": options.lanes,
            # Fewer threads than cores would be pinned to the first cores in every process, and fight for them: two
            # processes of one thread each were three times as slow. With all cores, pinning makes `map` a tenth
            # faster.
            "ENABLE_CPU_PINNING": options.threads is None or options.threads >= machine.cores(),
        }
        # Without a hint the plugin computes in bf16 where the CPU can, whatever the types in the graph. fp16 must be
        # requested explicitly; CPUs without it fall back to bf16. In int8 graphs, the remaining layers may run in bf16.
        precision = options.precision or manifest.precision_asked
        if precision != "int8":
            config["INFERENCE_PRECISION_HINT"] = "f16" if precision == "fp16" else "f32"
        if options.threads is not None:
            config["INFERENCE_NUM_THREADS"] = options.threads
        try:
            core = _core()
            self.has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            model = core.read_model(path)
            # A fixed shape is 4 to 7 % faster than an open one, and batches are no faster than one image after
            # the other, so the batch is always 1.
            model.reshape({IMAGE: [1, *manifest.size, 3], LABEL: [1, manifest.labels.dim]})
            self.compiled = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            raise EngineLoadError(f"OpenVINO {ov.__version__} refuses {path}: {error}") from None
        # A request serves one thread at a time. The last one used comes first: its buffers are warm.
        self._idle: LifoQueue[ov.InferRequest] = LifoQueue()

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        out = np.empty_like(images)
        self.run_into(images, labels, out)
        return out

    def run_into(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self.compiled.create_infer_request()
        try:
            for i in range(len(images)):
                request.infer({IMAGE: images[i : i + 1], LABEL: labels[i : i + 1]}, share_inputs=True)
                out[i] = request.get_output_tensor().data[0]
        finally:
            self._idle.put(request)

    def layers(self) -> dict[str, int]:
        kinds = [node.get_rt_info() for node in self.compiled.get_runtime_model().get_ops()]
        return dict(
            Counter(
                PRECISIONS.get(precision := info["runtimePrecision"].astype(str), precision)
                for info in kinds
                if info["layerType"].astype(str) in ("Convolution", "Deconvolution")
            )
        )

    def close(self) -> None:
        self._idle = LifoQueue()  # the requests hold the model too
        del self.compiled
