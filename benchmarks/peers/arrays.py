"""From an image to a float network's input and back, in NumPy, as users write it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stargan_rt.images import Pixels


def to_network(image: Pixels) -> npt.NDArray[np.float32]:
    """Convert uint8 ``(H, W, 3)`` to float32 ``(1, 3, H, W)`` in [-1, 1]."""
    return np.ascontiguousarray((image.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1)[None])


def to_image(output: npt.NDArray[np.float32]) -> Pixels:
    """Convert float32 ``(1, 3, H, W)`` in [-1, 1] to uint8 ``(H, W, 3)``."""
    scaled = np.round((output[0].transpose(1, 2, 0) + 1.0) * 127.5)
    return np.ascontiguousarray(np.clip(scaled, 0.0, 255.0).astype(np.uint8))
