"""One build from an ONNX file to an engine: typed graph, compilation, quality gate, files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import onnx

import stargan_rt
from stargan_rt import backends, machine
from stargan_rt.backends import PLANS, Backend, RunOptions
from stargan_rt.builder import cache
from stargan_rt.builder.calibration import Images, cover, load_images
from stargan_rt.builder.config import BuildConfig
from stargan_rt.builder.gate import Gate, Quality
from stargan_rt.builder.half import to_half
from stargan_rt.builder.layers import typed_layers
from stargan_rt.builder.plan import compile_plan, plan_targets
from stargan_rt.builder.quantize import activation_grids
from stargan_rt.builder.recipe import search
from stargan_rt.builder.typed import half_graph, rewritten, without_unused
from stargan_rt.errors import BuildError, EngineLoadError, InputError, MissingDependencyError
from stargan_rt.files import written_whole
from stargan_rt.manifest import Manifest, plan_manifest_path, read_onnx, sha256, sha256_of, write_to_onnx
from stargan_rt.timing import compare_latency

Progress: TypeAlias = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""


@dataclass(frozen=True)
class Artifact:
    """A built engine.

    Attributes:
        path: an ONNX file for the CPU backends; a plan, with ``PATH.json`` beside it, for TensorRT.
        manifest: what it is and how it was made.
        cached: it was built before and only copied.
        seconds: what this build took.
    """

    path: Path
    manifest: Manifest
    cached: bool
    seconds: float


def build(
    onnx_path: str | os.PathLike[str],
    config: BuildConfig | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress = lambda *_: None,
) -> Artifact:
    """Builds an engine, proves its pictures against the float32 master, and writes it whole or not at all.

    Args:
        onnx_path: of ``python -m export``.
        config: what to build.
        output: by default beside the ONNX file: ``g.fp16.engine`` for a plan, ``g.int8.onnx`` for a CPU.
        force: build again where the cache has it, and keep an int8 engine that is not faster.
        progress: is told how far the build is.

    Raises:
        EngineLoadError: the file is not an exported model.
        BuildError: the engine can't be made, its pictures are below the budget, or int8 gains nothing.
        InputError: settings that do not go together, unusable images, or a path that can't be written.
        MissingDependencyError: the backend is not installed.
    """
    began = time.perf_counter()
    source, config = Path(onnx_path), config or BuildConfig()
    master, model = read_onnx(source)
    if master.build:
        raise BuildError(
            f"{source} is an engine already ({master.precision} for {master.build['backend']}); "
            "build from the file that python -m export wrote"
        )
    backend = _choose(config)
    config.check_backend(backend)
    if backend in PLANS:
        plan_targets(backend, config)
    target = Path(output) if output else source.with_suffix(f".{config.precision}{_suffix(backend)}")
    if target.suffix != _suffix(backend):
        raise InputError(f"an engine for {backend} is a {_suffix(backend)} file; got --output {target}")
    if target.resolve() == source.resolve():
        raise InputError(f"--output {target} would overwrite the model it is built from; choose another")
    name = cache.key(model, config, backend, backends.version(backend))
    if not force and (kept := cache.find(name)):
        manifest = Manifest.from_dict(kept.manifest)
        _write(target, kept.engine.read_bytes(), manifest)
        return Artifact(target, manifest, True, time.perf_counter() - began)

    maker = _Maker(config, backend, master, model, force, progress)
    engine, facts = maker.make()
    facts = {
        "backend": backend,
        "stargan_rt": stargan_rt.__version__,
        "machine": machine.gpu() if backend in PLANS and not config.targets else machine.cpu(),
        "source": {"file": source.name, "sha256": sha256(source)},
        "config": config.to_dict(),
        **facts,
    }
    manifest = replace(master, precision=_majority(facts["layers"]), build=facts)
    if backend in PLANS:
        manifest = replace(manifest, build={**facts, "plan_sha256": sha256_of(engine)})
    else:
        typed = onnx.load_from_string(engine)
        write_to_onnx(manifest, typed)
        engine = typed.SerializeToString()
    _write(target, engine, manifest)
    cache.keep(name, engine, manifest.to_dict())
    return Artifact(target, manifest, False, time.perf_counter() - began)


class _Maker:
    """One build on its way."""

    def __init__(
        self,
        config: BuildConfig,
        backend: str,
        master: Manifest,
        model: onnx.ModelProto,
        force: bool,
        progress: Progress,
    ) -> None:
        self.config, self.backend, self.master, self.model = config, backend, master, model
        self.force, self.progress = force, progress
        self.images: Images = load_images(config.calib, config.calib_count, master.size)
        # Plans are judged by their typed graph, which ONNX Runtime computes, but for its want of bf16.
        judge = "openvino" if config.precision == "bf16" else "onnxruntime"
        self.runner = judge if backend in PLANS else backend
        progress("float32 master", 0, 1)
        with self._running(model, "onnxruntime", "fp32") as reference:
            self.gate = Gate(reference.run, self.images, master.labels)
        self.model = without_unused(model if backend in PLANS else rewritten(model))

    def make(self) -> tuple[bytes, dict[str, Any]]:
        """The plan or the typed ONNX, and what the manifest says of it."""
        facts: dict[str, Any] = {}
        typed = self._typed(facts)
        data = typed.SerializeToString()
        if self.backend in PLANS:
            label_dim = self.master.labels.dim
            plan = compile_plan(self.backend, data, self.config, self.master.size, label_dim, self.progress)
            facts |= {"backend_version": plan.version, "targets": list(plan.targets)}
            facts |= {"layers": dict(plan.layers), "layers_from": plan.layers_from}
            facts["profile"] = [self.config.min_batch, self.config.opt_batch, self.config.max_batch]
            how = f"{self.runner} on the typed ONNX"
        else:
            how = f"{self.runner}, the engine itself"
        self.progress("quality", 0, 1)
        with self._running(typed, self.runner, self.config.precision) as candidate:
            quality = self.gate.judge(candidate.run)
            if self.backend not in PLANS:
                layers = candidate.layers()
                facts |= {"backend_version": candidate.version, "targets": [machine.cpu()]}
                facts |= {"layers": layers or typed_layers(typed)}
                facts["layers_from"] = f"{self.backend} runtime model" if layers else "typed graph"
                if self.config.precision == "int8":
                    facts["speed"] = self._faster_than_half(candidate)
        facts["quality"] = {
            "budget_db": self.config.budget_db,
            "judged_by": how,
            "master": f"onnxruntime {backends.version('onnxruntime')}, float32",
            **quality.to_dict(),
        }
        self._check(quality)
        return plan.data if self.backend in PLANS else data, facts

    def _typed(self, facts: dict[str, Any]) -> onnx.ModelProto:
        precision = self.config.precision
        if precision == "fp32":
            return self.model
        if precision in ("fp16", "bf16"):
            return half_graph(self.model, precision, self.backend)
        self.progress("calibration", 0, 1)
        runs = cover(self.images.calibration, self.master.labels, len(self.images.calibration))
        pairs = [(image, label) for _, image, label in runs]
        grids = activation_grids(self.model, pairs, unsigned=self.backend not in PLANS)

        def judge(candidate: onnx.ModelProto) -> Quality:
            with self._running(candidate, self.runner, "int8") as running:
                return self.gate.judge(running.run)

        typed, recipe = search(self.model, grids, judge, self.config.budget_db, self.config.groups, self.progress)
        facts["int8"] = {**recipe.to_dict(), "calibration_runs": len(runs)}
        return typed

    @contextlib.contextmanager
    def _running(self, model: onnx.ModelProto, backend: str, precision: str) -> Iterator[Backend]:
        """The model in a CPU backend, as an engine of that precision would be."""
        with tempfile.TemporaryDirectory(prefix="stargan-rt-") as folder:
            path = Path(folder) / "typed.onnx"
            path.write_bytes(model.SerializeToString())
            try:
                running = backends.backend_class(backend)(path, self.master, RunOptions(precision=precision))
            except EngineLoadError as error:
                raise BuildError(f"{backend} can't run the {precision} graph: {error}") from None
            try:
                yield running
            finally:
                running.close()

    def _faster_than_half(self, candidate: Backend) -> dict[str, Any]:
        """Refuses int8 that is no faster than the best other precision of this machine."""
        rival = to_half(self.model, "bf16", half_norms=True) if candidate.has_bf16 else self.model
        name = "bf16" if candidate.has_bf16 else "fp32"
        _, image, label = self.gate.runs[0]
        self.progress("speed", 0, 1)
        with self._running(rival, self.backend, name) as other:
            ours_ms, other_ms, ratio = compare_latency(
                lambda: candidate.run(image[None], label[None]), lambda: other.run(image[None], label[None])
            )
        if ratio <= 1 and not self.force:
            raise BuildError(
                f"int8 is not faster than {name} on this machine: {ours_ms:.2f} ms against {other_ms:.2f} ms; nothing "
                f"was written. Build with --{name}, or keep it all the same with --force"
            )
        return {"ms": round(ours_ms, 3), "against": name, "against_ms": round(other_ms, 3), "ratio": round(ratio, 3)}

    def _check(self, quality: Quality) -> None:
        if quality.worst_db < self.config.budget_db:
            worst = min(quality.psnr_db, key=quality.psnr_db.__getitem__)
            raise BuildError(
                f"{self.config.precision} pictures are {quality.worst_db:.1f} dB from the float32 master's "
                f"(label {worst}), below the budget of {self.config.budget_db:g} dB; nothing was written. Use a higher "
                "precision, other calibration images, or a lower --min-psnr"
            )


def _choose(config: BuildConfig) -> str:
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


def _suffix(backend: str) -> str:
    return ".engine" if backend in PLANS else ".onnx"


def _majority(layers: dict[str, int]) -> str:
    return max(layers, key=layers.__getitem__)


def _write(target: Path, engine: bytes, manifest: Manifest) -> None:
    with contextlib.ExitStack() as stack:
        if target.suffix == ".engine":
            # Both are on the disk before either gets its name; a plan whose hash is not the manifest's is refused.
            beside = stack.enter_context(written_whole(plan_manifest_path(target)))
            beside.write_text(json.dumps(manifest.to_dict(), indent=2) + "\n")
        stack.enter_context(written_whole(target)).write_bytes(engine)
