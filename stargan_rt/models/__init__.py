"""The models and pictures that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

BUNDLED = ("avatars",)


def bundled_model(name: str) -> Path:
    """The ONNX file of a bundled model, such as ``"avatars"``."""
    return Path(str(files(__name__) / f"{name}.onnx"))


def bundled_samples() -> list[Path]:
    """Pictures for trying the bundled model, 128x128 PNG; the model was not trained on them."""
    return sorted(Path(str(files(__name__) / "samples")).glob("*.png"))
