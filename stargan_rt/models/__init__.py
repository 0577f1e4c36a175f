"""The models and images that are bundled with the package.

Private: `Engine.load` takes their names.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import numpy as np

from stargan_rt.images import Pixels, read_image, resize

BUNDLED = ("avatars",)


def bundled_model(name: str) -> Path:
    """Return the path of the ONNX file of a bundled model, such as ``"avatars"``."""
    return Path(str(files(__name__) / f"{name}.onnx"))


def is_bundled(name: str | os.PathLike[str]) -> bool:
    """Return whether `name` is the name of a bundled model and not a path."""
    return os.fspath(name) in BUNDLED


def model_path(name: str | os.PathLike[str]) -> Path:
    """Return the file of a bundled model, given its name; anything else is returned as a path."""
    return bundled_model(os.fspath(name)) if is_bundled(name) else Path(name)


def bundled_faces() -> list[Pixels]:
    """Return 48 avatars for calibration and evaluation, uint8 ``(128, 128, 3)`` RGB; none of them is a sample."""
    sheet = read_image(str(files(__name__) / "faces.png"))
    return [
        sheet[y : y + 128, x : x + 128] for y in range(0, sheet.shape[0], 128) for x in range(0, sheet.shape[1], 128)
    ]


def bundled_samples() -> list[Path]:
    """Return the paths of the sample images, 128x128 PNG files that the bundled model was not trained on."""
    return sorted(Path(str(files(__name__) / "samples")).glob("*.png"))


def is_photo(image: Pixels) -> bool:
    """Return whether an image is probably a photograph and not a drawing, which has areas of one colour.

    Args:
        image: uint8 ``(H, W, 3)``.
    """
    small = resize(image, (128, 128)).astype(np.int16)
    flat = np.abs(small[:, 1:] - small[:, :-1]).max(axis=2) <= 2
    return bool(flat.mean() < 0.55)
