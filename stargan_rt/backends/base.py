"""The interface between `Engine` and whatever executes the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stargan_rt.images import Pixels


class Backend(ABC):
    """A loaded network.

    `run` may be called from several threads at once. Inputs are checked by the `Engine`, so a
    backend only executes.

    Attributes:
        name: what `Engine.load(backend=…)` and `Engine.backend` call it.
        version: of the library that executes.
    """

    name: ClassVar[str]
    version: str

    @abstractmethod
    def __init__(self, path: Path, threads: int | None) -> None:
        """Loads an ONNX file that keeps the contract of `stargan_rt.manifest.read_onnx`.

        Args:
            path: the file.
            threads: CPU threads; None leaves the choice to the library.

        Raises:
            EngineLoadError: the library refuses the file.
        """

    @abstractmethod
    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        """Translates a batch and waits for it.

        Args:
            images: uint8 ``(n, H, W, 3)`` RGB, C-contiguous.
            labels: float32 ``(n, c)``, C-contiguous.

        Returns:
            A fresh array, uint8 ``(n, H, W, 3)`` RGB.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the network; `run` is not called any more."""
