"""A face out of a picture for the network, and the translated face back into it."""

from __future__ import annotations

import cv2
import numpy as np

from stargan_rt.faces.regions import Layout, Region, Size, crop, paste
from stargan_rt.images import Pixels, resize

FEATHER = 0.12
"""The part of a crop's sides over which the translated face fades into the picture."""
UNCHANGED, CHANGED = 8.0, 28.0
"""Differences between the crop and its translation, in levels of 255: up to the first the picture's own pixels stay,
from the second on they are replaced."""


def cut(frame: Pixels, region: Region, size: Size) -> Pixels:
    """Cut a region out of an RGB picture, averaging pixels where it is more than twice as large as the result.

    Unlike `crop`, which samples at single places, this skips no pixels of large regions.

    Args:
        frame: uint8 ``(H, W, 3)``, RGB.
        region: the part to cut out.
        size: (height, width) of the result.

    Returns:
        uint8 ``(height, width, 3)``, RGB.
    """
    matrix = np.array(region.matrix)
    factor = min(np.hypot(*matrix[:, 0]) / size[1], np.hypot(*matrix[:, 1]) / size[0])
    left, top, right, bottom = region.bounds((frame.shape[0], frame.shape[1]))
    if factor < 2 or left >= right or top >= bottom:
        return crop(frame, region, size)
    part = frame[top:bottom, left:right]
    height, width = (max(round(side / factor), 1) for side in part.shape[:2])
    matrix[:, 2] -= left, top
    matrix *= [[width / part.shape[1]], [height / part.shape[0]]]
    return crop(resize(part, (height, width)), Region(matrix.tolist()), size)


def put_back(
    frame: Pixels, before: Pixels, after: Pixels, region: Region, layout: Layout = "rgb", feather: float = FEATHER
) -> None:
    """Blend a translated face into a picture, in place, keeping the picture's own pixels where nothing changed.

    The network's images are small, so a large face would come back blurred as a whole. Where a translation does not
    differ from what went in, the picture keeps its detail; only what the network changed is replaced. Nothing outside
    the region is written.

    Args:
        frame: uint8 ``(H, W, 3)``, RGB or BGR as `layout` says, writeable.
        before: uint8 ``(h, w, 3)``, RGB: the crop that the network was given.
        after: uint8 ``(h, w, 3)``, RGB: its translation.
        region: where the crop was cut out.
        layout: ``"rgb"`` or ``"bgr"``.
        feather: as for `paste`.
    """
    left, top, right, bottom = region.bounds((frame.shape[0], frame.shape[1]))
    if left >= right or top >= bottom:
        return
    difference = cv2.absdiff(before, after).max(axis=2).astype(np.float32)
    # Blurred, so that the border between kept and replaced pixels is soft, and widened before, so that what changed is
    # replaced as a whole.
    spread = cv2.GaussianBlur(cv2.dilate(difference, np.ones((5, 5), np.uint8)), (0, 0), 2)
    changed = np.clip((spread - UNCHANGED) / (CHANGED - UNCHANGED), 0, 1)
    mask = np.repeat((changed * 255).astype(np.uint8)[..., None], 3, axis=2)
    part = frame[top:bottom, left:right]
    pasted, share = part.copy(), np.zeros_like(part)
    moved = np.array(region.matrix)
    moved[:, 2] -= left, top
    shifted = Region(moved.tolist())
    paste(pasted, after, shifted, layout, feather)
    paste(share, mask, shifted, "rgb", 0)
    weight = share.astype(np.float32) / 255
    part[...] = np.rint(part + (pasted.astype(np.float32) - part) * weight)
