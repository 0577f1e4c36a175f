"""The images and labels that a build is calibrated and judged with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError
from stargan_rt.images import Pixels, image_files, read_image, resize
from stargan_rt.labels import LabelSpace
from stargan_rt.models import bundled_faces

HELD_OUT = 4
"""Every so-many-th image judges; the others calibrate."""


@dataclass(frozen=True)
class Images:
    """Uint8 ``(H, W, 3)`` RGB of the network's size, in two parts that share none.

    Attributes:
        calibration: from which int8 ranges are taken.
        held_out: on which the quality is measured.
        broken: files that could not be read, each with its reason.
    """

    calibration: list[Pixels]
    held_out: list[Pixels]
    broken: list[str]


def load_images(source: str | None, count: int, size: tuple[int, int]) -> Images:
    """Reads at most `count` images.

    Args:
        source: a folder, or None or ``"avatars"`` for the bundled faces.
        count: at least 2.
        size: (height, width) they are resized to.

    Raises:
        InputError: no such folder, or fewer than two images that can be read.
    """
    pictures: list[Pixels] = []
    broken: list[str] = []
    if source in (None, "avatars"):
        pictures = bundled_faces()[:count]
    else:
        for path in image_files(Path(str(source))):
            if len(pictures) == count:
                break
            try:
                pictures.append(read_image(path))
            except InputError as error:
                broken.append(str(error))
        if len(pictures) < 2:
            spoilt = f", {len(broken)} can't be read (first: {broken[0]})" if broken else ""
            raise InputError(
                f"{source} has {len(pictures)} usable images{spoilt}; at least 2 are needed, one to calibrate and one "
                "to judge, some 64 are better: give --calib a folder of faces like those the model will see"
            )
    fitted = [resize(picture, size) for picture in pictures]
    held_out = fitted[HELD_OUT - 1 :: HELD_OUT] or fitted[-1:]
    return Images([f for f in fitted if not any(f is h for h in held_out)], held_out, broken)


def cover(images: list[Pixels], space: LabelSpace, runs: int) -> list[tuple[str, Pixels, npt.NDArray[np.float32]]]:
    """Label name, image and label vector of each of at least `runs` runs; every label, so every mask, equally often."""
    names = space.names
    rounds = -(-max(runs, len(names)) // len(names))
    # An image moves on by one label a round, so that a label sees other images each time.
    return [
        (name, images[(index + number) % len(images)], space.encode(name))
        for number in range(rounds)
        for index, name in enumerate(names)
    ]
