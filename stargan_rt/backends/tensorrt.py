"""Running a compiled plan with TensorRT 10 or 11, or TensorRT-RTX."""

from __future__ import annotations

import ctypes
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends.base import Backend
from stargan_rt.errors import EngineIncompatibleError, EngineLoadError, InputError, StarGANError
from stargan_rt.images import Pixels
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, Manifest, rebuild


class _Memory:
    """Pinned and device memory of one tensor, for the largest batch: its addresses never change."""

    def __init__(self, cuda: Any, device: Any, stream: Any, batch: int, item: tuple[int, ...], dtype: type) -> None:
        self._cuda, self._stream, self.item = cuda, stream, item
        self._item_bytes = math.prod(item) * np.dtype(dtype).itemsize
        self._host = cuda.LegacyPinnedMemoryResource().allocate(batch * self._item_bytes)
        self._device = device.allocate(batch * self._item_bytes, stream=stream)
        self.address = int(self._device.handle)
        # By address, since older versions of numpy make read-only arrays of DLPack.
        raw = (ctypes.c_uint8 * (batch * self._item_bytes)).from_address(int(self._host.handle))
        self.array: npt.NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(batch, *item)

    def upload(self, batch: int) -> None:
        self._part(self._host, batch).copy_to(self._part(self._device, batch), stream=self._stream)

    def download(self, batch: int) -> None:
        self._part(self._device, batch).copy_to(self._part(self._host, batch), stream=self._stream)

    def close(self) -> None:
        self._device.close(self._stream)
        self._host.close()

    def _part(self, whole: Any, batch: int) -> Any:
        return self._cuda.Buffer.from_handle(int(whole.handle), batch * self._item_bytes, owner=whole)


