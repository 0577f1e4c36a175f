"""What a detector looks at: square windows over an image at several scales, and upright squares around a face."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from stargan_rt.faces.face import Array, Face
from stargan_rt.faces.regions import Region
from stargan_rt.images import Pixels

SMALLEST = 0.2
"""The part of a window's side that a face must take to be found reliably."""
WHOLE = 1.6
"""Side of the first window, in longer sides of the image: a face that fills its window is not found."""


def windows(image: Pixels, size: int, min_size: float) -> Iterator[tuple[Pixels, Array]]:
    """Yield square windows that show every face with a box of at least `min_size` large enough to be found.

    The first shows the image with a border, for a face that fills it, and the second as it is. Each further scale is up
    to twice as fine, with windows that overlap by half.

    Args:
        image: uint8 ``(H, W, 3)``.
        size: side of the windows in pixels.
        min_size: side of the smallest face box, in pixels of the image.

    Yields:
        The window, uint8 ``(size, size, 3)``, and the 2x3 map from its pixels to the image's.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    whole = Region.box((width - WHOLE * longest) / 2, (height - WHOLE * longest) / 2, WHOLE * longest, WHOLE * longest)
    yield view(image, whole, size), np.array(whole.matrix) / (size, size, 1)
    finest = max(min(min_size / SMALLEST, longest), size / 4)
    scales = math.ceil(math.log2(max(longest / finest, 1)))
    for number in range(scales + 1):
        scale = size / longest * (longest / finest) ** (number / max(scales, 1))
        h, w = max(round(height * scale), 1), max(round(width * scale), 1)
        small = np.zeros((max(h, size), max(w, size), 3), np.uint8)
        small[:h, :w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        for top in _starts(small.shape[0], size):
            for left in _starts(small.shape[1], size):
                matrix = np.array([[width / w, 0, left * width / w], [0, height / h, top * height / h]])
                yield small[top : top + size, left : left + size], matrix


def _starts(length: int, size: int) -> list[int]:
    """Return where windows of `size` begin that cover `length` and overlap by at least half."""
    count = math.ceil(max(length - size, 0) / (size / 2)) + 1
    return [round(i * (length - size) / max(count - 1, 1)) for i in range(count)]


def upright_square(face: Face, margin: float) -> Region:
    """Return the square around a face, of `margin` times the side of its box, turned so that the eyes are level."""
    left, top, right, bottom = face.box
    side = max(max(right - left, bottom - top) * margin, 2.0)
    (x0, y0), (x1, y1) = face.keypoints[:2]
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    return Region.box((left + right - side) / 2, (top + bottom - side) / 2, side, side, angle)


def view(image: Pixels, region: Region, size: int) -> Pixels:
    """Show a square region to a detector: fast, with black beyond the image's edge.

    Unlike `crop` it rounds positions to 1/32 pixel, which no detector notices.

    Returns:
        uint8 ``(size, size, 3)``.
    """
    left, top, right, bottom = region.bounds((image.shape[0], image.shape[1]))
    if left >= right or top >= bottom:
        return np.zeros((size, size, 3), np.uint8)
    part, matrix = image[top:bottom, left:right], np.array(region.matrix)
    matrix[:, 2] -= left, top
    if (factor := np.hypot(*matrix[:, 0]) / size) >= 2:
        h, w = (max(round(side / factor), 1) for side in part.shape[:2])
        matrix *= [[w / part.shape[1]], [h / part.shape[0]]]
        part = np.asarray(cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    to_part = Region(matrix.tolist()).to_frame((size, size))
    return cv2.warpAffine(part, to_part, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)  # type: ignore[return-value]
