"""Compiling a typed graph into a plan, with TensorRT 10 or 11 or TensorRT-RTX."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from stargan_rt.backends import tensorrt_library as library
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.layers import typed_layers
from stargan_rt.cuda import driver
from stargan_rt.errors import BuildError, InputError
from stargan_rt.files import written_whole
from stargan_rt.manifest import IMAGE, LABEL

_OPTIONS = {
    "optimization_level": ("IBuilderConfig", "builder_optimization_level"),
    "timing_cache": ("IBuilderConfig", "create_timing_cache"),
    "dla_core": ("IBuilderConfig", "DLA_core"),
    "tiling": ("IBuilderConfig", "tiling_optimization_level"),
    "hardware_compatible": ("IBuilderConfig", "hardware_compatibility_level"),
    "same_compute_capability": ("HardwareCompatibilityLevel", "SAME_COMPUTE_CAPABILITY"),
    "version_compatible": ("BuilderFlag", "VERSION_COMPATIBLE"),
}
"""Setting → the class and attribute by which a library shows that it has it."""
_RTX_IGNORES = (
    *("timing_cache", "dla_core", "tiling", "hardware_compatible", "same_compute_capability", "version_compatible"),
)
"""TensorRT-RTX has these names from TensorRT, but ignores them or needs a library that it lacks."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A compiled engine.

    Attributes:
        data: content of the plan file.
        version: version of the library that compiled it.
        targets: GPU architectures that run it: ``"sm86"``, or ``"sm80+"`` for that one and every newer one.
        layers: precision → number of convolutions and deconvolutions that are computed in it.
        layers_from: ``"engine inspector"`` where a GPU could load the plan, else ``"typed graph"``.
        runs_here: whether this machine has a GPU that could load it.
    """

    data: bytes
    version: str
    targets: tuple[str, ...]
    layers: Mapping[str, int]
    layers_from: str
    runs_here: bool


def plan_targets(backend: str, config: BuildConfig) -> tuple[str, ...]:
    """Return the GPUs that a plan would be for, so that wrong settings are reported before any work is done.

    Raises:
        MissingDependencyError, InputError, BuildError: as for `compile_plan`, for the settings alone.
    """
    trt = library.vendor(backend)
    title = f"{library.TITLES[backend]} {trt.__version__}"
    _check_options(trt, backend, config, title)
    return _targets(trt, backend, config, title)


def compile_plan(
    backend: str,
    model: onnx.ModelProto,
    config: BuildConfig,
    size: tuple[int, int],
    label_dim: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plan:
    """Compile a typed graph.

    Args:
        backend: ``"tensorrt"``, which compiles for the GPU in this machine, or ``"tensorrt-rtx"``, which needs none.
        model: the graph; its types are the precision.
        config: batches, targets and limits; its precision is not used.
        size: (height, width) of the images in pixels.
        label_dim: length of a label vector.
        progress: called with a phase, the steps of it that are done, and their number.

    Raises:
        MissingDependencyError: the library is not installed.
        InputError: the library does not have a setting, or can't build for a target.
        BuildError: the library refuses the network; the message holds its own words.
        KeyboardInterrupt: after Ctrl-C, once TensorRT has ended its build properly.
    """
    trt = library.vendor(backend)
    title = f"{library.TITLES[backend]} {trt.__version__}"
    targets = plan_targets(backend, config)
    shapes = {IMAGE: (*size, 3), LABEL: (label_dim,)}
    with library.interrupts_deferred() as pressed, library.log(trt).collected() as lines:
        monitor = _monitor(trt, progress, pressed)
        try:
            data = _build(
                trt,
                model.SerializeToString(),
                config,
                targets if backend == "tensorrt-rtx" else (),
                shapes,
                monitor,
                lines,
            )
        except BuildError as refusal:
            if monitor.failure is not None:  # the caller's progress function raised it
                raise monitor.failure from None
            raise BuildError(library.with_lines(f"{title} {refusal}", lines)) from None
        engine, _ = library.deserialise(trt, data)  # None without its GPU
    layers = typed_layers(model)
    inspected = library.layers_of_plan(trt, engine) if engine is not None else {}
    if config.hardware_compatible:
        targets = ("sm80+",)
    # Where TensorRT fused layers, the plan names fewer convolutions than there are. The types of the graph, which a
    # strongly typed build follows, are more reliable then.
    if sum(inspected.values()) == sum(layers.values()):
        return Plan(data, trt.__version__, targets, inspected, "engine inspector", True)
    return Plan(data, trt.__version__, targets, layers, "typed graph", engine is not None)


def _build(
    trt: Any,
    model: bytes,
    config: BuildConfig,
    targets: tuple[str, ...],
    shapes: Mapping[str, tuple[int, ...]],
    monitor: Any,
    lines: list[str],
) -> bytes:
    """Return the plan. TensorRT's own objects are freed at the end of this call, before `monitor`, which they call.

    Raises:
        BuildError: what it refuses; the reason is in `lines`.
    """
    log = library.log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        reasons = [f"{e.node_name() or 'the graph'} ({e.node_operator() or '-'}): {e.desc()}" for e in errors]
        lines[:] = reasons or lines  # the log repeats them in pieces
        raise BuildError("can't read the network")
    options = builder.create_builder_config()
    options.progress_monitor = monitor
    options.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # without it the inspector leaves out precisions
    for batches in config.batch_profiles:
        profile = builder.create_optimization_profile()
        for name, shape in shapes.items():
            try:
                profile.set_shape(name, *((batch, *shape) for batch in batches))
            except ValueError as error:
                raise BuildError(
                    f"can't give {name} the shape [batch, {', '.join(map(str, shape))}] ({error})"
                ) from None
        if options.add_optimization_profile(profile) < 0:
            raise BuildError(f"does not take batches of {batches[0]} to {batches[2]}")
    _set_options(trt, options, config)
    if config.dla_core is not None:
        _use_dla(trt, builder, network, options, config)
    if targets:
        options.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        if not options.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index):
            raise BuildError(f"does not take the target {target}")
    cache = None if config.timing_cache is None else _attach_cache(options, Path(config.timing_cache), log)
    plan = builder.build_serialized_network(network, options)
    if plan is None:
        raise BuildError("can't build the network")
    if config.timing_cache is not None and cache is not None:
        try:
            with written_whole(config.timing_cache, "choose another --timing-cache") as path:
                path.write_bytes(cache.serialize())
        except InputError as error:  # the build took minutes, and its plan is good
            _logger.warning("the timing cache could not be written: %s", error)
    return bytes(plan)


def _check_options(trt: Any, backend: str, config: BuildConfig, title: str) -> None:
    """Refuse a setting that this library does not have, instead of ignoring it."""
    for name, (owner, attribute) in _OPTIONS.items():
        lacks = not hasattr(getattr(trt, owner), attribute) or (backend == "tensorrt-rtx" and name in _RTX_IGNORES)
        given = getattr(config, name)
        if lacks and given is not None and given is not False:
            raise InputError(f"{title} has no --{name.replace('_', '-')}; leave it out")


def _set_options(trt: Any, options: Any, config: BuildConfig) -> None:
    if config.workspace_mib is not None:
        options.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib << 20)
    if config.optimization_level is not None:
        options.builder_optimization_level = config.optimization_level
    if config.tiling is not None:
        options.tiling_optimization_level = getattr(trt.TilingOptimizationLevel, config.tiling.upper())
    if config.same_compute_capability:
        options.hardware_compatibility_level = trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY
    if config.hardware_compatible:
        options.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if config.version_compatible:
        options.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _targets(trt: Any, backend: str, config: BuildConfig, title: str) -> tuple[str, ...]:
    if backend == "tensorrt":
        gpu, reason = driver.gpu()
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
        gpu, reason = driver.gpu()
        if not gpu:
            raise InputError(
                f"no usable GPU here to build for ({reason}); name the GPUs: --target sm86,sm89 "
                f"(known: {', '.join(known)})"
            )
        targets = (gpu,)
    if unknown := [target for target in targets if target not in known]:
        raise InputError(f"{title} can't build for {', '.join(unknown)}; it can for {', '.join(known)}")
    return targets


def _use_dla(trt: Any, builder: Any, network: Any, options: Any, config: BuildConfig) -> None:
    if config.dla_core >= builder.num_DLA_cores:
        raise InputError(f"--dla-core {config.dla_core}: this machine has {builder.num_DLA_cores} DLA cores")
    (smallest, _, largest), *others = config.batch_profiles
    if others or smallest != largest:
        raise InputError("the DLA takes one batch size only; add --profile 1, or another single batch")
    for tensor in (network.get_input(i) for i in range(network.num_inputs)):
        tensor.shape = (largest, *tuple(tensor.shape)[1:])
    options.default_device_type = trt.DeviceType.DLA
    options.DLA_core = config.dla_core
    options.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _attach_cache(options: Any, path: Path, log: Any) -> Any:
    """Attach the timings in the file, or an empty cache where they can't be used; the result must outlive the build."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"can't read the timing cache {path}: {error.strerror or error}") from None
    with log.collected() as complaints:
        cache = options.create_timing_cache(data)
        # A damaged cache comes back empty or as None; one of another GPU or version is refused.
        taken = cache is not None and options.set_timing_cache(cache, False)
    if not taken or (data and complaints):
        reason = complaints[0] if complaints else "it is damaged, or from another GPU or version"
        _logger.warning("the timing cache %s is not used and will be replaced: %s", path, reason)
        cache = options.create_timing_cache(b"")
        options.set_timing_cache(cache, False)
    return cache


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
            """Return False to end the build."""
            try:
                if progress is not None and not pressed:
                    progress(phase, step + 1, self._steps.get(phase, step + 1))
            except BaseException as error:  # it must not unwind TensorRT's frames
                self.failure = error
            return not pressed and self.failure is None

    return Monitor()
