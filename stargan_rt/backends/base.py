"""The interface between `Engine` and whatever executes the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stargan_rt.backends.options import DEFAULTS, RunOptions
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels
from stargan_rt.manifest import Manifest

__all__ = ["DEFAULTS", "Backend", "RunOptions"]


class Backend(ABC):
    """A loaded network.

    `run` may be called from several threads at once. Inputs are checked by the `Engine`, so a
    backend only executes.

    Attributes:
        name: what `Engine.load(backend=…)` and `Engine.backend` call it.
        version: of the library that executes.
        on_gpu: it takes arrays that lie there, and tells `stargan_rt.profiling` the stages of a run itself.
        has_bf16: it computes convolutions in bf16 on this machine, and gains by it.
    """

    name: ClassVar[str]
    on_gpu: ClassVar[bool] = False
    version: str
    has_bf16 = False

    @abstractmethod
    def __init__(self, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> None:
        """Loads an ONNX file that keeps the contract of `stargan_rt.manifest.read_onnx_manifest`, or a plan.

        Args:
            path: the file.
            manifest: what it is.
            options: how to run it.

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

    def run_into(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        """As `run`, into an array of the caller's; it may be `images`."""
        out[...] = self.run(images, labels)

    def run_on_device(self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any, stream: Any) -> Any:
        """Translates an array in the memory of the GPU; see `stargan_rt.cuda.lanes.Lanes.run_on_device`.

        Raises:
            InputError: this backend has no GPU.
        """
        raise InputError(
            f"the image is on a GPU, and {self.name} runs on the CPU; bring it to the host first, in PyTorch with "
            ".cpu().numpy()"
        )

    def memory_bytes(self) -> dict[str, int]:
        """What is held and what is free on a GPU, as `stargan_rt.profiling.Profile.memory_bytes`; empty on a CPU."""
        return {}

    def buffers(self, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
        """Return arrays uint8 ``(H, W, 3)`` for an image and its result, which `run_into` need not copy on a GPU."""
        return np.zeros((*size, 3), np.uint8), np.zeros((*size, 3), np.uint8)

    def launching(self) -> str:
        """Return how a call is launched on a GPU, for `stargan_rt.profiling.Profile.launching`; empty on a CPU."""
        return ""

    def layers(self) -> dict[str, int] | None:
        """Precision → how many convolutions are computed in it; None where the library does not tell."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Frees the network; `run` is not called any more."""
