from dataclasses import replace

import cv2
import numpy as np
import pytest

from stargan_rt import InputError
from stargan_rt.faces import Face, FaceDetector, aligned_region
from stargan_rt.faces.tracks import FaceTracker, OneEuro

FPS = 30


def face(x, y=100.0, size=60.0):
    points = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.6), (0.5, 0.8)]) * size + (x, y)
    return Face.of((x, y, x + size, y + size), points, 0.9)


class Script(FaceDetector):
    """Finds what is written for each frame; a frame is its number."""

    def __init__(self, frames):
        self.frames, self.searches = frames, 0

    def find(self, image, min_size=32):
        self.searches += 1
        return sorted(self.frames[int(image[0, 0, 0])], key=lambda face: -face.area)

    def follow(self, image, face):
        near = [f for f in self.frames[int(image[0, 0, 0])] if abs(f.box[0] - face.box[0]) < 20]
        return near[0] if near else None


def tracked(frames, **options):
    detector = Script(frames)
    tracker = FaceTracker(detector, **options)
    return detector, [
        [replace(track) for track in tracker.update(np.full((200, 400, 3), number, np.uint8), number / FPS)]
        for number in range(len(frames))
    ]


def test_faces_keep_their_number():
    frames = [[face(10 + 5 * i), face(200 - 5 * i, 20)] for i in range(12)]
    detector, tracks = tracked(frames, every=4)
    assert detector.searches == 3
    for i, now in enumerate(tracks):
        places = {track.number: track.face.box[0] for track in now}
        assert places == {1: 10 + 5 * i, 2: 200 - 5 * i}


def test_a_lost_face_is_gone_and_comes_back_as_another():
    frames = [[face(10)], [face(10)], [], [face(10)], [face(10)]]
    _, tracks = tracked(frames, every=2)
    assert [[track.number for track in now] for now in tracks] == [[1], [1], [], [], [2]]


def test_the_largest_alone():
    frames = [[face(10, size=60), face(200, size=90)]] * 5
    _, tracks = tracked(frames, every=2, largest=True)
    assert all([track.face.box[0] for track in now] == [200] for now in tracks)


def test_only_in_the_roi():
    class InCrop(Script):
        def find(self, image, min_size=32):
            assert image.shape == (50, 80, 3)
            return [face(5, 5, 30)]

    tracker = FaceTracker(InCrop([[]]), roi=(100, 20, 180, 70))
    (track,) = tracker.update(np.zeros((200, 400, 3), np.uint8), 0)
    assert track.face.box == (105, 25, 135, 55)
    with pytest.raises(InputError, match="ROI"):
        FaceTracker(InCrop([[]]), roi=(10, 0, 10, 5))
    with pytest.raises(InputError, match="every"):
        FaceTracker(InCrop([[]]), every=0)


def test_one_euro_smooths_what_rests_and_follows_what_moves(random):
    resting, smooth = OneEuro(), []
    noise = 0.02 * random.normal(size=(200, 1))
    for number, value in enumerate(noise):
        smooth.append(resting(value, number / FPS))
    assert np.std(smooth[60:]) < 0.4 * np.std(noise[60:])
    moving = OneEuro()
    for number in range(60):
        value = moving(np.array([number / FPS * 2.0]), number / FPS)  # two eye distances a second
    assert abs(value[0] - 59 / FPS * 2.0) < 0.1


def test_a_still_face_stays_still(detector, astronaut, random):
    """The jitter of the crop's corners over frames of one picture with noise and compression like a camera's."""
    tracker, corners = FaceTracker(detector, every=10, min_size=80), []
    for number in range(30):
        noisy = np.clip(astronaut + random.normal(0, 4, astronaut.shape), 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])
        tracks = tracker.update(cv2.imdecode(data, cv2.IMREAD_COLOR), number / FPS)
        matrix = np.array(aligned_region(tracks[0].smooth, "celeba", (128, 128)).matrix)
        corners.append(matrix @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    jitter = np.std(np.diff(np.array(corners[10:]), axis=0), axis=0).max()
    spread = np.std(np.array(corners[10:]), axis=0).max()
    assert jitter < 0.5
    assert spread < 0.5
