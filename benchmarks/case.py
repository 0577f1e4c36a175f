"""One generator with random weights, and the images and labels that every peer gets.

The files lie in one folder, so that each peer, in its own process, reads the same ones. PyTorch is imported only by
the methods that need it: its threads must not run in the processes of other libraries.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from stargan_rt import LabelSpace, Manifest
from stargan_rt.builder.calibration import load_images
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED, write_to_onnx

if TYPE_CHECKING:
    import torch

    from training.model import Generator

LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SEED = 0
CALIBRATION = 16
"""Number of images that the peers' own quantisers see; `stargan_rt.builder` chooses among the same avatars."""

Pair: TypeAlias = tuple[Pixels, npt.NDArray[np.float32]]
"""An image, uint8 ``(H, W, 3)`` RGB, and a label, float32 ``(5,)``."""


@dataclass(frozen=True)
class Case:
    """A generator with random weights, and the images it is judged with.

    Attributes:
        folder: holds ``weights.pt``, ``g.onnx`` (uint8 NHWC, as `export` writes it) and ``plain.onnx`` (float NCHW).
        threads: number of CPU threads of every peer.
        conv_dim: channels of the first convolution; 64 in the paper.
        blocks: number of residual blocks; 6 in the paper.
        image_size: side of the images in pixels.
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
        """Write the files, before any peer starts."""
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
        """Load the float32 network, in evaluation mode, on the CPU."""
        import torch

        from training.model import Generator

        generator = Generator(len(LABELS), self.conv_dim, self.blocks)
        generator.load_state_dict(torch.load(self.folder / "weights.pt", weights_only=True))
        return generator.eval()

    def gmac(self) -> float:
        """Count the multiplications of one image in 1e9: convolutions, without norms and activations."""
        return gmac(self.generator(), self.size, len(LABELS))

    def judged(self) -> list[Pair]:
        """Return an image for each label; no quantiser has seen them."""
        return _with_labels(load_images("avatars", 64, self.size).held_out[: len(LABELS)])

    def calibration(self) -> list[Pair]:
        """Return images and labels for the peers' quantisers; none of them is in `judged`."""
        return _with_labels(load_images("avatars", 64, self.size).calibration[:CALIBRATION])

    def master(self) -> Pixels:
        """Translate `judged` with PyTorch in float32, the reference for every peer: uint8 ``(5, H, W, 3)``."""
        import torch

        from export.graph import InferenceGraph

        graph = InferenceGraph(self.generator())
        with torch.inference_mode():
            images = [graph(torch.from_numpy(x[None]), torch.from_numpy(y[None])) for x, y in self.judged()]
        translated: Pixels = torch.cat(images).numpy()
        return translated


def gmac(generator: torch.nn.Module, size: tuple[int, int], label_dim: int) -> float:
    """Count the multiplications of one image in 1e9: convolutions, without norms and activations."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        generator(torch.zeros(1, 3, *size), torch.zeros(1, label_dim))
    return counter.get_total_flops() / 2e9


def write_engine(model: onnx.ModelProto, manifest: Manifest, precision: str, path: Path) -> Path:
    """Write a graph of `stargan_rt.builder.typed_graph` as a file that `Engine.load` takes."""
    write_to_onnx(replace(manifest, precision=precision), model)
    path.write_bytes(model.SerializeToString())
    return path


def _with_labels(images: list[Pixels]) -> list[Pair]:
    one_hot = np.eye(len(LABELS), dtype=np.float32)
    return [(image, one_hot[number % len(LABELS)]) for number, image in enumerate(images)]


def _plain_onnx(generator: Generator, size: tuple[int, int]) -> onnx.ModelProto:
    """Export the generator alone, as `torch.onnx.export` does it: float32 ``(1, 3, H, W)`` in and out."""
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
