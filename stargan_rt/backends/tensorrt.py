"""TensorRT 10 and 11 and TensorRT-RTX: compiling a typed ONNX file into a plan, and running one.

The two libraries share their interface but for details, so that the module is a parameter here. Nothing of
NVIDIA is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import json
import logging
import math
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stargan_rt.backends.base import Backend
from stargan_rt.errors import (
    BuildError,
    EngineIncompatibleError,
    EngineLoadError,
    InputError,
    MissingDependencyError,
    StarGANError,
)
from stargan_rt.files import written_whole
from stargan_rt.images import Pixels
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, Manifest, rebuild

if TYPE_CHECKING:
    from stargan_rt.build.config import BuildConfig

MODULES: Mapping[str, str] = MappingProxyType({"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"})
"""Backend → the module that it is."""
TITLES: Mapping[str, str] = MappingProxyType({"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"})
_PRECISIONS = {"float": "fp32", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16", "int8": "int8"}
"""TensorRT's words, in small letters → ours."""
_OPTIONS = {
    "optimization_level": ("IBuilderConfig", "builder_optimization_level"),
    "timing_cache": ("IBuilderConfig", "create_timing_cache"),
    "dla_core": ("IBuilderConfig", "DLA_core"),
    "hardware_compatible": ("IBuilderConfig", "hardware_compatibility_level"),
    "version_compatible": ("BuilderFlag", "VERSION_COMPATIBLE"),
}
"""Setting → what a library that has it calls it."""
_RTX_IGNORES = ("timing_cache", "dla_core", "hardware_compatible", "version_compatible")
"""TensorRT-RTX has these names from TensorRT and does nothing with them, or needs a library that it lacks."""
_LOGS: dict[str, Any] = {}
_LOGS_LOCK = threading.Lock()
_MOST_LINES = 20
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A compiled engine.

    Attributes:
        data: what `deserialize_cuda_engine` takes.
        version: of the library that compiled it.
        targets: GPU architectures that run it: ``"sm86"``, or ``"sm80+"`` for that one and every later one.
        layers: precision of the convolutions and deconvolutions → how many have it.
        layers_from: ``"engine inspector"`` where a GPU let the plan itself be asked, else ``"typed graph"``.
    """

    data: bytes
    version: str
    targets: tuple[str, ...]
    layers: Mapping[str, int]
    layers_from: str


def vendor(backend: str) -> Any:
    """The module of ``"tensorrt"`` or ``"tensorrt-rtx"``.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module(MODULES[backend])
    except (ImportError, OSError, RuntimeError) as error:  # the wheels load libraries by hand: OSError, RuntimeError
        raise MissingDependencyError(
            f"{MODULES[backend]} can't be imported ({error}); pip install 'stargan-rt[{backend}]'"
        ) from None


