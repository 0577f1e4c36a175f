"""What all contestants share: one generator, the same pictures, the same number of threads.

The files lie in one folder, so that each contestant, in a process of its own, reads what all others read.
PyTorch is imported by those who need it alone: its threads have no part in the other contestants' processes.
"""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx

from stargan_rt import LabelSpace, Manifest
from stargan_rt.builder.calibration import load_images
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, write_to_onnx

if TYPE_CHECKING:
    from training.model import Generator

LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SEED = 0
CALIBRATION = 16
"""Pictures that the peers' own quantisers see; `stargan_rt.builder` takes its own choice of the same avatars."""


@dataclass(frozen=True)
class Case:
    """One generator of random weights, and the pictures it is judged with.

    Attributes:
        folder: holds ``weights.pt``, ``g.onnx`` (uint8 NHWC, as `export` writes it) and ``plain.onnx`` (float NCHW).
        threads: of every contestant.
        conv_dim, blocks: of the generator; 64 and 6 are the paper's.
        image_size: side of the pictures in pixels.
    """

    folder: Path
    threads: int
    conv_dim: int = 64
    blocks: int = 6
    image_size: int = 128

    @property
    def exported(self) -> Path:
        return self.folder / "g.onnx"

    @property
    def plain(self) -> Path:
        return self.folder / "plain.onnx"

    @property
    def size(self) -> tuple[int, int]:
        return self.image_size, self.image_size

    def write(self) -> None:
        """Makes the files; before any contestant starts."""
        import torch

        from export.graph import to_onnx
        from training.model import Generator

        torch.manual_seed(SEED)
        space = LabelSpace({"CelebA": LABELS})
        generator = Generator(space.dim, self.conv_dim, self.blocks).eval()
        torch.save(generator.state_dict(), self.folder / "weights.pt")
        model = to_onnx(generator, space.dim, self.size)
        write_to_onnx(Manifest(space, self.size, "fp32", self.conv_dim, self.blocks), model)
        self.exported.write_bytes(model.SerializeToString())
        onnx.save(_plain_onnx(generator, self.size), self.plain)

    def generator(self) -> Generator:
        """The float32 network, in evaluation mode, on the CPU."""
        import torch

        from training.model import Generator

        generator = Generator(len(LABELS), self.conv_dim, self.blocks)
        generator.load_state_dict(torch.load(self.folder / "weights.pt", weights_only=True))
        return generator.eval()

    def judged(self) -> list[tuple[Pixels, npt.NDArray[np.float32]]]:
        """A picture uint8 ``(H, W, 3)`` RGB and a label float32 ``(5,)`` for each label; no quantiser saw them."""
        return _with_labels(load_images("avatars", 64, self.size).held_out[: len(LABELS)])

    def calibration(self) -> list[tuple[Pixels, npt.NDArray[np.float32]]]:
        """Pictures and labels as `judged`, for the peers' quantisers."""
        return _with_labels(load_images("avatars", 64, self.size).calibration[:CALIBRATION])

    def master(self) -> Pixels:
        """The float32 pictures that all others are held against, uint8 ``(5, H, W, 3)``, by PyTorch."""
        import torch

        from export.graph import InferenceGraph

        graph = InferenceGraph(self.generator())
        with torch.inference_mode():
            pictures = [graph(torch.from_numpy(x[None]), torch.from_numpy(y[None])) for x, y in self.judged()]
        found: Pixels = torch.cat(pictures).numpy()
        return found


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_labels(pictures: list[Pixels]) -> list[tuple[Pixels, npt.NDArray[np.float32]]]:
    one_hot = np.eye(len(LABELS), dtype=np.float32)
    return [(picture, one_hot[number % len(LABELS)]) for number, picture in enumerate(pictures)]


def _plain_onnx(generator: Generator, size: tuple[int, int]) -> onnx.ModelProto:
    """What `torch.onnx.export` makes of the generator itself: float32 ``(1, 3, H, W)`` in and out."""
    import torch

    from export.graph import OPSET

    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            generator,
            (torch.zeros(1, 3, *size), torch.zeros(1, len(LABELS))),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGE, LABEL],
            output_names=[TRANSLATED],
            verbose=False,
        )
    assert program is not None  # as the dynamo exporter promises
    return program.model_proto
