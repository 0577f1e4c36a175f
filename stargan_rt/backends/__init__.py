"""The backends, and the choice among them. A backend's vendor package is imported when it is first used.

Private: `Engine` is the interface.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

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
"""Name → where it lives; `auto` takes the first one that works, so the order is the preference."""
PLANS = ("tensorrt", "tensorrt-rtx")
"""Backends that run compiled plans, on a GPU; the others run ONNX files, on the CPU."""
CPU_BACKENDS = tuple(name for name in BACKENDS if name not in PLANS)


def backend_class(name: str) -> type[Backend]:
    """The class behind a name.

    Raises:
        InputError: no such backend.
        MissingDependencyError: its package can't be imported.
    """
    if name not in BACKENDS:
        raise InputError(f"unknown backend {name!r}; known: auto, {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def unavailable(name: str) -> str | None:
    """Why a backend can't be used on this machine; None where it can."""
    try:
        if name in PLANS:
            vendor(name)
        backend_class(name)
    except MissingDependencyError as error:
        return str(error)
    return None


def version(name: str) -> str | None:
    """The installed version of a backend's package, found without importing it; None where there is none."""
    from importlib import metadata  # takes as long to import as the rest of this package

    for package in (name, f"{name}-cu13", f"{name}-cu12"):  # NVIDIA's wheels are named after the CUDA they need
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def create(name: str, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> Backend:
    """Loads a file into the named backend, or with ``"auto"`` into the one it was built for.

    An ONNX file runs on every CPU backend, so where its own is not installed, or it has none, ``"auto"``
    takes the first that is.

    Raises:
        InputError: no such backend.
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
    if name != "auto":
        return backend_class(name)(path, manifest, options)
    reasons = []
    for candidate in sorted(CPU_BACKENDS, key=lambda candidate: candidate != own):
        # Only a missing package passes the turn on; a backend that fails on the file must be heard.
        reason = unavailable(candidate)
        if reason is None:
            return backend_class(candidate)(path, manifest, options)
        reasons.append(f"{candidate}: {reason}")
    raise MissingDependencyError("no backend is installed. " + "; ".join(reasons))


def create_bare(name: str, path: Path, labels: LabelSpace, options: RunOptions = DEFAULTS) -> tuple[Manifest, Backend]:
    """Loads a plan that has no manifest beside it; the rest is read from the plan.

    Raises:
        InputError: not a backend for plans, or labels that the plan does not have room for.
        EngineLoadError, MissingDependencyError: as `create`.
    """
    if name not in PLANS:
        raise InputError(f"labels are given for a bare plan only; name its backend, {' or '.join(PLANS)}; got {name!r}")
    from stargan_rt.backends.tensorrt import open_bare

    return open_bare(name, path, labels, options)
