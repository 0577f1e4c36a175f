"""`build`: the steps from an ONNX file to an engine, from top to bottom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import onnx

import stargan_rt
from stargan_rt import backends, machine
from stargan_rt.backends import PLANS, Backend
from stargan_rt.build_record import BuildRecord, Int8Choice, Quality, Speed
from stargan_rt.builder import cache
from stargan_rt.builder.artifact import Artifact, output_path, sealed, write
from stargan_rt.builder.calibration import cover, load_images
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.gate import Gate
from stargan_rt.builder.layers import typed_layers
from stargan_rt.builder.overflow import check_range
from stargan_rt.builder.plan import Plan, compile_plan, plan_targets
from stargan_rt.builder.quantize import activation_grids
from stargan_rt.builder.recipe import search
from stargan_rt.builder.running import running
from stargan_rt.builder.typed import half_graph, int8_graph, rewritten, without_unused
from stargan_rt.errors import BuildError, MissingDependencyError
from stargan_rt.files import sha256
from stargan_rt.manifest import Manifest, read_onnx
from stargan_rt.timing import compare_latency

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a phase, the steps of it that are done, and their number."""


@dataclass(frozen=True)
class _Job:
    """What every step of one build needs: the float32 model and what to make of it."""

    model: onnx.ModelProto
    manifest: Manifest
    config: BuildConfig
    backend: str
    progress: Progress

    @property
    def for_plan(self) -> bool:
        return self.backend in PLANS

    @property
    def judge(self) -> str:
        """The backend that runs typed graphs: the engine's own, or for a plan one that runs without a GPU."""
        if not self.for_plan:
            return self.backend
        return "openvino" if self.config.precision == "bf16" else "onnxruntime"  # which has no bf16 on a CPU


def build(
    onnx_path: str | os.PathLike[str],
    config: BuildConfig | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress = lambda *_: None,
) -> Artifact:
    """Build an engine, check its images against the float32 model's, and write it whole or not at all.

    Args:
        onnx_path: a file of ``python -m export``.
        config: what to build; by default fp16 for the best backend of this machine.
        output: by default a file next to the ONNX file: ``g.fp16.engine`` for a plan, ``g.fp16.onnx`` for a CPU.
        force: build again what the cache has, and keep an int8 engine that is not faster.
        progress: called with a phase, the steps of it that are done, and their number.

    Returns:
        The engine's path and manifest.

    Raises:
        EngineLoadError: the file is not an exported model.
        BuildError: the engine can't be built, its images miss the PSNR budget, or int8 is not faster.
        InputError: settings contradict each other, images are unusable, or the output can't be written.
        MissingDependencyError: the backend is not installed.
    """
    began = time.perf_counter()
    source, config = Path(onnx_path), config or BuildConfig()
    master, model = read_onnx(source)
    if master.build:
        raise BuildError(
            f"{source} is an engine already ({master.precision} for {master.build.backend}); "
            "build from the file that python -m export wrote"
        )
    backend = _choose(config)
    target = output_path(source, Path(output) if output else None, backend, config.precision)
    name = cache.key(model, config, backend, backends.version(backend))
    if not force and (kept := cache.find(name)):
        manifest = Manifest.from_dict(kept.manifest)
        write(target, kept.engine.read_bytes(), manifest)
        return Artifact(target, manifest, True, time.perf_counter() - began)
    record, engine = _engine(_Job(model, master, config, backend, progress), force)
    record = replace(record, source_file=source.name, source_sha256=sha256(source))
    precision = max(record.layers, key=record.layers.__getitem__)
    manifest, data = sealed(replace(master, precision=precision, build=record), engine)
    write(target, data, manifest)
    cache.keep(name, data, manifest.to_dict())
    return Artifact(target, manifest, False, time.perf_counter() - began)


def _choose(config: BuildConfig) -> str:
    """Return the backend to build for, after checking that it is there and has every setting."""
    backend = _available(config)
    config.check_backend(backend)
    if backend in PLANS:
        plan_targets(backend, config)
    return backend


def _available(config: BuildConfig) -> str:
    if config.backend != "auto":
        if reason := backends.unavailable(config.backend):
            raise MissingDependencyError(reason)
        return config.backend
    if config.targets or machine.gpu():
        candidates = ["tensorrt-rtx"] if config.targets else list(PLANS)
        reasons = {name: backends.unavailable(name) for name in candidates}
        for name, reason in reasons.items():
            if reason is None:
                return name
        if config.targets:
            raise MissingDependencyError(f"--target needs TensorRT-RTX: {reasons['tensorrt-rtx']}")
    for name in backends.CPU_BACKENDS:
        if backends.unavailable(name) is None:
            return name
    raise MissingDependencyError("no backend is installed: pip install onnxruntime")


