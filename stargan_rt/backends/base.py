"""The interface between `Engine` and whatever executes the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stargan_rt.images import Pixels
from stargan_rt.manifest import Manifest


class Backend(ABC):
    """A loaded network.

    `run` may be called from several threads at once. Inputs are checked by the `Engine`, so a
    backend only executes.

    Attributes:
        name: what `Engine.load(backend=…)` and `Engine.backend` call it.
        version: of the library that executes.
        has_bf16: it computes convolutions in bf16 on this machine, and gains by it.
    """

    name: ClassVar[str]
    version: str
    has_bf16 = False

    @abstractmethod
    def __init__(self, path: Path, manifest: Manifest, threads: int | None) -> None:
        """Loads an ONNX file that keeps the contract of `stargan_rt.manifest.read_onnx`, or a plan.

        Args:
            path: the file.
            manifest: what it is.
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

    def layers(self) -> dict[str, int] | None:
        """Precision → how many convolutions are computed in it; None where the library does not tell."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Frees the network; `run` is not called any more."""
