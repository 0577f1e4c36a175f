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

    `run` may be called from several threads at once. Inputs are checked by the `Engine`, so a backend only executes.

    Attributes:
        name: the backend's name for `Engine.load(backend=…)` and `Engine.backend`.
        version: version of the library that executes.
        device: where it runs, such as ``"cpu"`` or ``"cuda:0"``.
        on_gpu: whether it reports the stages of a run on a GPU to `stargan_rt.profiling` itself.
        has_bf16: whether it computes convolutions in bf16 on this machine, and is faster for it.
        max_batch: largest number of images that `run` is given at once.
        gathers: whether images that wait at the same time are joined into batches, which pays on a GPU.
    """

    name: ClassVar[str]
    on_gpu: ClassVar[bool] = False
    version: str
    has_bf16 = False
    max_batch = 8
    gathers = False
    device = "cpu"

    @abstractmethod
    def __init__(self, path: Path, manifest: Manifest, options: RunOptions = DEFAULTS) -> None:
        """Load an ONNX file that keeps the contract of `stargan_rt.manifest.read_onnx_manifest`, or a plan.

        Args:
            path: the file.
            manifest: what it is.
            options: how to run it.

        Raises:
            EngineLoadError: the library refuses the file.
        """

    @abstractmethod
    def run(self, images: Pixels, labels: npt.NDArray[np.float32]) -> Pixels:
        """Translate a batch and wait for it.

        Args:
            images: uint8 ``(n, H, W, 3)`` RGB, C-contiguous.
            labels: float32 ``(n, c)``, C-contiguous.

        Returns:
            A fresh array, uint8 ``(n, H, W, 3)`` RGB.
        """

    def run_into(self, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels) -> None:
        """Translate a batch as `run` does, into an array of the caller, which may be `images`."""
        out[...] = self.run(images, labels)

    def run_on_device(self, image: Any, passes: Sequence[npt.NDArray[np.float32]], out: Any, stream: Any) -> Any:
        """Translate an array in GPU memory; see `stargan_rt.cuda.lanes.Lanes.run_on_device`.

        Raises:
            InputError: this backend has no GPU.
        """
        raise InputError(
            f"the image is on a GPU, and {self.name} runs on the CPU; bring it to the host first, in PyTorch with "
            ".cpu().numpy()"
        )

    def memory_bytes(self) -> dict[str, int]:
        """Return the memory in use and free on a GPU, as in `stargan_rt.profiling.Profile`; empty on a CPU."""
        return {}

    def buffers(self, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
        """Return arrays uint8 ``(H, W, 3)`` for an image and its result, which `run_into` need not copy on a GPU."""
        return np.zeros((*size, 3), np.uint8), np.zeros((*size, 3), np.uint8)

    def launching(self) -> str:
        """Return how a call is launched on a GPU, for `stargan_rt.profiling.Profile.launching`; empty on a CPU."""
        return ""

    def layers(self) -> dict[str, int] | None:
        """Return the number of convolutions by precision; None if the library does not report it."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Free the network. `run` is not called any more."""
