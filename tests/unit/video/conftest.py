import cv2
import numpy as np
import pytest
from clips import write_clip
from face_fixtures import astronaut, detector, detector_file
from skimage import data

from stargan_rt import Engine

__all__ = ["astronaut", "detector", "detector_file"]


@pytest.fixture(scope="module")
def engine(model):
    with Engine.load(model) as engine:
        yield engine


@pytest.fixture(scope="session")
def scenery():
    """A photograph with one face on a wide ground, moved to the right by the given number of pixels."""
    photo = cv2.resize(data.astronaut(), (360, 360), interpolation=cv2.INTER_AREA)

    def picture(moved=0):
        ground = np.full((360, 640, 3), 96, np.uint8)
        ground[:, 60 + moved : 420 + moved] = photo
        return ground

    return picture


@pytest.fixture(scope="session")
def clip(tmp_path_factory, scenery):
    """A clip of 80 frames; the photograph moves, and its times."""
    path = tmp_path_factory.mktemp("clips") / "in.mp4"
    return path, write_clip(path, (scenery(number) for number in range(80)))
