"""stargan-rt: StarGAN inference that is fast and easy to deploy.

from stargan_rt import Engine

with Engine.load("avatars") as engine:
    out = engine.translate("face.png", "Blond_Hair")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stargan_rt.engine import Engine
    from stargan_rt.errors import (
        BuildError,
        EngineIncompatibleError,
        EngineLoadError,
        ExportError,
        InputError,
        LabelError,
        MissingDependencyError,
        StarGANError,
    )
    from stargan_rt.labels import LabelSpace
    from stargan_rt.manifest import Manifest

__all__ = [
    "BuildError",
    "Engine",
    "EngineIncompatibleError",
    "EngineLoadError",
    "ExportError",
    "InputError",
    "LabelError",
    "LabelSpace",
    "Manifest",
    "MissingDependencyError",
    "StarGANError",
]

_HOMES = {"Engine": "engine", "LabelSpace": "labels", "Manifest": "manifest"}


def __getattr__(name: str) -> Any:
    # Imported on first use (PEP 562): `stargan-rt --help` needs neither NumPy nor OpenCV.
    if name == "__version__":
        from importlib import metadata

        return metadata.version("stargan-rt")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
