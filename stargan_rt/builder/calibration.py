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
"""Every fourth image judges; the others calibrate."""


@dataclass(frozen=True)
class Images:
    """Images uint8 ``(H, W, 3)`` RGB of the network's size, in two disjoint sets.

    Attributes:
        calibration: images from which int8 ranges are taken.
        held_out: images on which the quality is measured.
        broken: files that could not be read, each with the reason.
    """

    calibration: list[Pixels]
    held_out: list[Pixels]
    broken: list[str]


def load_images(source: str | None, count: int, size: tuple[int, int]) -> Images:
    """Read at most `count` images.

    Args:
        source: a folder, or None or ``"avatars"`` for the bundled faces.
        count: largest number of images, at least 2.
        size: (height, width) to resize them to.

    Raises:
        InputError: there is no such folder, or fewer than two images can be read.
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
            unreadable = f", {len(broken)} can't be read (first: {broken[0]})" if broken else ""
            raise InputError(
                f"{source} has {len(pictures)} usable images{unreadable}; at least 2 are needed, one to calibrate and "
                "one to judge, and about 64 are better: give --calib a folder of faces like those the model will see"
            )
    fitted = [resize(picture, size) for picture in pictures]
    held_out = fitted[HELD_OUT - 1 :: HELD_OUT] or fitted[-1:]
    return Images([f for f in fitted if not any(f is h for h in held_out)], held_out, broken)


def cover(images: list[Pixels], space: LabelSpace, runs: int) -> list[tuple[str, Pixels, npt.NDArray[np.float32]]]:
    """Pair images with labels for at least `runs` runs, with every label, and so every mask, equally often.

    Returns:
        Label name, image and label vector float32 ``(c,)`` of each run.
    """
    names = space.names
    rounds = -(-max(runs, len(names)) // len(names))
    # Shift by one image each round, so that a label gets other images each time.
    return [
        (name, images[(index + number) % len(images)], space.encode(name))
        for number in range(rounds)
        for index, name in enumerate(names)
    ]
