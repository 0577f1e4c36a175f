"""Drawn scenes: avatars of known places, sizes and angles on a textured ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stargan_rt.faces import Face, Region, paste
from stargan_rt.images import Pixels
from training.data.avatars import Person, draw, person

SIZE = (1200, 1600)
COUNT = 6
"""Avatars in a scene."""
SIDES = (60.0, 400.0)
"""Smallest and largest side of an avatar's picture in pixels."""
ANGLES = (-20.0, 20.0)
SEED = 700_000
"""Population of the people, which nobody was trained on."""


@dataclass(frozen=True)
class Placed:
    """An avatar in a scene.

    Attributes:
        who: the person.
        region: where the picture of the avatar is.
        side: of the picture, in pixels.
    """

    who: Person
    region: Region
    side: float

    def find(self, faces: list[Face]) -> Face | None:
        """Return the face that was found at this place."""
        x, y = np.array(self.region.matrix) @ (0.5, 0.56, 1)  # the middle of an avatar's face
        for face in faces:
            left, top, right, bottom = face.box
            if np.hypot((left + right) / 2 - x, (top + bottom) / 2 - y) < 0.2 * self.side:
                return face
        return None


def scene(number: int) -> tuple[Pixels, list[Placed]]:
    """Draw a scene; the same number gives the same one.

    Returns:
        uint8 ``(H, W, 3)``, RGB, and the avatars in it, which do not overlap.
    """
    random = np.random.default_rng([number, SEED])
    picture = _ground(random)
    placed: list[Placed] = []
    circles: list[tuple[float, float, float]] = []
    while len(placed) < COUNT:
        side, angle = random.uniform(*SIDES), random.uniform(*ANGLES)
        radius = 0.75 * side
        x, y = random.uniform(radius, SIZE[1] - radius), random.uniform(radius, SIZE[0] - radius)
        if any(np.hypot(x - a, y - b) < radius + r for a, b, r in circles):
            continue
        circles.append((x, y, radius))
        who = person(number * COUNT + len(placed), SEED)
        region = Region.box(x - side / 2, y - side / 2, side, side, angle)
        paste(picture, draw(who, size=round(side)), region, feather=0.02)
        placed.append(Placed(who, region, side))
    return picture, placed


def _ground(random: np.random.Generator) -> Pixels:
    """Noise of several scales around a random colour."""
    height, width = SIZE
    ground = np.zeros((height, width, 3), np.float32)
    for scale in (4, 16, 64, 256):
        noise = random.uniform(-1, 1, (height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        ground += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(scale**0.5)
    ground *= np.float32(42 / np.abs(ground).max())
    return np.clip(ground + random.uniform(60, 190, 3), 0, 255).astype(np.uint8)
