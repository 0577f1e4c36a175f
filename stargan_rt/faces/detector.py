"""`FaceDetector`: finds the faces in an image, with the detector of a file that the user has."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.faces.face import Face
from stargan_rt.files import cache_folder
from stargan_rt.images import Pixels

INSTALL = "stargan-rt detector install"
"""The command that puts a detector into the cache."""
KINDS = {".tflite": "stargan_rt.faces.blazeface:BlazeFace", ".onnx": "stargan_rt.faces.yunet:YuNet"}
"""Suffix of a detector's file → the class that runs it."""
MIN_SCORE = 0.6
"""Faces of a lower score are left out by default. Drawn faces may need 0.5, which finds more false ones in photos."""
MIN_SIZE = 32.0
"""Faces with a smaller box, in pixels, are not looked for by default."""


def installed_path() -> Path:
    """Return where `stargan-rt detector install` puts the detector."""
    return cache_folder() / "detectors" / "face_detection_short_range.tflite"


class FaceDetector(ABC):
    """Finds faces. Load one with `FaceDetector.load`; one detector serves one thread at a time."""

    @staticmethod
    def load(path: str | os.PathLike[str] | None = None, *, min_score: float = MIN_SCORE) -> FaceDetector:
        """Load a detector.

        Args:
            path: a BlazeFace ``.tflite`` file of MediaPipe (short range, full range or back camera), or a YuNet
                ``.onnx`` file of OpenCV's model zoo. By default the one that ``stargan-rt detector install``
                downloaded.
            min_score: faces that the detector is less sure of are left out; from 0 to 1.

        Raises:
            MissingDependencyError: no `path` was given and no detector is installed.
            InputError: the file does not exist or is not such a detector, or `min_score` is out of range.
        """
        if not 0 < min_score < 1:
            raise InputError(f"min_score must lie between 0 and 1; got {min_score}")
        if path is None and not installed_path().is_file():
            raise MissingDependencyError(
                f"no face detector is installed; run: {INSTALL} (or name a BlazeFace .tflite or YuNet .onnx file with "
                "--detector FILE)"
            )
        path = installed_path() if path is None else Path(path)
        if not path.is_file():
            raise InputError(f"no face detector at {path}; run: {INSTALL}")
        if path.suffix not in KINDS:
            raise InputError(f"{path} is not a face detector; expected a BlazeFace .tflite or a YuNet .onnx file")
        module, _, name = KINDS[path.suffix].partition(":")
        detector: FaceDetector = getattr(importlib.import_module(module), name).open(path, min_score)
        return detector

    @abstractmethod
    def find(self, image: Pixels, min_size: float = MIN_SIZE) -> list[Face]:
        """Find the faces in an image.

        Args:
            image: uint8 ``(H, W, 3)``, RGB.
            min_size: the side in pixels of the smallest face box to look for. Smaller values take longer.

        Returns:
            The faces, the largest first.
        """

    @abstractmethod
    def follow(self, image: Pixels, face: Face) -> Face | None:
        """Find a face again near where it was in the previous frame, which is much faster than `find`.

        Args:
            image: uint8 ``(H, W, 3)``, RGB.
            face: of the previous frame.

        Returns:
            The face, or None if it is not there any more.
        """


def checked_frame(image: Pixels) -> Pixels:
    """Return the image as given.

    Raises:
        InputError: it is not a uint8 array ``(H, W, 3)``.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__qualname__
        raise InputError(f"a detector takes a uint8 RGB array (H, W, 3); got {found}. Read files with read_image")
    return image
