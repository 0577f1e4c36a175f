"""Compare an exported model with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from export.graph import InferenceGraph
from stargan_rt.errors import ExportError
from stargan_rt.images import resize
from stargan_rt.labels import LabelSpace
from stargan_rt.manifest import IMAGE, LABEL
from training.architectures import AnyGenerator

MAX_LEVELS = 1
"""Largest allowed difference in levels of 255: rounding may differ where a value lies between two levels."""


def prove(model: onnx.ModelProto, generator: AnyGenerator, space: LabelSpace, size: tuple[int, int]) -> dict[str, Any]:
    """Compare ONNX Runtime with PyTorch on several images, all labels, and batches of one and more.

    Args:
        model: the exported model.
        generator: the generator it was exported from.
        space: its labels.
        size: (height, width) of the images.

    Returns:
        A record for the manifest: number of images and labels, batch sizes, largest difference in levels of 255.

    Raises:
        ExportError: they differ by more than one level; the message names the largest difference.
    """
    images = _images(size)
    labels = np.stack([space.encode(name) for name in space.names])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    graph = InferenceGraph(generator).eval()
    largest, where = 0, ""
    batches = (1, 3)
    for batch in batches:
        for index, name in enumerate(space.names):
            picked = np.stack([images[(index + i) % len(images)] for i in range(batch)])
            vector = np.stack([labels[(index + i) % len(labels)] for i in range(batch)])
            got = session.run(None, {IMAGE: picked, LABEL: vector})[0]
            with torch.no_grad():
                pixels, vectors = torch.from_numpy(picked), torch.from_numpy(vector)
                expected = graph(pixels, vectors).numpy()
                if not generator(graph.scaled(pixels), vectors).isfinite().all():
                    raise ExportError("the generator's output is not finite; export an earlier checkpoint")
            difference = int(np.abs(got.astype(int) - expected).max())
            if difference >= largest:
                largest, where = difference, f"label {name}, batch {batch}"
    if largest > MAX_LEVELS:
        raise ExportError(
            f"the exported model differs from PyTorch by up to {largest} levels of 255 ({where}); at most "
            f"{MAX_LEVELS} is allowed, so nothing was written. Try other versions of torch, onnxscript or onnxsim"
        )
    return {
        "images": len(images),
        "labels": len(labels),
        "batches": list(batches),
        "max_levels": largest,
        "onnxruntime": ort.__version__,
    }


def _images(size: tuple[int, int]) -> list[np.ndarray]:
    """Return an image of noise, one of smooth colours, a black and a white one."""
    random = np.random.default_rng(0)
    smooth = resize(random.integers(0, 256, (4, 4, 3), np.uint8), size)
    noise = random.integers(0, 256, (*size, 3), np.uint8)
    black, white = np.zeros_like(noise), np.full_like(noise, 255)
    return [noise, smooth, black, white]
