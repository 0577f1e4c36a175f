"""YuNet, OpenCV's face detector (Wu et al. 2023), run by OpenCV itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stargan_rt.errors import InputError
from stargan_rt.faces.detector import MIN_SIZE, FaceDetector, checked_frame
from stargan_rt.faces.face import Face, distinct, overlap
from stargan_rt.faces.windows import upright_square, view
from stargan_rt.images import Pixels

SMALLEST = 10
"""Side in pixels of the smallest face that YuNet finds."""
LONGEST = 1920
"""Longer images are made smaller first, so that memory and time stay bounded."""


class YuNet(FaceDetector):
    """YuNet in one run over the whole image."""

    def __init__(self, network: cv2.FaceDetectorYN) -> None:
        self._network = network

    @classmethod
    def open(cls, path: Path, min_score: float) -> YuNet:
        """Open a YuNet ``.onnx`` file.

        Raises:
            InputError: OpenCV can't read the file.
        """
        try:
            return cls(cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score))
        except cv2.error as error:
            raise InputError(f"OpenCV can't read {path} as a YuNet face detector: {error}") from None

    def find(self, image: Pixels, min_size: float = MIN_SIZE) -> list[Face]:
        height, width = checked_frame(image).shape[:2]
        # No larger than the smallest face needs.
        scale = min(1.0, LONGEST / max(height, width), max(2 * SMALLEST / min_size, 320 / max(height, width)))
        w, h = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA) if scale < 1 else image
        matrix = np.array([[width / w, 0, 0], [0, height / h, 0]])
        faces = (face.moved(matrix) for face in self._detect(np.asarray(small, np.uint8)))
        return distinct(face for face in faces if face.area >= min_size**2 / 2)

    def follow(self, image: Pixels, face: Face) -> Face | None:
        size = 192
        region = upright_square(face, 3)
        matrix = np.array(region.matrix) / (size, size, 1)
        near = [other.moved(matrix) for other in self._detect(view(checked_frame(image), region, size))]
        near = [other for other in near if overlap(other.box, face.box) > 0.25]
        return max(near, key=lambda other: other.score, default=None)

    def _detect(self, image: Pixels) -> list[Face]:
        self._network.setInputSize((image.shape[1], image.shape[0]))
        try:
            rows = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        except cv2.error as error:
            raise InputError(f"OpenCV can't run the YuNet face detector: {error}") from None
        faces = []
        for row in np.empty((0, 15)) if rows is None else np.asarray(rows, np.float64):
            x, y, w, h = row[:4]
            points = row[4:14].reshape(5, 2)  # right eye, left eye, nose, right and left corner of the mouth
            mouth = points[3:].mean(axis=0)
            faces.append(Face.of((x, y, x + w, y + h), (*points[:3], mouth), row[14]))
        return faces
