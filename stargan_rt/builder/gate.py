"""The quality gate: images of a candidate next to those of the float32 model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from stargan_rt.build_record import Quality
from stargan_rt.builder.calibration import Images, cover
from stargan_rt.images import Pixels
from stargan_rt.labels import LabelSpace
from stargan_rt.quality import ssim

Run: TypeAlias = Callable[[Pixels, npt.NDArray[np.float32]], Pixels]
"""Images uint8 ``(n, H, W, 3)`` RGB and labels float32 ``(n, c)`` → translations."""
IMAGES_A_LABEL = 4
IDENTICAL_DB = 99.0
"""PSNR of identical images, in place of infinity, which JSON can't express."""


class Gate:
    """The float32 model's translations of the held-out images, to compare candidates with.

    Attributes:
        images: the calibration and the held-out images.
        runs: label name, image and label vector of each translation.
    """

    def __init__(self, master: Run, images: Images, space: LabelSpace) -> None:
        self.images = images
        self.runs = cover(images.held_out, space, IMAGES_A_LABEL * len(space.names))
        self._expected = [_translation(master, run) for run in self.runs]

    def judge(self, candidate: Run) -> Quality:
        """Run the candidate on the same images and labels, and compare the translations by label."""
        errors: dict[str, list[float]] = {}
        similarities: dict[str, list[float]] = {}
        for case, expected in zip(self.runs, self._expected, strict=True):
            found = _translation(candidate, case)
            errors.setdefault(case[0], []).append(float(np.mean((found.astype(np.float64) - expected) ** 2)))
            similarities.setdefault(case[0], []).append(ssim(expected, found))
        return Quality(
            {name: round(_db(float(np.mean(values))), 2) for name, values in errors.items()},
            {name: round(float(np.mean(values)), 4) for name, values in similarities.items()},
            len(self.runs) // len(errors),
        )


def _translation(run: Run, case: tuple[str, Pixels, npt.NDArray[np.float32]]) -> Pixels:
    _, image, label = case
    translated: Pixels = run(image[None], label[None])[0]
    return translated


def _db(squared_error: float) -> float:
    return min(IDENTICAL_DB, 10 * math.log10(255**2 / squared_error)) if squared_error else IDENTICAL_DB
