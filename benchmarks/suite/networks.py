"""Engines with a backend that computes nothing, so that only the package's own work is timed."""

from __future__ import annotations

import threading
import time

import numpy as np

from stargan_rt import Engine, LabelSpace, Manifest
from stargan_rt.backends.base import Backend

SIZE = (128, 128)
SPACE = LabelSpace({"faces": ("Black_Hair", "Blond_Hair", "happy", "sad")})


class Instant(Backend):
    """Returns the same array at once, whatever the image."""

    name = "instant"
    version = "0"

    def __init__(self, result: np.ndarray) -> None:
        """`result`: uint8 ``(1, 128, 128, 3)``."""
        self._result = result

    def run(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        assert images.shape == (1, *SIZE, 3)
        assert labels.shape == (1, SPACE.dim)
        return self._result

    def close(self) -> None:
        pass


class Device(Backend):
    """Returns the image after a time in which the cores are free, one call at a time, like a GPU."""

    name = "device"
    version = "0"
    on_gpu = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free = threading.Lock()

    def run(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        with self._free:
            time.sleep(self._seconds)
        return images.copy()

    def close(self) -> None:
        pass


def engine_with(backend: Backend) -> Engine:
    """Return an engine of 128x128 with four labels."""
    return Engine(Manifest(SPACE, SIZE, "fp32", 64, 6), backend)
