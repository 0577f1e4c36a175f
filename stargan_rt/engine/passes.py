"""The images and labels of one call as runs of the network: in batches, and one for each data set that is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stargan_rt import profiling
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels

if TYPE_CHECKING:
    from stargan_rt.backends import Backend

BATCH = 8
"""Images a backend gets at once; more do not run faster, but need more memory."""


def run_passes(
    backend: Backend, pixels: list[Pixels], requests: list[list[npt.NDArray[np.float32]]], out: Pixels | None = None
) -> Pixels:
    """Translates images of the network's size.

    Args:
        backend: runs the network.
        pixels: uint8 ``(H, W, 3)`` RGB each.
        requests: for every image the vectors ``(c,)`` of `LabelSpace.passes`, applied one after the other. One image
            goes with many requests, and one request with many images.
        out: of one image and one request, where the result goes: uint8 ``(1, H, W, 3)``, C-contiguous.

    Returns:
        uint8 ``(n, H, W, 3)`` RGB; `out` where it is given.

    Raises:
        InputError: lengths that don't fit together, or no image.
    """
    count = max(len(pixels), len(requests))
    if not pixels or {len(pixels), len(requests)} - {1, count}:
        raise InputError(
            f"{len(pixels)} images and {len(requests)} labels do not fit together; give as many labels as "
            "images, or one of either"
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
    parts = [slice(start, start + BATCH) for start in range(0, len(vectors), BATCH)]
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
