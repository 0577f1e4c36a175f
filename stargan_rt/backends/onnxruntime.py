"""ONNX Runtime: a backend for CPUs, and through its execution providers for GPUs without TensorRT."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt import machine
from stargan_rt.backends.base import DEFAULTS, Backend, RunOptions
from stargan_rt.errors import EngineLoadError, InputError, MissingDependencyError
from stargan_rt.files import cache_folder
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, Manifest

try:
    import onnxruntime as ort
except ImportError as error:
    raise MissingDependencyError(f"onnxruntime can't be imported ({error}); pip install onnxruntime") from None


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kind:
    """A kind of device: ONNX Runtime's provider for it, and the package that contains that provider."""

    provider: str
    package: str
    numbered: bool = False


KINDS = {
    "cpu": _Kind("CPUExecutionProvider", "onnxruntime"),
    "cuda": _Kind("CUDAExecutionProvider", "onnxruntime-gpu", True),
    "tensorrt": _Kind("TensorrtExecutionProvider", "onnxruntime-gpu", True),
    "dml": _Kind("DmlExecutionProvider", "onnxruntime-directml", True),
    "coreml": _Kind("CoreMLExecutionProvider", "onnxruntime"),
}
"""Name of a device, without its number → what computes there."""
GPU_BATCH = 32
"""Largest batch on a GPU; larger ones are split, so that memory stays bounded."""


def providers() -> list[str]:
    """Return the devices that the installed ONNX Runtime was built for, such as ``["cpu", "cuda"]``."""
    available = ort.get_available_providers()
    return [name for name, kind in KINDS.items() if kind.provider in available]


