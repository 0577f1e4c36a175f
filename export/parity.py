"""The proof that an exported model gives PyTorch's pictures."""

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
"""Rounding may fall to the other side where a value lies between two levels; more is an error."""


def prove(model: onnx.ModelProto, generator: AnyGenerator, space: LabelSpace, size: tuple[int, int]) -> dict[str, Any]:
    """Compares ONNX Runtime with PyTorch: several images, every label, batch 1 and more.

    Returns:
        For the manifest: how many images and labels, which batches, the largest difference in levels of 255.

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
            wanted = np.stack([labels[(index + i) % len(labels)] for i in range(batch)])
            got = session.run(None, {IMAGE: picked, LABEL: wanted})[0]
            with torch.no_grad():
                pixels, vectors = torch.from_numpy(picked), torch.from_numpy(wanted)
                expected = graph(pixels, vectors).numpy()
                if not generator(graph.scaled(pixels), vectors).isfinite().all():
                    raise ExportError("the generator's output is not finite: its weights are of no use")
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
    """Noise, smooth colours, and the extremes."""
    random = np.random.default_rng(0)
    smooth = resize(random.integers(0, 256, (4, 4, 3), np.uint8), size)
    noise = random.integers(0, 256, (*size, 3), np.uint8)
    black, white = np.zeros_like(noise), np.full_like(noise, 255)
    return [noise, smooth, black, white]