def installed_version(backend: str) -> str | None:
    """The version of what is installed, found without importing it; None where nothing is."""
    for suffix in ("", "-cu13", "-cu12"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(backend + suffix)
    return None


def compile_plan(
    backend: str,
    model: bytes,
    config: BuildConfig,
    size: tuple[int, int],
    label_dim: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plan:
    """Compiles a typed ONNX file.

    Args:
        backend: ``"tensorrt"``, which compiles for the GPU in this machine, or ``"tensorrt-rtx"``, which needs none.
        model: the serialised file; its types are the precision.
        config: batches, targets and limits; its precision is not looked at.
        size: (height, width) of the images in pixels.
        label_dim: length of a label.
        progress: called with a phase, the steps that are done of it and how many it has.

    Raises:
        MissingDependencyError: the library is not installed.
        InputError: a setting that the library does not have, or a target that it can't build for.
        BuildError: the library refuses the network; its own words are in the message.
        KeyboardInterrupt: Ctrl-C, after TensorRT has left its build in order.
    """
    trt = vendor(backend)
    _check_options(trt, backend, config)
    targets = _targets(trt, backend, config)
    with _interrupts_deferred() as pressed:
        monitor = _monitor(trt, progress, pressed)
        try:
            data, layers = _build(trt, backend, model, config, targets, size, label_dim, monitor)
        except BuildError:
            if monitor.failure is not None:  # what the caller's own function raised is the cause
                raise monitor.failure from None
            raise
        engine, _ = _deserialise(trt, data)  # None without its GPU
    inspected = _layers_of_plan(trt, engine) if engine is not None else {}
    if config.hardware_compatible:
        targets = ("sm80+",)
    # Fused beyond recognition, a plan names fewer convolutions than there are: then the types of the graph are the
    # better witness, which a strongly typed build follows.
    told = sum(inspected.values()) == sum(layers.values())
    return Plan(
        data, trt.__version__, targets, inspected if told else layers, "engine inspector" if told else "typed graph"
    )


def _build(
    trt: Any,
    backend: str,
    model: bytes,
    config: BuildConfig,
    targets: tuple[str, ...],
    size: tuple[int, int],
    label_dim: int,
    monitor: Any,
) -> tuple[bytes, dict[str, int]]:
    """The plan and the precisions of its convolutions. What TensorRT makes on the way dies before `monitor`."""
    log = _log(trt)
    with log.collected() as lines:

        def refused(what: str) -> BuildError:
            return BuildError(_with_lines(f"{TITLES[backend]} {trt.__version__} {what}", lines))

        builder = trt.Builder(log)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, log)
        if not parser.parse(model):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            told = [f"{e.node_name() or 'the graph'} ({e.node_operator() or '-'}): {e.desc()}" for e in errors]
            lines[:] = told or lines  # the log has the same again, in pieces
            raise refused("can't read the network")
        options = builder.create_builder_config()
        options.progress_monitor = monitor
        options.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector tells precisions only then
        profile = builder.create_optimization_profile()
        batches = (config.min_batch, config.opt_batch, config.max_batch)
        for name, shape in ((IMAGE, (*size, 3)), (LABEL, (label_dim,))):
            try:
                profile.set_shape(name, *((batch, *shape) for batch in batches))
            except ValueError as error:
                raise refused(f"can't give {name} the shape [batch, {', '.join(map(str, shape))}] ({error})") from None
        if options.add_optimization_profile(profile) < 0:
            raise refused("does not take the batches")
        if config.workspace_mib is not None:
            options.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
        if config.optimization_level is not None:
            options.builder_optimization_level = config.optimization_level
        if config.hardware_compatible:
            options.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        if config.version_compatible:
            options.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if config.dla_core is not None:
            _use_dla(trt, builder, network, options, config)
        if backend == "tensorrt-rtx":
            options.num_compute_capabilities = len(targets)
            for index, target in enumerate(targets):
                if not options.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index):
                    raise refused(f"does not take the target {target}")
        cache = None if config.timing_cache is None else _attach_cache(options, Path(config.timing_cache), log)
        plan = builder.build_serialized_network(network, options)
        if plan is None:
            raise refused("can't build the network")
        if config.timing_cache is not None and cache is not None:
            try:
                with written_whole(config.timing_cache, "choose another --timing-cache") as path:
                    path.write_bytes(cache.serialize())
            except InputError as error:  # a build may take minutes: it is not thrown away for this
                _logger.warning("the timing cache is not kept: %s", error)
        return bytes(plan), _layers_of_network(trt, network)


def _check_options(trt: Any, backend: str, config: BuildConfig) -> None:
    """Refuses a setting that this library does not have, rather than passing it over."""
    for name, (owner, attribute) in _OPTIONS.items():
        lacks = not hasattr(getattr(trt, owner), attribute) or (backend == "tensorrt-rtx" and name in _RTX_IGNORES)
        given = getattr(config, name)
        if lacks and given is not None and given is not False:
            raise InputError(f"{TITLES[backend]} {trt.__version__} has no --{name.replace('_', '-')}; leave it out")


