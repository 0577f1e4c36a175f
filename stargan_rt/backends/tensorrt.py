"""Running a compiled plan with TensorRT 10 or 11, or TensorRT-RTX."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends.base import DEFAULTS, Backend, RunOptions
from stargan_rt.backends.tensorrt_context import Contexts, RuntimeSettings, profiles, scratch_bytes
from stargan_rt.build_record import REBUILD
from stargan_rt.cuda import driver
from stargan_rt.cuda.context import PrimaryContext
from stargan_rt.cuda.lanes import Lanes
from stargan_rt.cuda.memory import DeviceMemory, free_and_total, is_out_of_memory
from stargan_rt.errors import EngineIncompatibleError, EngineLoadError, InputError, StarGANError
from stargan_rt.images import Pixels
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, Manifest


class TensorRT(Backend):
    """Runs a plan on one GPU, on as many lanes as `RunOptions.lanes` says."""

    name = "tensorrt"
    on_gpu = True
    gathers = True
    _version_parts = 2  # parts of the version number that must be equal

    def __init__(self, path: Path, manifest: Manifest | None, options: RunOptions = DEFAULTS) -> None:
        """Load a plan.

        Args:
            path: the file.
            manifest: what the plan must be; with None, only what it says itself is checked.
            options: the number of lanes, whether calls are captured, and the device: ``None``, ``1`` or ``"cuda:1"``.

        Raises:
            MissingDependencyError: the library or cuda.core is not installed.
            EngineLoadError: no such file, one that can't be read, or not enough memory on the GPU.
            EngineIncompatibleError: made for another version or GPU, damaged, or another network; or no GPU.
            InputError: a device that is no number of a GPU.
        """
        self._trt = library.vendor(self.name)
        self.version: str = self._trt.__version__
        self._path, self._manifest = path, manifest
        self._asked_lanes, self._graphs = options.lanes, options.graphs
        self._number = driver.device_number(options.device)
        self.device = f"cuda:{self._number}"
        self._log = library.log(self._trt)
        build = manifest.build if manifest is not None else None
        version = build.backend_version if build is not None else self.version
        if version.split(".")[: self._version_parts] != self.version.split(".")[: self._version_parts]:
            raise self._incompatible(
                f"was built with {library.TITLES[self.name]} {version}; installed is {self.version}"
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EngineLoadError(f"can't read {path}: {error.strerror or error}") from None
        self._check_intact(data)
        self._engine = self._load(data, build.targets if build is not None else ())
        self._check_contract()
        self._prepare(data)

    def plan_signature(self) -> tuple[tuple[int, int], int]:
        """Return ((height, width), length of a label), as the plan has them."""
        _, height, width, _ = self._engine.get_tensor_shape(IMAGE)
        return (int(height), int(width)), int(self._engine.get_tensor_shape(LABEL)[1])

    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        translated = np.empty_like(images)
        self.run_into(images, labels, translated)
        return translated

    def run_into(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        mark = self._log.mark()
        try:
            self._lanes.run(images, labels, out)
        except StarGANError:
            raise
        except Exception as error:  # cuda.core's exceptions derive from nothing narrower
            raise self._failure(error, mark) from error

    def run_on_device(self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any, stream: Any) -> Any:
        mark = self._log.mark()
        try:
            return self._lanes.run_on_device(image, passes, out, stream)
        except StarGANError:
            raise
        except Exception as error:  # likewise
            raise self._failure(error, mark) from error

    def buffers(self, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
        return self._lanes.buffers()

    def launching(self) -> str:
        if self._graphs and self._runtime.captures_itself:
            return f"CUDA graphs of {library.TITLES[self.name]}"
        return self._lanes.launching()

    def memory_bytes(self) -> dict[str, int]:
        found = self._lanes.memory_bytes()
        return {**found, "device": found["device"] + len(self._lanes) * scratch_bytes(self._engine)}

    def layers(self) -> dict[str, int] | None:
        return library.layers_of_plan(self._trt, self._engine) or None

    def close(self) -> None:
        self._lanes.close()
        with self._context.current():  # TensorRT frees the weights
            self._runtime.close()
            del self._engine

    def _failure(self, error: Exception, mark: int) -> StarGANError:
        left = self._lanes.left
        rest = f"its lane is given up, {left} of {len(self._lanes)} go on" if left else "load the engine again"
        return StarGANError(
            library.with_lines(f"the GPU failed on {self._path} ({error}); {rest}", self._log.since(mark))
        )

    def _check_intact(self, data: bytes) -> None:
        """Refuse what is no plan before a GPU is needed, where the library can tell."""
        if hasattr(self._trt.Runtime, "get_engine_validity"):
            _, reasons = self._trt.Runtime(self._log).get_engine_validity(data)
            if reasons & int(self._trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE):
                raise self._incompatible(f"is damaged, or no engine of {library.TITLES[self.name]}")

    def _load(self, data: bytes, targets: tuple[str, ...]) -> Any:
        gpu, reason = driver.gpu(self._number)
        self._gpu = gpu
        if gpu:
            if targets and not any(_covers(target, gpu) for target in targets):
                raise self._incompatible(
                    f"was built for {', '.join(targets)}; GPU {self._number} here is {gpu}: add --target {gpu}"
                )
            self._context = PrimaryContext(driver.cuda().Device(self._number))
        current = self._context.current() if gpu else contextlib.nullcontext()
        with current, library.interrupts_deferred():
            engine, lines = library.deserialise(self._trt, data)
        if engine is None:
            if gpu and is_out_of_memory(*lines):
                raise self._unprepared("", lines, len(data))
            if any("Serialization" in line for line in lines):
                raise self._incompatible("is damaged, or of another version", lines)
            if not gpu:
                raise EngineIncompatibleError(
                    f"{self._path} needs an NVIDIA GPU and its driver, and none can be used here ({reason}); "
                    "run the ONNX file instead, with --backend openvino or onnxruntime"
                )
            if any("HostCode" in line for line in lines):
                raise self._incompatible("contains code for the CPU, which is never run (--version-compatible)", lines)
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

    def _prepare(self, plan: bytes) -> None:
        """Make the lanes, with all the memory that a run needs."""
        size, dim = self.plan_signature()
        ranges = profiles(self._engine)
        batches = (min(smallest for smallest, _, _ in ranges), max(largest for _, _, largest in ranges))
        self.max_batch = batches[1]

        def connect(stream: Any, memory: DeviceMemory) -> Contexts:
            return Contexts(self._trt, self._engine, self._runtime, memory, stream)

        with self._context.current(), self._log.collected() as lines:
            try:
                self._runtime = RuntimeSettings(self._trt, self._engine, plan, self._gpu, self._graphs)
                capture = self._graphs and not self._runtime.captures_itself
                self._lanes = Lanes(
                    driver.cuda(), self._context, connect, size, dim, batches, self._asked_lanes, capture
                )
            except Exception as error:  # cuda.core's exceptions derive from nothing narrower
                buffers = batches[1] * (2 * size[0] * size[1] * 3 + 4 * dim)
                asked = self._asked_lanes * (scratch_bytes(self._engine) + buffers)
                raise self._unprepared(str(error), lines, asked) from error

    def _unprepared(self, error: str, lines: list[str], asked: int) -> EngineLoadError:
        if not is_out_of_memory(error, *lines):
            return EngineLoadError(library.with_lines(f"{self._path} can't be made ready on the GPU: {error}", lines))
        sizes = free_and_total()
        found = f"{_mib(sizes[0])} of {_mib(sizes[1])} are free" if sizes else "less is free"
        return EngineLoadError(
            library.with_lines(
                f"{self._path} does not fit into the memory of the GPU: {_mib(asked)} are asked for, {found}. End "
                "other programs, load it with fewer lanes, or build it with a smaller --max-batch",
                lines,
            )
        )

    def _incompatible(self, what: str, lines: list[str] | None = None) -> EngineIncompatibleError:
        build = self._manifest.build if self._manifest is not None else None
        command = build.command if build is not None else f"{REBUILD} --backend {self.name}"
        return EngineIncompatibleError(
            library.with_lines(f"{self._path} {what}; build it again: {command}", lines or [])
        )


class TensorRTRTX(TensorRT):
    """Runs a plan of TensorRT-RTX, which compiles the plan's kernels when it is loaded."""

    name = "tensorrt-rtx"
    _version_parts = 4


def open_bare(backend: str, path: Path, labels: LabelSpace, options: RunOptions = DEFAULTS) -> tuple[Manifest, Backend]:
    """Load a plan without its manifest, and make one from the plan and the labels.

    Raises:
        InputError: labels that the plan does not have room for.
        EngineLoadError, MissingDependencyError: as `TensorRT`.
    """
    kind = TensorRT if backend == "tensorrt" else TensorRTRTX
    loaded = kind(path, None, options)
    size, dim = loaded.plan_signature()
    if dim != labels.dim:
        loaded.close()
        raise InputError(f"{path} takes labels of length {dim}; those given make {labels.dim}")
    layers = loaded.layers() or {"unknown": 1}
    return Manifest(labels, size, max(layers, key=lambda name: layers[name]), 0, 0), loaded


def _covers(target: str, gpu: str) -> bool:
    """Return whether an engine for `target` runs on `gpu`; one for ``"sm80+"`` runs on later ones too."""
    return target == gpu or (target.endswith("+") and int(gpu[2:]) >= int(target[2:-1]))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