def _engine(job: _Job, force: bool) -> tuple[BuildRecord, onnx.ModelProto | bytes]:
    """Make the engine and its record, but for the source file: graph, typed graph, plan, judgement."""
    images = load_images(job.config.calib, job.config.calib_count, job.manifest.size)
    job.progress("float32 master", 0, 1)
    with running(job.model, "onnxruntime", job.manifest, "fp32") as reference:
        gate = Gate(reference.run, images, job.manifest.labels)
    base = without_unused(job.model if job.for_plan else rewritten(job.model))
    typed, int8 = _typed(job, base, gate)
    plan = _compiled(job, typed) if job.for_plan else None
    if plan is not None and not plan.runs_here and job.config.precision in ("fp16", "int8"):
        job.progress("range of fp16", 0, 1)
        check_range(base, ((image, label) for _, image, label in cover(images.calibration, job.manifest.labels, 0)))
    with _candidate(job, typed, plan) as candidate:
        quality = _judged(job, gate, candidate, plan)
        runs_here = plan is None or plan.runs_here
        speed = _speed(job, base, gate, candidate, force) if int8 and runs_here else None
        layers = candidate.layers() if plan is None else plan.layers
        version = candidate.version
    record = BuildRecord(
        backend=job.backend,
        backend_version=version,
        stargan_rt=stargan_rt.__version__,
        machine=machine.gpu() if job.for_plan and not job.config.targets else machine.cpu(),
        config=job.config.to_dict(),
        targets=(machine.cpu(),),
        layers=layers or typed_layers(typed),
        layers_from=f"{job.backend} runtime model" if layers else "typed graph",
        quality=quality,
        int8=int8,
        speed=speed,
    )
    if plan is None:
        return record, typed
    record = replace(
        record,
        backend_version=plan.version,
        targets=plan.targets,
        layers_from=plan.layers_from,
        profiles=job.config.batch_profiles,
    )
    return record, plan.data


def _typed(job: _Job, base: onnx.ModelProto, gate: Gate) -> tuple[onnx.ModelProto, Int8Choice | None]:
    """Write the precision into the graph; for int8, search for the layer groups that meet the budget."""
    config = job.config
    if config.precision == "fp32":
        return base, None
    if config.precision != "int8":
        return half_graph(base, config.precision, job.backend), None
    job.progress("calibration", 0, 1)
    images = gate.images.calibration
    pairs = [(image, label) for _, image, label in cover(images, job.manifest.labels, len(images))]
    grids = activation_grids(base, pairs, unsigned=not job.for_plan)

    def judge(candidate: onnx.ModelProto) -> Quality:
        with running(candidate, job.judge, job.manifest, "int8") as loaded:
            return gate.judge(loaded.run)

    typed, choice = search(
        base,
        lambda groups: int8_graph(base, grids, groups, job.backend),
        judge,
        config.budget_db,
        config.groups,
        job.progress,
    )
    return typed, replace(choice, calibration_runs=len(pairs))


def _compiled(job: _Job, typed: onnx.ModelProto) -> Plan:
    return compile_plan(job.backend, typed, job.config, job.manifest.size, job.manifest.labels.dim, job.progress)


def _candidate(job: _Job, typed: onnx.ModelProto, plan: Plan | None) -> AbstractContextManager[Backend]:
    """Load what is judged: the engine itself, or for a plan whose GPU is not here, its typed graph."""
    if plan is not None and plan.runs_here:
        return running(plan.data, job.backend, job.manifest, job.config.precision)
    return running(typed, job.judge, job.manifest, job.config.precision)


def _judged(job: _Job, gate: Gate, candidate: Backend, plan: Plan | None) -> Quality:
    """Compare the candidate's images with the float32 model's.

    Raises:
        BuildError: the worst label misses the budget.
    """
    itself = plan is None or plan.runs_here
    job.progress("quality", 0, 1)
    quality = replace(
        gate.judge(candidate.run),
        budget_db=job.config.budget_db,
        judged_by=f"{candidate.name}, the engine itself" if itself else f"{candidate.name} on the typed ONNX",
        master=f"onnxruntime {backends.version('onnxruntime')}, float32",
    )
    if quality.worst_db < job.config.budget_db:
        worst = min(quality.psnr_db, key=quality.psnr_db.__getitem__)
        raise BuildError(
            f"{job.config.precision} images are {quality.worst_db:.1f} dB from the float32 model's (label {worst}), "
            f"below the budget of {job.config.budget_db:g} dB; nothing was written. Use a higher precision, other "
            "calibration images, or a lower --min-psnr"
        )
    return quality


def _speed(job: _Job, base: onnx.ModelProto, gate: Gate, candidate: Backend, force: bool) -> Speed:
    """Time int8 and the best other precision of this machine in turns.

    Raises:
        BuildError: int8 is not faster, and the build is not forced.
    """
    name = "fp16" if job.for_plan else "bf16" if candidate.has_bf16 else "fp32"
    rival = base if name == "fp32" else half_graph(base, name, job.backend)
    _, image, label = gate.runs[0]
    job.progress("speed", 0, 1)
    with running(_compiled(job, rival).data if job.for_plan else rival, job.backend, job.manifest, name) as other:
        ms, other_ms, ratio = compare_latency(
            lambda: candidate.run(image[None], label[None]), lambda: other.run(image[None], label[None])
        )
    if ratio <= 1 and not force:
        raise BuildError(
            f"int8 is not faster than {name} on this machine: {ms:.2f} ms against {other_ms:.2f} ms; nothing was "
            f"written. Build with --{name}, or keep the engine with --force"
        )
    return Speed(round(ms, 3), name, round(other_ms, 3), round(ratio, 3))