def _targets(trt: Any, backend: str, config: BuildConfig) -> tuple[str, ...]:
    title = f"{TITLES[backend]} {trt.__version__}"
    if backend == "tensorrt":
        gpu, reason = _gpu()
        if not gpu:
            raise BuildError(
                f"{title} builds on a machine with the GPU that will run the engine; none is usable here ({reason}): "
                "build there, or for RTX PCs with --backend tensorrt-rtx --target sm86"
            )
        if others := [target for target in config.targets if target != gpu]:
            raise InputError(
                f"{title} builds only for the GPU in this machine, {gpu}, not for {', '.join(others)}; "
                "build on that machine, or for RTX PCs with --backend tensorrt-rtx"
            )
        return (gpu,)
    known = [name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    targets = config.targets
    if not targets:
        gpu, reason = _gpu()
        if not gpu:
            raise InputError(
                f"no usable GPU here to build for ({reason}); name the GPUs: --target sm86,sm89 "
                f"(known: {', '.join(known)})"
            )
        targets = (gpu,)
    if unknown := [target for target in targets if target not in known]:
        raise InputError(f"{title} can't build for {', '.join(unknown)}; it can for {', '.join(known)}")
    return targets


def _gpu() -> tuple[str, str]:
    """Architecture of the first GPU, such as ``"sm86"``; without one, an empty string and why."""
    try:
        major, minor = _cuda().Device(0).compute_capability
    except MissingDependencyError:
        raise
    except Exception as error:  # its exceptions derive from nothing narrower
        return "", str(error)
    return f"sm{major}{minor}", ""


def _cuda() -> Any:
    try:
        return importlib.import_module("cuda.core")
    except ImportError as error:
        raise MissingDependencyError(f"cuda.core can't be imported ({error}); pip install 'stargan-rt[cuda]'") from None


def _use_dla(trt: Any, builder: Any, network: Any, options: Any, config: BuildConfig) -> None:
    if config.dla_core >= builder.num_DLA_cores:
        raise InputError(f"--dla-core {config.dla_core}: this machine has {builder.num_DLA_cores} DLA cores")
    if config.min_batch != config.max_batch:
        raise InputError("the DLA takes one batch size only; give --min-batch, --opt-batch and --max-batch the same")
    for tensor in (network.get_input(i) for i in range(network.num_inputs)):
        tensor.shape = (config.max_batch, *tuple(tensor.shape)[1:])
    options.default_device_type = trt.DeviceType.DLA
    options.DLA_core = config.dla_core
    options.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _attach_cache(options: Any, path: Path, log: Any) -> Any:
    """Gives the build the timings in the file, or an empty cache where they are of no use; to be kept till its end."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"can't read the timing cache {path}: {error.strerror or error}") from None
    with log.collected() as complaints:
        cache = options.create_timing_cache(data)
        # One that can't be read comes back empty or not at all, one of another GPU or version is not taken.
        taken = cache is not None and options.set_timing_cache(cache, False)
    if not taken or (data and complaints):
        reason = complaints[0] if complaints else "it is damaged, or of another GPU or version"
        _logger.warning("the timing cache %s is not used and will be replaced: %s", path, reason)
        cache = options.create_timing_cache(b"")
        options.set_timing_cache(cache, False)
    return cache


def _layers_of_network(trt: Any, network: Any) -> dict[str, int]:
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    dequantised = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}
    counts: Counter[str] = Counter()
    for layer in layers:
        if layer.type in (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION):
            image, *weights = [layer.get_input(i) for i in range(min(2, layer.num_inputs))]
            quantised = bool(weights) and all(t is not None and t.name in dequantised for t in (image, *weights))
            kind = image.dtype.name.lower()
            counts["int8" if quantised else _PRECISIONS.get(kind, kind)] += 1
    return dict(counts)


def _layers_of_plan(trt: Any, engine: Any) -> dict[str, int]:
    """What a plan tells of its convolutions: all of them, some, or none, as TensorRT fuses them."""
    counts: Counter[str] = Counter()
    information = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    for layer in json.loads(information).get("Layers", ()):
        if isinstance(layer, dict) and layer.get("ParameterType") in ("Convolution", "Deconvolution"):
            kind = str(layer.get("Weights", {}).get("Type", "")).lower()
            counts[_PRECISIONS.get(kind, kind)] += 1
    return dict(counts)


def _deserialise(trt: Any, data: bytes) -> tuple[Any, list[str]]:
    """The engine, or None, and TensorRT's complaints."""
    log = _log(trt)
    with log.collected() as lines:
        try:
            runtime = trt.Runtime(log)
        except TypeError:  # what the binding makes of a null pointer, as without a driver
            return None, lines
        # Its `engine_host_code_allowed` stays off: a plan is data, and must not bring code to run.
        return runtime.deserialize_cuda_engine(data), lines


def _with_lines(message: str, lines: list[str]) -> str:
    """A message with what TensorRT logged below it."""
    once = list(dict.fromkeys(line.strip() for entry in lines for line in entry.splitlines()))[:_MOST_LINES]
    return "\n  ".join([message + ":" if once else message, *once])


def _log(trt: Any) -> Any:
    """The one logger of the process, which TensorRT asks for; `collected` gives warnings and errors as lines."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._lock = threading.Lock()
            self._listeners: list[list[str]] = []

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(trt.ILogger.WARNING):
                with self._lock:
                    for lines in self._listeners:
                        lines.append(message)

        @contextlib.contextmanager
        def collected(self) -> Iterator[list[str]]:
            """Of every thread: TensorRT works in threads of its own."""
            lines: list[str] = []
            with self._lock:
                self._listeners.append(lines)
            try:
                yield lines
            finally:
                with self._lock:
                    self._listeners = [other for other in self._listeners if other is not lines]

    with _LOGS_LOCK:
        if trt.__name__ not in _LOGS:
            _LOGS[trt.__name__] = Log()
        return _LOGS[trt.__name__]


def _monitor(trt: Any, progress: Callable[[str, int, int], None] | None, pressed: list[int]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def phase_finish(self, phase: str) -> None:
            pass

        def step_complete(self, phase: str, step: int) -> bool:
            """False ends the build."""
            try:
                if progress is not None and not pressed:
                    progress(phase, step + 1, self._steps.get(phase, step + 1))
            except BaseException as error:  # it must not travel through TensorRT's frames
                self.failure = error
            return not pressed and self.failure is None

    return Monitor()


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[list[int]]:
    """Ctrl-C fills the list and becomes a KeyboardInterrupt at the end: it must not unwind TensorRT's frames."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # Other threads are not interrupted; a handler that is no function ignores the signal or ends the process.
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if ours:
        signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt


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
        self._trt = vendor(self.name)
        self.version: str = self._trt.__version__
        self._path, self._manifest = path, manifest
        self._lock = threading.Lock()
        build = manifest.build if manifest is not None else {}
        version = str(build.get("backend_version", self.version))
        if version.split(".")[: self._version_parts] != self.version.split(".")[: self._version_parts]:
            raise self._incompatible(f"was built with {TITLES[self.name]} {version}; installed is {self.version}")
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
        with self._lock, _log(self._trt).collected() as lines:
            try:
                self._device.set_current()  # the calling thread may never have seen CUDA
                for start in range(0, len(images), self._batches[1]):
                    part = slice(start, start + self._batches[1])
                    translated[part] = self._execute(images[part], labels[part])
            except Exception as error:  # cuda.core's exceptions derive from nothing narrower
                raise StarGANError(
                    _with_lines(f"the GPU failed on {self._path} ({error}); load the engine again", lines)
                ) from error
        return translated

    def layers(self) -> dict[str, int] | None:
        return _layers_of_plan(self._trt, self._engine) or None

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
            _, reasons = self._trt.Runtime(_log(self._trt)).get_engine_validity(data)
            if reasons & int(self._trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE):
                raise self._incompatible(f"is damaged, or no engine of {TITLES[self.name]}")

    def _load(self, data: bytes, targets: tuple[str, ...]) -> Any:
        gpu, reason = _gpu()
        if gpu:
            if targets and not any(_covers(target, gpu) for target in targets):
                raise self._incompatible(
                    f"was built for {', '.join(targets)}; the GPU here is {gpu}: add --target {gpu}"
                )
            self._device = _cuda().Device(0)
            self._device.set_current()
        with _interrupts_deferred():
            engine, lines = _deserialise(self._trt, data)
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
            raise self._incompatible(f"is refused by {TITLES[self.name]} {self.version}", lines)
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
        cuda = _cuda()
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
        return EngineIncompatibleError(_with_lines(f"{self._path} {what}; build it again: {command}", lines or []))


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
