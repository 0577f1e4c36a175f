"""BlazeFace, MediaPipe's face detector (Bazarevsky et al. 2019, arXiv 1907.05047)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError
from stargan_rt.faces.detector import MIN_SIZE, FaceDetector, checked_frame
from stargan_rt.faces.face import Array, Box, Face, distinct, overlap
from stargan_rt.faces.windows import upright_square, view, windows
from stargan_rt.images import Pixels

CANDIDATE = 0.35
"""The score at which a detection in a window is looked at again."""
LOOKS = (1.8, 2.6, 3.2)
"""Sides of the upright squares of the second look, in sides of the face box."""
FOLLOW_LOOKS = (1.8, 2.6)
LAYERS = {128: ((8, 2), (16, 6)), 192: ((4, 1),), 256: ((16, 2), (32, 6))}
"""Side of the input in pixels → stride and number of anchors a cell of each layer, as MediaPipe's
ssd_anchors_calculator makes them."""


class Network(Protocol):
    """A loaded detector network.

    Attributes:
        size: side of the square input in pixels.
    """

    size: int

    def run(self, image: npt.NDArray[np.float32]) -> tuple[Array, Array]:
        """Return regressors ``(anchors, 16)`` and logits ``(anchors,)`` of ``(size, size, 3)`` RGB in [-1, 1]."""


class BlazeFace(FaceDetector):
    """BlazeFace in two steps: windows of several scales give candidates, and upright crops of each decide.

    The network alone sees only faces that take a fifth of its input or more, is sure of some false ones, and its
    keypoints depend on the angle of the face. The second step looks at each candidate at three scales, mirrored too,
    and averages.
    """

    def __init__(self, network: Network, min_score: float = 0.5) -> None:
        if network.size not in LAYERS:
            raise InputError(f"no BlazeFace has an input of {network.size} pixels; expected 128, 192 or 256")
        self._network = network
        self._anchors = anchors(network.size)
        self._min_score = min_score

    @classmethod
    def open(cls, path: Path, min_score: float = 0.5) -> BlazeFace:
        """Open a ``.tflite`` file with OpenVINO, or with ONNX Runtime where OpenVINO is not installed."""
        from stargan_rt.faces.tflite import open_network

        return cls(open_network(path), min_score)

    def find(self, image: Pixels, min_size: float = MIN_SIZE) -> list[Face]:
        checked_frame(image)
        candidates: list[Face] = []
        for window, matrix in windows(image, self._network.size, min_size):
            candidates += [face.moved(matrix) for face in self._detect(window, CANDIDATE)]
        found = []
        for candidate in distinct(candidates):
            first = self._look(image, candidate, LOOKS, CANDIDATE)
            face = first and self._look(image, first, LOOKS, self._min_score)
            if face is not None and face.area >= min_size**2 / 2:
                found.append(face)
        return distinct(found)

    def follow(self, image: Pixels, face: Face) -> Face | None:
        again = self._look(checked_frame(image), face, FOLLOW_LOOKS, self._min_score)
        # Twice or half the area from one frame to the next is another face, or none.
        return again if again is not None and 0.5 < again.area / max(face.area, 1.0) < 2 else None

    def _look(self, image: Pixels, face: Face, margins: tuple[float, ...], least: float) -> Face | None:
        """Look at upright squares around a face; None unless the median of the scores is `least` or more."""
        size = self._network.size
        scores, seen = [], []
        for margin in margins:
            region = upright_square(face, margin)
            matrix = np.array(region.matrix) / (size, size, 1)
            square = view(image, region, size)
            near = (size * (1 - 1 / margin) / 2, size * (1 + 1 / margin) / 2)
            pair = 0.0
            for mirrored in (False, True):
                picture = np.ascontiguousarray(square[:, ::-1]) if mirrored else square
                best = _nearest(self._detect(picture, 0.1), (near[0], near[0], near[1], near[1]))
                if best is not None:
                    pair += best.score / 2
                    seen.append((_unmirrored(best, size) if mirrored else best).moved(matrix))
            scores.append(pair)
        score = float(np.median(scores))
        if score < least or not seen:
            return None
        weights = np.array([one.score for one in seen]) ** 2
        weights /= weights.sum()
        boxes = np.array([one.box for one in seen])
        return Face.of(weights @ boxes, np.tensordot(weights, [one.points for one in seen], 1), score)

    def _detect(self, window: Pixels, least: float) -> list[Face]:
        """Return the faces in an image of the network's size."""
        regressors, logits = self._network.run(window.astype(np.float32) * np.float32(1 / 127.5) - 1)
        chosen = logits > math.log(least / (1 - least))
        if not chosen.any():
            return []
        scores = 1 / (1 + np.exp(-logits[chosen].astype(np.float64)))
        # Centre, width and height of the box, then six points; the last two, by the ears, are not used.
        pairs = regressors[chosen].astype(np.float64).reshape(len(scores), 8, 2)
        pairs[:, [0, 2, 3, 4, 5]] += self._anchors[chosen][:, None]
        boxes = np.concatenate([pairs[:, 0] - pairs[:, 1] / 2, pairs[:, 0] + pairs[:, 1] / 2], axis=1)
        return list(averaged(boxes, pairs[:, 2:6], scores))


def averaged(boxes: Array, points: Array, scores: Array) -> Iterator[Face]:
    """Merge overlapping detections into one each, weighted by their scores, as BlazeFace's authors do.

    Args:
        boxes: float64 ``(n, 4)``, left, top, right, bottom.
        points: float64 ``(n, 4, 2)``.
        scores: float64 ``(n,)``.
    """
    left = [int(i) for i in np.argsort(-scores)]
    while left:
        first = _box(boxes[left[0]])
        near = [i for i in left if i == left[0] or overlap(_box(boxes[i]), first) > 0.3]
        weights = scores[near] / scores[near].sum()
        yield Face.of(weights @ boxes[near], np.tensordot(weights, points[near], 1), float(scores[near[0]]))
        left = [i for i in left if i not in near]


def anchors(size: int) -> Array:
    """Return the centres of the anchors in pixels, float64 ``(n, 2)``, of the network with this input size."""
    centres = []
    for stride, count in LAYERS[size]:
        line = np.arange(stride / 2, size, stride)
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)


def _nearest(faces: list[Face], box: Box) -> Face | None:
    faces = [face for face in faces if overlap(face.box, box) > 0.25]
    return max(faces, key=lambda face: face.score, default=None)


def _unmirrored(face: Face, size: int) -> Face:
    """Return the face of a mirrored image as it is in the image itself: the eyes change places."""
    left, top, right, bottom = face.box
    points = face.points[[1, 0, 2, 3]]
    points[:, 0] = size - points[:, 0]
    return Face.of((size - right, top, size - left, bottom), points, face.score)


def _box(row: Array) -> Box:
    left, top, right, bottom = row.tolist()
    return left, top, right, bottom
