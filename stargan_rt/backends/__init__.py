"""The backends, and the choice among them. A backend's vendor package is imported when it is first used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from stargan_rt.backends.base import Backend
from stargan_rt.errors import InputError, MissingDependencyError

__all__ = ["BACKENDS", "Backend", "create", "unavailable"]

BACKENDS: Mapping[str, str] = MappingProxyType(
    {
        "openvino": "stargan_rt.backends.openvino:OpenVINO",
        "onnxruntime": "stargan_rt.backends.onnxruntime:ONNXRuntime",
    }
)
"""Name → where it lives; `auto` takes the first one that works, so the order is the preference."""


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
        backend_class(name)
    except MissingDependencyError as error:
        return str(error)
    return None


def create(name: str, onnx_path: Path, threads: int | None) -> Backend:
    """Loads an ONNX file into the named backend, or with ``"auto"`` into the first that is installed.

    Raises:
        InputError: no such backend.
        MissingDependencyError: it is not installed; for ``"auto"``, none is.
        EngineLoadError: the backend refuses the file.
    """
    if name != "auto":
        return backend_class(name)(onnx_path, threads)
    reasons = []
    for candidate in BACKENDS:
        # Only a missing package passes the turn on; a backend that fails on the file must be heard.
        reason = unavailable(candidate)
        if reason is None:
            return backend_class(candidate)(onnx_path, threads)
        reasons.append(f"{candidate}: {reason}")
    raise MissingDependencyError("no backend is installed. " + "; ".join(reasons))
