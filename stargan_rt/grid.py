"""Arrange images in a grid with captions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from stargan_rt.images import Pixels

CAPTION = 22
"""Height of the caption line in pixels."""


def captioned_grid(rows: Sequence[Sequence[Pixels]], captions: Sequence[str], width: int = 8) -> Pixels:
    """Arrange images in a grid and return it as uint8 ``(H, W, 3)`` RGB.

    Args:
        rows: Images of one size, uint8 ``(h, w, 3)`` RGB. Every row has as many images as there are captions.
        captions: The text above each column.
        width: Number of columns next to each other; further columns continue in another block below.
    """
    blocks = [slice(start, start + width) for start in range(0, len(captions), width)]
    return np.concatenate([_block([row[block] for row in rows], captions[block], width) for block in blocks])


def _block(rows: Sequence[Sequence[Pixels]], captions: Sequence[str], width: int) -> Pixels:
    h, w = rows[0][0].shape[:2]
    block = np.full((CAPTION + h * len(rows), w * width, 3), 255, np.uint8)
    for x, caption in enumerate(captions):
        for y, row in enumerate(rows):
            block[CAPTION + y * h : CAPTION + (y + 1) * h, x * w : (x + 1) * w] = row[x]
        scale = 0.45
        (text_width, _), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        scale *= min(1.0, (w - 4) / text_width)  # shrink long names to the width of their column
        (text_width, _), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        left = x * w + (w - text_width) // 2
        cv2.putText(block, caption, (left, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
    return block
