"""The quality gate: pictures of a candidate beside those of the float32 master."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from stargan_rt.builder.calibration import Images, cover
from stargan_rt.images import Pixels
from stargan_rt.labels import LabelSpace
from stargan_rt.quality import ssim

Run: TypeAlias = Callable[[Pixels, npt.NDArray[np.float32]], Pixels]
"""Images uint8 ``(n, H, W, 3)`` and labels float32 ``(n, c)`` → translations."""
IMAGES_A_LABEL = 4
ALIKE_DB = 99.0
"""In place of infinity, which JSON does not know."""


@dataclass(frozen=True)
class Quality:
    """How near a candidate is to the master.

    Attributes:
        psnr_db, ssim: label → over its images; PSNR of the mean squared error, mean SSIM.
        images: how many were translated to each label.
    """

    psnr_db: dict[str, float]
    ssim: dict[str, float]
    images: int

    @property
    def worst_db(self) -> float:
        """PSNR of the label that suffers most: what the budget is held against."""
        return min(self.psnr_db.values())

    @property
    def mean_db(self) -> float:
        return float(np.mean(list(self.psnr_db.values())))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "images_a_label": self.images,
            "worst_psnr_db": self.worst_db,
            "mean_psnr_db": round(self.mean_db, 2),
            "psnr_db": self.psnr_db,
            "ssim": self.ssim,
        }


class Gate:
    """The master's pictures of held-out images, to hold candidates against."""

    def __init__(self, master: Run, images: Images, space: LabelSpace) -> None:
        self.runs = cover(images.held_out, space, IMAGES_A_LABEL * len(space.names))
        self.expected = [self._picture(master, run) for run in self.runs]

    @staticmethod
    def _picture(run: Run, case: tuple[str, Pixels, npt.NDArray[np.float32]]) -> Pixels:
        _, image, label = case
        picture: Pixels = run(image[None], label[None])[0]
        return picture

    def judge(self, candidate: Run) -> Quality:
        """Runs the candidate on the same images and labels."""
        errors: dict[str, list[float]] = {}
        alike: dict[str, list[float]] = {}
        for case, expected in zip(self.runs, self.expected, strict=True):
            found = self._picture(candidate, case)
            errors.setdefault(case[0], []).append(float(np.mean((found.astype(np.float64) - expected) ** 2)))
            alike.setdefault(case[0], []).append(ssim(expected, found))
        return Quality(
            {name: round(_db(float(np.mean(values))), 2) for name, values in errors.items()},
            {name: round(float(np.mean(values)), 4) for name, values in alike.items()},
            len(self.runs) // len(errors),
        )


def _db(squared_error: float) -> float:
    return min(ALIKE_DB, 10 * math.log10(255**2 / squared_error)) if squared_error else ALIKE_DB
