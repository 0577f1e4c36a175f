"""`Face`: one face that a detector found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Point: TypeAlias = tuple[float, float]
"""x and y in pixels; the image's top left corner is (0, 0) and the centre of its first pixel (0.5, 0.5)."""
Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""
Array: TypeAlias = npt.NDArray[np.float64]

KEYPOINTS = ("right eye", "left eye", "nose", "mouth")
"""The keypoints of a `Face` in order. Right and left are the person's own, so the right eye is usually the one with the
smaller x."""


@dataclass(frozen=True)
class Face:
    """A face in an image.

    Attributes:
        box: left, top, right and bottom in pixels. It may reach over the image's edge.
        keypoints: x and y in pixels of each of `KEYPOINTS`: the centres of both eyes, the tip of the nose and the
            centre of the mouth.
        score: the detector's confidence, from 0 to 1.
    """

    box: Box
    keypoints: tuple[Point, Point, Point, Point]
    score: float

    @property
    def points(self) -> Array:
        """The keypoints as an array, float64 ``(4, 2)``."""
        return np.asarray(self.keypoints, np.float64)

    @property
    def area(self) -> float:
        """The area of the box in square pixels."""
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    @property
    def eye_distance(self) -> float:
        """The distance between the eyes in pixels."""
        right, left = self.points[:2]
        return float(np.hypot(*(left - right)))

    @classmethod
    def of(cls, box: npt.ArrayLike, keypoints: npt.ArrayLike, score: float) -> Face:
        """Make a face from arrays ``(4,)`` and ``(4, 2)``."""
        left, top, right, bottom = (float(edge) for edge in np.asarray(box))
        one, two, three, four = ((float(x), float(y)) for x, y in np.asarray(keypoints))
        return cls((left, top, right, bottom), (one, two, three, four), float(score))

    def moved(self, matrix: npt.ArrayLike) -> Face:
        """Return the face under a 2x3 affine map; the box becomes the upright box around the mapped one's centre."""
        matrix = np.asarray(matrix, np.float64)
        left, top, right, bottom = self.box
        centre = matrix @ ((left + right) / 2, (top + bottom) / 2, 1)
        half = np.array([right - left, bottom - top]) / 2 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        points = self.points @ matrix[:, :2].T + matrix[:, 2]
        return Face.of((*(centre - half), *(centre + half)), points, self.score)


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, from 0 to 1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return both / (area_a + area_b - both)


def distinct(faces: Iterable[Face], most: float = 0.3) -> list[Face]:
    """Return the faces of the highest scores of which no two overlap by more than `most`, the largest face first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) <= most for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.area)
