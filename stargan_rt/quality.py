"""Image similarity: PSNR and SSIM."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stargan_rt.images import Pixels


def psnr(a: Pixels, b: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB of two uint8 arrays of the same shape; infinity if they are equal."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: Pixels, b: Pixels) -> float:
    """Return the structural similarity of two uint8 ``(H, W, 3)`` arrays, at most 1 (Wang et al. 2004).

    The mean over pixels and channels, with the paper's constants and its 11x11 Gaussian window (sigma 1.5). Pixels
    whose window reaches over the edge are not counted.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)

    def mean(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return cv2.GaussianBlur(image, (11, 11), 1.5)[5:-5, 5:-5]  # type: ignore[return-value]

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(index.mean())
