"""Splits a call into runs of the network: batches of images, and one pass per data set that its labels name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stargan_rt import profiling
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels

if TYPE_CHECKING:
    from stargan_rt.backends import Backend


def run_passes(
    backend: Backend, pixels: list[Pixels], requests: list[list[npt.NDArray[np.float32]]], out: Pixels | None = None
) -> Pixels:
    """Translate images of the network's size.

    Args:
        backend: Runs the network.
        pixels: The images, uint8 ``(H, W, 3)`` RGB each.
        requests: Per image, the label vectors ``(c,)`` returned by `LabelSpace.passes`, applied one after the other.
            One image may be combined with many requests, and one request with many images.
        out: For one image and one request, the array to write to: uint8 ``(1, H, W, 3)``, C-contiguous.

    Returns:
        uint8 ``(n, H, W, 3)`` RGB; `out` if given.

    Raises:
        InputError: The numbers of images and requests do not match, or there is no image.
    """
    count = max(len(pixels), len(requests))
    if not pixels or {len(pixels), len(requests)} - {1, count}:
        raise InputError(
            f"{len(pixels)} images and {len(requests)} labels do not match; give one label per image, or one image "
            "or one label for all"
        )
    if count == 1:  # the hot path: no copy
        output = np.ascontiguousarray(pixels[0])[None]
        for vector in requests[0]:
            output = _run(backend, output, vector[None], out)
        return output
    if len(requests) == 1:
        requests = requests * count
    outputs = _run_batches(backend, pixels * count if len(pixels) == 1 else pixels, [r[0] for r in requests])
    for number in range(1, max(map(len, requests))):
        rows = [row for row, request in enumerate(requests) if len(request) > number]
        outputs[rows] = _run_batches(backend, list(outputs[rows]), [requests[row][number] for row in rows])
    return outputs


def _run_batches(backend: Backend, images: list[Pixels], vectors: list[npt.NDArray[np.float32]]) -> Pixels:
    size = backend.max_batch
    parts = [slice(start, start + size) for start in range(0, len(vectors), size)]
    return np.concatenate([_run(backend, np.stack(images[part]), np.stack(vectors[part])) for part in parts])


def _run(backend: Backend, images: Pixels, labels: npt.NDArray[np.float32], out: Pixels | None = None) -> Pixels:
    stages = profiling.current()
    if stages is not None and not backend.on_gpu:
        with stages.computing():
            result = backend.run(images, labels)
        if out is None:
            return result
        out[...] = result
        return out
    if out is None:
        return backend.run(images, labels)
    backend.run_into(images, labels, out)
    return out
