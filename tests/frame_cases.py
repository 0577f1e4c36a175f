"""Frames and regions for the tests of `crop`, `paste` and the CUDA kernels."""

from __future__ import annotations

import numpy as np

from stargan_rt.faces import Layout, Region

LAYOUTS: tuple[Layout, ...] = ("rgb", "bgr", "nv12")
SIZE = (46, 62)
"""Size of the frames: even for NV12, and not a multiple of four."""
REGIONS = {
    "inside": Region.box(10, 8, 24, 20),
    "fractions": Region.box(10.3, 8.77, 20.5, 17.9),
    "all": Region.box(0, 0, 62, 46),
    "touching": Region.box(0, 26, 20, 20),
    "over-the-corner": Region.box(-7.3, -5.1, 30, 26),
    "over-the-other-corner": Region.box(45.5, 33.25, 30, 30),
    "tiny": Region.box(20.3, 11.7, 1, 1.2),
    "tiny-at-the-edge": Region.box(61.2, 45.4, 1, 1),
    "huge": Region.box(-900, -1500, 3000, 2800),
    "turned": Region.box(12, 9, 25, 31, 33),
    "turned-over-the-edge": Region.box(-10, 20, 50, 20, -120),
    "mirrored-and-sheared": Region(((-20, 3, 40), (2, 18, 5))),
    "outside": Region.box(200, 300, 20, 20),
}


class Buffer:
    """A random frame in a longer buffer, whose other bytes must not change."""

    def __init__(
        self, random: np.random.Generator, layout: Layout, size: tuple[int, int] = SIZE, pad: int = 0, offset: int = 0
    ):
        height, width = size
        rows, row = (height * 3 // 2, width) if layout == "nv12" else (height, width * 3)
        self.pitch, self.offset = row + pad, offset
        self.bytes = random.integers(0, 256, offset + rows * self.pitch + 16, np.uint8)
        self._rows, self._row, self._shape = rows, row, (rows, width) if layout == "nv12" else (height, width, 3)

    @property
    def frame(self) -> np.ndarray:
        """Return the frame as a view."""
        strides = (self.pitch, 1) if len(self._shape) == 2 else (self.pitch, 3, 1)
        return np.lib.stride_tricks.as_strided(self.bytes[self.offset :], self._shape, strides)

    @property
    def gaps(self) -> np.ndarray:
        """Return the bytes that do not belong to the frame."""
        mask = np.ones(self.bytes.shape, np.bool_)
        np.lib.stride_tricks.as_strided(mask[self.offset :], (self._rows, self._row), (self.pitch, 1))[:] = False
        return self.bytes[mask]
