"""The backends, and the choice among them. A backend's vendor package is imported when it is first used.

Private: `Engine` is the interface.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from stargan_rt import machine
from stargan_rt._lazy import lazy
from stargan_rt.backends.options import DEFAULTS, RunOptions
from stargan_rt.backends.tensorrt_library import vendor
from stargan_rt.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from stargan_rt.backends.base import Backend
    from stargan_rt.labels import LabelSpace
    from stargan_rt.manifest import Manifest

__all__ = [
    "BACKENDS",
    "CPU_BACKENDS",
    "PLANS",
    "Backend",
    "RunOptions",
    "create",
    "create_bare",
    "unavailable",
    "version",
]

__getattr__, __dir__ = lazy(__name__, {"Backend": "base"})

BACKENDS: Mapping[str, str] = MappingProxyType(
    {
        "tensorrt": "stargan_rt.backends.tensorrt:TensorRT",
        "tensorrt-rtx": "stargan_rt.backends.tensorrt:TensorRTRTX",
        "openvino": "stargan_rt.backends.openvino:OpenVINO",
        "onnxruntime": "stargan_rt.backends.onnxruntime:ONNXRuntime",
    }
)
"""Name → module and class; `auto` takes the first one that works, so the order is the preference."""
PLANS = ("tensorrt", "tensorrt-rtx")
"""Backends that run compiled plans, on a GPU; the others run ONNX files, on the CPU."""
CPU_BACKENDS = tuple(name for name in BACKENDS if name not in PLANS)


def backend_class(name: str) -> type[Backend]:
    """Return the class of a backend.

    Raises:
        InputError: there is no such backend.
        MissingDependencyError: its package can't be imported.
    """
    if name not in BACKENDS:
        raise InputError(f"unknown backend {name!r}; known: auto, {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def unavailable(name: str) -> str | None:
    """Return why a backend can't be used on this machine; None where it can."""
    try:
        if name in PLANS:
            vendor(name)
        backend_class(name)
    except MissingDependencyError as error:
        return str(error)
    return None


def version(name: str) -> str | None:
    """Return the installed version of a backend's package without importing it; None where there is none."""
    from importlib import metadata  # takes as long to import as the rest of this package

    # NVIDIA's wheels are named after the CUDA they need, ONNX Runtime's after the provider they contain.
    for package in (name, *(f"{name}-{suffix}" for suffix in ("cu13", "cu12", "gpu", "directml"))):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def create(name: str, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> Backend:
    """Load a file into the named backend, or with ``"auto"`` into the one that it was built for.

    An ONNX file runs on every backend but TensorRT. Where its own is not installed, or it has none, ``"auto"`` takes
    ONNX Runtime on an NVIDIA GPU if there is one, onnxruntime-gpu is installed and TensorRT is not; else the first CPU
    backend that is installed. A device other than the CPU is one of ONNX Runtime's.

    Raises:
        InputError: there is no such backend, or it does not have the device.
        MissingDependencyError: it is not installed; for ``"auto"``, none is.
        EngineLoadError: the backend refuses the file.
    """
    own = manifest.build.backend if manifest.build else None
    if own in PLANS:
        if name not in ("auto", own):
            raise InputError(f"{path} is a plan for {own}; leave out --backend {name}, or give the .onnx file")
        return backend_class(own)(path, manifest, options)
    if name in PLANS:
        raise InputError(f"{path} is an ONNX file; compile it first: stargan-rt build --onnx {path} --backend {name}")
    elsewhere = options.device not in (None, "cpu")
    if name == "openvino" and elsewhere:
        raise InputError(f"openvino runs on the CPU; for device {options.device!r}, use --backend onnxruntime")
    if name != "auto":
        return backend_class(name)(path, manifest, options)
    if elsewhere:
        return backend_class("onnxruntime")(path, manifest, options)
    if options.device is None and own in (None, "onnxruntime") and _cuda_through_onnxruntime():
        return backend_class("onnxruntime")(path, manifest, replace(options, device="cuda:0"))
    reasons = []
    for candidate in sorted(CPU_BACKENDS, key=lambda candidate: candidate != own):
        # Try the next backend only if a package is missing; one that refuses the file must be reported.
        reason = unavailable(candidate)
        if reason is None:
            return backend_class(candidate)(path, manifest, options)
        reasons.append(f"{candidate}: {reason}")
    raise MissingDependencyError("no backend is installed. " + "; ".join(reasons))


def _cuda_through_onnxruntime() -> bool:
    """Whether ONNX Runtime is the way to the GPU: it is there, TensorRT is not, and onnxruntime-gpu is installed."""
    if version("onnxruntime-gpu") is None or machine.gpu() is None:
        return False
    return all(unavailable(name) for name in PLANS)


def create_bare(name: str, path: Path, labels: LabelSpace, options: RunOptions = DEFAULTS) -> tuple[Manifest, Backend]:
    """Load a plan that has no manifest; all but the labels is read from the plan.

    Raises:
        InputError: the backend is not one for plans, or the labels have another length than the plan's.
        EngineLoadError, MissingDependencyError: as for `create`.
    """
    if name not in PLANS:
        raise InputError(f"labels are given for a bare plan only; name its backend, {' or '.join(PLANS)}; got {name!r}")
    from stargan_rt.backends.tensorrt import open_bare

    return open_bare(name, path, labels, options)
