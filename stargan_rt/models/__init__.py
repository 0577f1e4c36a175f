"""The models and images that are bundled with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from stargan_rt.images import Pixels, read_image

BUNDLED = ("avatars",)


def bundled_model(name: str) -> Path:
    """Return the path of the ONNX file of a bundled model, such as ``"avatars"``."""
    return Path(str(files(__name__) / f"{name}.onnx"))


def bundled_faces() -> list[Pixels]:
    """Return 48 avatars for calibration and evaluation, uint8 ``(128, 128, 3)`` RGB; none of them is a sample."""
    sheet = read_image(str(files(__name__) / "faces.png"))
    return [
        sheet[y : y + 128, x : x + 128] for y in range(0, sheet.shape[0], 128) for x in range(0, sheet.shape[1], 128)
    ]


def bundled_samples() -> list[Path]:
    """Return the paths of the sample images, 128x128 PNG files that the bundled model was not trained on."""
    return sorted(Path(str(files(__name__) / "samples")).glob("*.png"))