class TensorRT(Backend):
    """Runs a plan on the first GPU. One batch is under way at a time."""

    name = "tensorrt"
    _version_parts = 2  # of a version, those that must be equal

    def __init__(self, path: Path, manifest: Manifest | None, threads: int | None = None) -> None:
        """Loads a plan.

        Args:
            path: the file.
            manifest: what it is told to be; None checks only what the plan tells itself.
            threads: not used.

        Raises:
            MissingDependencyError: the library or cuda.core is not installed.
            EngineLoadError: no such file, or one that can't be read.
            EngineIncompatibleError: made for another version or GPU, damaged, or another network; or no GPU.
        """
        self._trt = library.vendor(self.name)
        self.version: str = self._trt.__version__
        self._path, self._manifest = path, manifest
        self._lock = threading.Lock()
        build = manifest.build if manifest is not None else {}
        version = str(build.get("backend_version", self.version))
        if version.split(".")[: self._version_parts] != self.version.split(".")[: self._version_parts]:
            raise self._incompatible(
                f"was built with {library.TITLES[self.name]} {version}; installed is {self.version}"
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EngineLoadError(f"can't read {path}: {error.strerror or error}") from None
        self._check_intact(data)
        self._engine = self._load(data, tuple(build.get("targets", ())))
        self._check_contract()
        try:
            self._prepare()
        except Exception as error:  # cuda.core's exceptions derive from nothing narrower
            raise EngineLoadError(f"no memory or no stream for {path} on the GPU: {error}") from error

    def plan_signature(self) -> tuple[tuple[int, int], int]:
        """((height, width), length of a label), as the plan has them."""
        _, height, width, _ = self._engine.get_tensor_shape(IMAGE)
        return (int(height), int(width)), int(self._engine.get_tensor_shape(LABEL)[1])

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        translated = np.empty_like(images)
        with self._lock, library.log(self._trt).collected() as lines:
            try:
                self._device.set_current()  # the calling thread may never have seen CUDA
                for start in range(0, len(images), self._batches[1]):
                    part = slice(start, start + self._batches[1])
                    translated[part] = self._execute(images[part], labels[part])
            except Exception as error:  # cuda.core's exceptions derive from nothing narrower
                raise StarGANError(
                    library.with_lines(f"the GPU failed on {self._path} ({error}); load the engine again", lines)
                ) from error
        return translated

    def layers(self) -> dict[str, int] | None:
        return library.layers_of_plan(self._trt, self._engine) or None

    def close(self) -> None:
        with self._lock:
            self._device.set_current()
            self._stream.sync()
            del self._context, self._engine
            for memory in self._memory.values():
                memory.close()
            self._stream.close()

    def _execute(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        count = len(images)
        batch = max(count, self._batches[0])  # rows past ours hold what was there before; nobody reads their result
        for name, values in ((IMAGE, images), (LABEL, labels)):
            memory = self._memory[name]
            memory.array[:count] = values
            memory.upload(batch)
            _succeed(self._context.set_input_shape(name, (batch, *memory.item)), f"{name} of {batch}")
        _succeed(self._context.execute_async_v3(stream_handle=int(self._stream.handle)), "the execution")
        self._memory[TRANSLATED].download(batch)
        self._stream.sync()
        result: Pixels = self._memory[TRANSLATED].array[:count]
        return result

    def _check_intact(self, data: bytes) -> None:
        """Where the library can tell, refuses what is no plan before a GPU is needed."""
        if hasattr(self._trt.Runtime, "get_engine_validity"):
            _, reasons = self._trt.Runtime(library.log(self._trt)).get_engine_validity(data)
            if reasons & int(self._trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE):
                raise self._incompatible(f"is damaged, or no engine of {library.TITLES[self.name]}")

    def _load(self, data: bytes, targets: tuple[str, ...]) -> Any:
        gpu, reason = library.gpu()
        if gpu:
            if targets and not any(_covers(target, gpu) for target in targets):
                raise self._incompatible(
                    f"was built for {', '.join(targets)}; the GPU here is {gpu}: add --target {gpu}"
                )
            self._device = library.cuda().Device(0)
            self._device.set_current()
        with library.interrupts_deferred():
            engine, lines = library.deserialise(self._trt, data)
        if engine is None:
            if any("Serialization" in line for line in lines):
                raise self._incompatible("is damaged, or of another version", lines)
            if not gpu:
                raise EngineIncompatibleError(
                    f"{self._path} needs an NVIDIA GPU and its driver, and none is usable here ({reason}); "
                    "run the ONNX file instead, with --backend openvino or onnxruntime"
                )
            if any("HostCode" in line for line in lines):
                raise self._incompatible("brings code for the CPU, which is never run (--version-compatible)", lines)
            raise self._incompatible(f"is refused by {library.TITLES[self.name]} {self.version}", lines)
        return engine

    def _check_contract(self) -> None:
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        items = {name: list(self._engine.get_tensor_shape(name))[1:] for name in names}
        if self._manifest is not None:
            size, dim = list(self._manifest.size), [self._manifest.labels.dim]
        else:
            size, dim = items.get(IMAGE, [])[:2], items.get(LABEL, [])[:1]
        found = "; ".join(
            f"{self._engine.get_tensor_mode(name).name} {name} {self._engine.get_tensor_dtype(name).name} {items[name]}"
            for name in sorted(names)
        )
        expected = (
            f"INPUT {IMAGE} UINT8 {[*size, 3]}; INPUT {LABEL} FLOAT {dim}; OUTPUT {TRANSLATED} UINT8 {[*size, 3]}"
        )
        if found != expected:
            raise self._incompatible(f"is another network, for one item {found}; expected {expected}")

    def _prepare(self) -> None:
        """Makes the stream, the execution context and all memory that a run needs."""
        cuda = library.cuda()
        size, dim = self.plan_signature()
        fixed = self._engine.get_tensor_shape(IMAGE)[0]
        smallest, _, largest = (shape[0] for shape in self._engine.get_tensor_profile_shape(IMAGE, 0))
        self._batches = (smallest, largest) if fixed == -1 else (fixed, fixed)
        # Not the default stream: TensorRT would synchronise with everything else on the GPU.
        self._stream = self._device.create_stream(options=cuda.StreamOptions(nonblocking=True))
        self._context = self._engine.create_execution_context()
        _succeed(self._context is not None, "the execution context")
        tensors = {IMAGE: ((*size, 3), np.uint8), LABEL: ((dim,), np.float32), TRANSLATED: ((*size, 3), np.uint8)}
        self._memory: dict[str, _Memory] = {}
        for name, (item, dtype) in tensors.items():
            memory = _Memory(cuda, self._device, self._stream, self._batches[1], item, dtype)
            _succeed(self._context.set_tensor_address(name, memory.address), f"the address of {name}")
            self._memory[name] = memory

    def _incompatible(self, what: str, lines: list[str] | None = None) -> EngineIncompatibleError:
        own = self._manifest is not None and self._manifest.build
        command = rebuild(self._manifest) if own else f"{rebuild()} --backend {self.name}"
        return EngineIncompatibleError(
            library.with_lines(f"{self._path} {what}; build it again: {command}", lines or [])
        )


class TensorRTRTX(TensorRT):
    """The same with TensorRT-RTX, which finishes a plan's kernels when it is loaded."""

    name = "tensorrt-rtx"
    _version_parts = 4


def open_bare(backend: str, path: Path, labels: LabelSpace) -> tuple[Manifest, Backend]:
    """Loads a plan without its manifest, and makes one of what the plan and the caller tell.

    Raises:
        InputError: labels that the plan does not have room for.
        EngineLoadError, MissingDependencyError: as `TensorRT`.
    """
    kind = TensorRT if backend == "tensorrt" else TensorRTRTX
    loaded = kind(path, None)
    size, dim = loaded.plan_signature()
    if dim != labels.dim:
        loaded.close()
        raise InputError(f"{path} takes labels of length {dim}; those given make {labels.dim}")
    layers = loaded.layers() or {"unknown": 1}
    return Manifest(labels, size, max(layers, key=lambda name: layers[name]), 0, 0), loaded


def _covers(target: str, gpu: str) -> bool:
    """Whether an engine for `target` runs on `gpu`; ``"sm80+"`` runs on later ones too."""
    return target == gpu or (target.endswith("+") and int(gpu[2:]) >= int(target[2:-1]))


def _succeed(status: bool, what: str) -> None:
    if not status:
        raise RuntimeError(f"TensorRT refused {what}")
