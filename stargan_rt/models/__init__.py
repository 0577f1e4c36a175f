"""The models and pictures that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from stargan_rt.images import Pixels, read_image

BUNDLED = ("avatars",)


def bundled_model(name: str) -> Path:
    """The ONNX file of a bundled model, such as ``"avatars"``."""
    return Path(str(files(__name__) / f"{name}.onnx"))


def bundled_faces() -> list[Pixels]:
    """48 avatars for calibrating and judging, uint8 ``(128, 128, 3)`` RGB; others than the samples."""
    sheet = read_image(str(files(__name__) / "faces.png"))
    return [
        sheet[y : y + 128, x : x + 128] for y in range(0, sheet.shape[0], 128) for x in range(0, sheet.shape[1], 128)
    ]


def bundled_samples() -> list[Path]:
    """Pictures for trying the bundled model, 128x128 PNG; the model was not trained on them."""
    return sorted(Path(str(files(__name__) / "samples")).glob("*.png"))
