"""stargan-rt: StarGAN inference that is fast and easy to deploy.

    from stargan_rt import Engine

    with Engine.load("avatars") as engine:
        out = engine.translate("face.png", "Blond_Hair")

Public are the names in ``__all__``, and what docs/api.md lists of `stargan_rt.faces`. Every other module is private and
may change between versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stargan_rt._lazy import lazy

if TYPE_CHECKING:
    from stargan_rt._version import __version__
    from stargan_rt.builder import Artifact, BuildConfig, build
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
    "Artifact",
    "BuildConfig",
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
    "__version__",
    "build",
]

# Imported on first use: `stargan-rt --help` needs neither NumPy nor OpenCV.
__getattr__, __dir__ = lazy(
    __name__,
    {
        "Artifact": "builder",
        "BuildConfig": "builder",
        "Engine": "engine",
        "LabelSpace": "labels",
        "Manifest": "manifest",
        "__version__": "_version",
        "build": "builder",
        **{name: "errors" for name in __all__ if name.endswith("Error")},
    },
)
