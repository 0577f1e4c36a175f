"""The build backend: scikit-build-core, with CMake only where a CUDA compiler is found.

With one, the wheel holds a fat binary of GPU code and is tagged for its platform. Without one there is nothing to
compile, and the wheel is ``py3-none-any``. scikit-build-core has no condition for this, so it is decided here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from scikit_build_core import build as backend
from scikit_build_core.build import build_sdist, get_requires_for_build_sdist

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

Settings = dict[str, Any] | None


def cuda_compiler() -> str | None:
    """Return the CUDA compiler that CMake would use: ``$CUDACXX``, nvcc on the path, or that of ``$CUDA_PATH``."""
    if chosen := os.environ.get("CUDACXX"):
        return shutil.which(chosen)
    folder = os.environ.get("CUDA_PATH")
    return shutil.which("nvcc") or (shutil.which("nvcc", path=str(Path(folder) / "bin")) if folder else None)


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build a wheel (PEP 517)."""
    return backend.build_wheel(wheel_directory, _settings(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build an editable install (PEP 660)."""
    return backend.build_editable(wheel_directory, _settings(config_settings), metadata_directory)


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return what a wheel needs: CMake, where something is compiled and it is not installed."""
    return backend.get_requires_for_build_wheel(_settings(config_settings))


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """Return what an editable install needs, as for a wheel."""
    return backend.get_requires_for_build_editable(_settings(config_settings))


def _settings(given: Settings) -> dict[str, Any]:
    return {"wheel.cmake": "true" if cuda_compiler() else "false"} | (given or {})
