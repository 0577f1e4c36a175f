"""The face detector, which does not come with the package, and pictures to find faces in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from stargan_rt import StarGANError
from stargan_rt.faces import FaceDetector
from stargan_rt.faces.detector import installed_path
from stargan_rt.faces.install import install


@pytest.fixture(scope="session")
def detector_file():
    """The detector that `stargan-rt detector install` puts into the cache."""
    if not installed_path().is_file():
        try:
            install()
        except StarGANError as error:
            pytest.skip(f"the face detector can't be downloaded: {error}")
    return installed_path()


@pytest.fixture(scope="session")
def detector(detector_file):
    return FaceDetector.load(detector_file)


@pytest.fixture(scope="session")
def astronaut():
    """A photograph of 600x600 pixels with one face, in public domain."""
    return cv2.resize(data.astronaut(), (600, 600), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="session")
def turned(astronaut):
    """Give the photograph turned clockwise about its middle, and the 2x3 map from the upright one to it."""

    def turn(degrees):
        matrix = cv2.getRotationMatrix2D((299.5, 299.5), -degrees, 1)
        picture = cv2.warpAffine(astronaut, matrix, (600, 600), borderMode=cv2.BORDER_REPLICATE)
        matrix[:, 2] += 0.5 - matrix[:, :2] @ (0.5, 0.5)  # from pixel centres at whole numbers to ours
        return np.ascontiguousarray(picture), matrix

    return turn
