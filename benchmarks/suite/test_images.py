"""Work on images before and after the network, compared with the same calls of OpenCV and NumPy alone."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from benchmarks.suite.conftest import Against
from benchmarks.suite.networks import Instant, engine_with
from stargan_rt.images import as_pixels, fitted, resize, write_image
from stargan_rt.models import bundled_faces

SIZE = (128, 128)


@pytest.fixture(scope="module")
def photo():
    """Draw a noisy face, uint8 ``(512, 512, 3)`` RGB."""
    noise = np.random.default_rng(0).normal(0, 5, (512, 512, 3))
    return np.clip(cv2.resize(bundled_faces()[0], (512, 512)) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("suffix", "flag"),
    [(".jpg", cv2.IMREAD_REDUCED_COLOR_2), (".png", cv2.IMREAD_COLOR)],
    ids=["jpg", "png"],
)
def test_read_and_fit(against: Against, photo, tmp_path, suffix, flag):
    path = tmp_path / f"a{suffix}"
    write_image(path, photo)

    def plain():
        decoded = cv2.imdecode(np.fromfile(path, np.uint8), flag)
        assert decoded is not None
        return cv2.resize(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), SIZE, interpolation=cv2.INTER_AREA)

    out, shape = against(lambda: fitted(path, SIZE), plain)
    assert shape == (512, 512)
    np.testing.assert_array_equal(out, plain())


def test_fit_a_camera_frame(against: Against):
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1080, 3), np.uint8)
    out = against(
        lambda: resize(as_pixels(frame, "bgr"), SIZE),
        lambda: cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), SIZE, interpolation=cv2.INTER_AREA),
    )
    assert out.shape == (*SIZE, 3)
    assert abs(out[..., 0].mean() - frame[..., 2].mean()) <= 1


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_keep_size(against: Against, photo, color):
    """Translate a large image at its size, with a network that takes no time."""
    answer = np.random.default_rng(1).integers(0, 256, (1, *SIZE, 3), np.uint8)

    def plain():
        image = photo if color == "rgb" else cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
        cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        out = answer[0] if color == "rgb" else cv2.cvtColor(answer[0], cv2.COLOR_RGB2BGR)
        return cv2.resize(out, (512, 512), interpolation=cv2.INTER_LINEAR)

    with engine_with(Instant(answer)) as engine:
        out = against(lambda: engine.translate(photo, "happy", color=color, keep_size=True), plain)
    np.testing.assert_array_equal(out, plain())


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_write(against: Against, photo, tmp_path, suffix):
    """Encode, and write a file that is complete or not there."""
    path, bgr = tmp_path / f"a{suffix}", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)

    def plain():
        with (tmp_path / "plain").open("wb") as file:
            file.write(cv2.imencode(suffix, bgr)[1].tobytes())
            os.fsync(file.fileno())

    against(lambda: write_image(path, photo), plain)
    np.testing.assert_array_equal(cv2.imread(str(path)), cv2.imdecode(cv2.imencode(suffix, bgr)[1], cv2.IMREAD_COLOR))