class ONNXRuntime(Backend):
    """Runs on one of ONNX Runtime's execution providers.

    On a CPU it is the one that works everywhere. On NVIDIA GPUs it needs neither TensorRT nor a build.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> None:
        """Load an ONNX file.

        Args:
            path: the file.
            manifest: what it is.
            options: threads and lanes, for the CPU; the device: ``"cpu"`` by default, ``"cuda:0"`` or a number,
                ``"tensorrt:0"``, ``"dml:0"`` or ``"coreml"``.

        Raises:
            InputError: an unknown device.
            MissingDependencyError: the installed ONNX Runtime does not contain the provider of the device.
            EngineLoadError: the provider can't be started, or ONNX Runtime refuses the file.
        """
        self.version: str = ort.__version__
        self._kind, number = _parsed(options.device)
        self.device = f"{self._kind}:{number}" if KINDS[self._kind].numbered else self._kind
        self._number = number
        self._graphs = options.graphs
        self._on_cuda = self._kind in ("cuda", "tensorrt")
        self.gathers = self._kind != "cpu"
        if self.gathers:
            self.max_batch = GPU_BATCH
        session = ort.SessionOptions()
        if options.lanes > 1:  # with one thread, a call computes on its caller's thread
            session.intra_op_num_threads = max(1, (options.threads or machine.cores()) // options.lanes)
        elif options.threads is not None:
            session.intra_op_num_threads = options.threads
        session.log_severity_level = 3  # its warnings are for its developers; errors are raised
        self._session = self._start(path, session)
        self._bound: dict[int, Bound] = {}
        self._turn = threading.Lock()

    def _start(self, path: Path, options: Any) -> Any:
        kind = KINDS[self._kind]
        if kind.provider not in ort.get_available_providers():
            raise MissingDependencyError(
                f"the installed ONNX Runtime {ort.__version__} has no {kind.provider}, which device {self.device!r} "
                f"needs; it has {', '.join(providers())}. {_install(kind.package)}"
            )
        try:
            try:
                session = ort.InferenceSession(path, options, providers=[(kind.provider, self._provider_options())])
            except Exception as error:
                if not (self._on_cuda and self._graphs):
                    raise
                # CUDA graphs are refused where any operator stays on the CPU.
                logger.warning("%s runs without CUDA graphs, which is slower: %s", path, error)
                self._graphs = False
                session = ort.InferenceSession(path, options, providers=[(kind.provider, self._provider_options())])
        except Exception as error:  # its exceptions derive from nothing narrower
            raise EngineLoadError(f"ONNX Runtime {ort.__version__} refuses {path}: {error}") from None
        if kind.provider not in session.get_providers():  # it then goes on with the CPU, without an error
            raise EngineLoadError(
                f"ONNX Runtime {ort.__version__} can't start {kind.provider} for device {self.device!r}; the driver or "
                "a library of CUDA or cuDNN is missing or too old. Run stargan-rt doctor, or use device='cpu'"
            )
        return session

    def _provider_options(self) -> dict[str, str]:
        number = str(self._number)
        if self._kind == "cuda":
            # TF32 would give float32 graphs other pixels; precision is in the graph.
            return {"device_id": number, "use_tf32": "0", "enable_cuda_graph": "1" if self._graphs else "0"}
        if self._kind == "tensorrt":
            folder = cache_folder() / "onnxruntime-tensorrt"
            folder.mkdir(parents=True, exist_ok=True)
            cache = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
            return {"device_id": number, "trt_cuda_graph_enable": "1" if self._graphs else "0", **cache}
        return {"device_id": number} if KINDS[self._kind].numbered else {}

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        if not self._on_cuda:
            translated: Pixels = self._session.run(None, {IMAGE: images, LABEL: labels})[0]
            return translated
        with self._turn:  # the buffers of a batch size serve one call at a time
            bound = self._bound.get(len(images))
            if bound is None:
                bound = self._bound[len(images)] = Bound(self._session, images, labels, "cuda", self._number)
            return bound.run(images, labels)

    def run_on_device(self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any, stream: Any) -> Any:
        """Translate images on the GPU; the host waits for the result.

        For arguments and errors, see `stargan_rt.cuda.lanes.Lanes.run_on_device`.
        """
        if not self._on_cuda:
            return super().run_on_device(image, passes, out, stream)
        from stargan_rt.cuda import driver
        from stargan_rt.cuda.context import PrimaryContext
        from stargan_rt.cuda.interop import Border

        cuda = driver.cuda()
        context = PrimaryContext(cuda.Device(self._number))
        size = tuple(self._session.get_inputs()[0].shape[1:3])
        with context.current():
            border = Border(cuda, context, size)
            caller, _ = border.stream(image, stream)
            source = border.view(image, "the image", -1)
            shape = tuple(source.shape)
            count = shape[0] if len(shape) == 4 else 1
            if any(vectors.ndim == 2 and len(vectors) != count for vectors in passes):
                raise InputError(f"the numbers of images and labels differ; for {self.device}, give one label an image")
            if out is None:
                out = border.empty(image, shape, caller)
            target = border.view(out, "out", -1)
            if tuple(target.shape) != shape or target.readonly:
                raise InputError(f"out must be a writable array of shape {shape}; got {tuple(target.shape)}")
            caller.sync()  # ONNX Runtime computes on a stream of its own
            address = source.ptr
            for vectors in passes:
                rows = np.ascontiguousarray(np.broadcast_to(vectors, (count, vectors.shape[-1])))
                batch = (count, *size, 3)
                run_bound(self._session, address, rows, target.ptr, batch, "cuda", self._number)
                address = target.ptr
        return out

    def close(self) -> None:
        self._bound.clear()
        del self._session


class Bound:
    """Buffers on a device for one batch size, which the session reads and writes at the same addresses every time."""

    def __init__(self, session: Any, images: Pixels, labels: npt.NDArray[np.float32], kind: str, number: int) -> None:
        self._session = session
        self._options = graph_number(len(images))
        self._values = {
            name: ort.OrtValue.ortvalue_from_numpy(array, kind, number)
            for name, array in ((IMAGE, images), (LABEL, labels), (TRANSLATED, np.empty_like(images)))
        }
        self._binding = session.io_binding()
        for name in (IMAGE, LABEL):
            self._binding.bind_ortvalue_input(name, self._values[name])
        self._binding.bind_ortvalue_output(TRANSLATED, self._values[TRANSLATED])

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        self._values[IMAGE].update_inplace(images)
        self._values[LABEL].update_inplace(labels)
        self._session.run_with_iobinding(self._binding, self._options)
        translated: Pixels = self._values[TRANSLATED].numpy()
        return translated


def run_bound(
    session: Any,
    image: int,
    labels: npt.NDArray[np.float32],
    out: int,
    shape: tuple[int, ...],
    kind: str,
    number: int,
) -> None:
    """Run a session on memory of the caller, and wait for it.

    Args:
        session: of ONNX Runtime.
        image: address of uint8 images of `shape`.
        labels: float32 ``(n, c)`` on the host.
        out: address for the result; it may be `image`.
        shape: ``(n, H, W, 3)``.
        kind, number: of the device that both addresses are on: ``"cuda"`` or ``"cpu"``.
    """
    binding = session.io_binding()
    binding.bind_input(IMAGE, kind, number, np.uint8, shape, image)
    binding.bind_cpu_input(LABEL, labels)
    binding.bind_output(TRANSLATED, kind, number, np.uint8, shape, out)
    session.run_with_iobinding(binding, graph_number(-1))
    binding.synchronize_outputs()


def graph_number(number: int) -> Any:
    """Return the options of a run with the CUDA graph of that number; -1 replays none, for addresses that change."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(number))
    return options


def _parsed(device: str | int | None) -> tuple[str, int]:
    """Return the kind and the number of a device.

    Raises:
        InputError: it is unknown.
    """
    text = "cpu" if device is None else str(device)
    if text.isdecimal():  # a GPU's number, also as text from the command line
        text = f"cuda:{text}"
    kind, colon, number = text.partition(":")
    known = kind in KINDS and (not colon or (KINDS[kind].numbered and number.isdecimal()))
    if not known:
        names = ", ".join(f"{name}:0" if found.numbered else name for name, found in KINDS.items())
        raise InputError(f"onnxruntime has no device {text!r}; known: {names}")
    with contextlib.suppress(ValueError):
        return kind, int(number)
    return kind, 0


def _install(package: str) -> str:
    if package == "onnxruntime":
        return "Such a provider comes with ONNX Runtime for the operating system that has the device"
    return (
        f"{package} takes the place of onnxruntime, and both can't be installed together: "
        f"pip uninstall -y onnxruntime && pip install {package}"
    )
