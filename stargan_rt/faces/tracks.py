"""Faces from frame to frame: the same face keeps its track, and its keypoints are smoothed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stargan_rt.errors import InputError
from stargan_rt.faces.detector import MIN_SIZE, FaceDetector
from stargan_rt.faces.face import Array, Box, Face, overlap
from stargan_rt.images import Pixels

SAME = 0.3
"""Boxes of successive frames that overlap by more belong to the same face."""


class OneEuro:
    """The One-Euro filter (Casiez et al. 2012): smooth while values rest, and with little lag while they move.

    Args:
        min_cutoff: cutoff frequency of values at rest, in Hz; lower is smoother.
        beta: increase of the cutoff frequency with the speed, in Hz by units per second.
    """

    def __init__(self, min_cutoff: float = 0.7, beta: float = 4.0) -> None:
        self._min_cutoff, self._beta = min_cutoff, beta
        self._value: Array | None = None
        self._speed: Array | None = None
        self._seconds = 0.0

    def __call__(self, value: Array, seconds: float, unit: float = 1.0) -> Array:
        """Return the smoothed value.

        Args:
            value: float64, of the same shape in every call.
            seconds: time of the value; later than that of the call before.
            unit: length by which speeds are measured, such as the distance of the eyes, so that small and large faces
                are smoothed alike.
        """
        step = seconds - self._seconds
        if self._value is None or self._speed is None or step <= 0:
            self._value, self._speed = value.copy(), np.zeros_like(value)
        else:
            self._speed += _share(1.0, step) * ((value - self._value) / step - self._speed)
            cutoff = self._min_cutoff + self._beta * np.abs(self._speed) / unit
            self._value += _share(cutoff, step) * (value - self._value)
        self._seconds = seconds
        return np.array(self._value)


def _share(cutoff: Array | float, step: float) -> Array | float:
    """Return the weight of the new value in a low-pass filter."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


@dataclass
class Track:
    """One face over time.

    Attributes:
        number: of the track, from 1.
        face: as found in the newest frame.
        smooth: the face with smoothed keypoints and box.
    """

    number: int
    face: Face
    smooth: Face
    _filter: OneEuro = field(default_factory=OneEuro, repr=False)

    def update(self, face: Face, seconds: float) -> None:
        """Take over the face of a new frame."""
        self.face = face
        values = np.concatenate([np.reshape(face.box, (2, 2)), face.points])
        values = self._filter(values, seconds, max(face.eye_distance, 1.0))
        self.smooth = Face.of(values[:2].ravel(), values[2:], face.score)


class FaceTracker:
    """Finds and follows the faces of a sequence of frames.

    Each face is looked for where it was in the frame before, and loses its track if it is not found there. The detector
    looks for others in the whole frame every n-th time.
    """

    def __init__(
        self,
        detector: FaceDetector,
        *,
        every: int = 10,
        min_size: float = MIN_SIZE,
        roi: Box | None = None,
        largest: bool = False,
        smoothing: Callable[[], OneEuro] = OneEuro,
    ) -> None:
        """Start without any faces.

        Args:
            detector: finds the faces.
            every: number of frames from one search of the whole frame to the next.
            min_size: side in pixels of the smallest face box to look for.
            roi: left, top, right and bottom of the part of the frame in which faces are looked for; by default all.
            largest: follow only the largest face.
            smoothing: makes the filter of a new track.

        Raises:
            InputError: `every` is below 1, or the ROI is empty.
        """
        if every < 1:
            raise InputError(f"every must be at least 1; got {every}")
        if roi is not None and not (0 <= roi[0] < roi[2] and 0 <= roi[1] < roi[3]):
            raise InputError(f"an ROI is left, top, right, bottom in pixels, with a positive area; got {roi}")
        self._detector, self._every, self._min_size, self._roi = detector, every, min_size, roi
        self._largest, self._smoothing = largest, smoothing
        self._tracks: list[Track] = []
        self._frames = self._numbers = 0

    def update(self, frame: Pixels, seconds: float) -> list[Track]:
        """Find the faces in the next frame.

        Args:
            frame: uint8 ``(H, W, 3)``, RGB.
            seconds: time of the frame.

        Returns:
            The tracks of the faces in this frame.
        """
        search = self._frames % self._every == 0
        self._frames += 1
        faces = self._search(frame) if search else []
        kept: list[Track] = []
        for track in self._tracks:
            # Also in frames that are searched: the two ways differ by a pixel or two, which would be seen as a jump.
            face = self._detector.follow(frame, track.face)
            if face is not None and all(overlap(face.box, other.face.box) <= SAME for other in kept):
                track.update(face, seconds)
                kept.append(track)
        for face in faces if not (self._largest and kept) else []:
            if all(overlap(face.box, other.face.box) <= SAME for other in kept):
                self._numbers += 1
                track = Track(self._numbers, face, face, self._smoothing())
                track.update(face, seconds)
                kept.append(track)
        self._tracks = kept
        return list(kept)

    def _search(self, frame: Pixels) -> list[Face]:
        if self._roi is None:
            faces = self._detector.find(frame, self._min_size)
        else:
            left, top, right, bottom = (round(edge) for edge in self._roi)
            part = np.ascontiguousarray(frame[top:bottom, left:right])
            if not part.size:
                return []
            shift = ((1, 0, left), (0, 1, top))
            faces = [face.moved(shift) for face in self._detector.find(part, self._min_size)]
        return faces[:1] if self._largest else faces
