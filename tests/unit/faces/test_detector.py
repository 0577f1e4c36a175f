import shutil
import subprocess
import sys

import numpy as np
import pytest
from skimage import data

from benchmarks.scenes import scene
from stargan_rt import InputError, MissingDependencyError
from stargan_rt.faces import Face, FaceDetector
from stargan_rt.faces.face import distinct, overlap
from stargan_rt.images import read_image
from stargan_rt.models import bundled_samples


def the_face(faces, width=600):
    """The large face of the photograph; its collar passes for a small one with some detectors."""
    assert faces
    return faces[0]


@pytest.mark.parametrize("degrees", [0, 15, 30])
def test_a_turned_photograph(detector, astronaut, turned, degrees):
    upright = the_face(detector.find(astronaut))
    picture, matrix = turned(degrees)
    found = detector.find(picture)
    assert len(found) == 1
    expected = upright.moved(matrix)
    error = np.hypot(*(found[0].points - expected.points).T).max()
    assert error < 0.05 * upright.eye_distance


def test_the_keypoints_are_where_they_belong(detector, astronaut):
    right, left, nose, mouth = the_face(detector.find(astronaut)).keypoints
    assert right[0] < nose[0] < left[0]
    assert right[1] < nose[1] < mouth[1]
    assert np.allclose(right, (234, 125), atol=6)  # marked by eye
    assert np.allclose(left, (284, 125), atol=6)


@pytest.fixture(scope="module")
def lenient(detector_file):
    """The detector as for drawings and for tiny pictures, of which it is less sure."""
    return FaceDetector.load(detector_file, min_score=0.5)


def test_faces_in_the_wild(lenient):
    """Of skimage's 200 images of 25x25 pixels, the first half are faces and the others are not."""
    images = (data.lfw_subset() * 255).round().astype(np.uint8)
    grown = [np.repeat(np.repeat(np.stack([image] * 3, -1), 5, 0), 5, 1) for image in images[:10]]
    assert sum(len(lenient.find(image)) == 1 for image in grown) >= 9


def test_the_bundled_samples(detector):
    assert all(len(detector.find(read_image(path))) == 1 for path in bundled_samples())


@pytest.mark.parametrize("scenes", [range(3), pytest.param(range(60), marks=pytest.mark.slow)], ids=len)
def test_scenes(lenient, scenes):
    found = total = 0
    for number in scenes:
        picture, placed = scene(number)
        faces = lenient.find(picture)
        assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)
        found += sum(avatar.find(faces) is not None for avatar in placed)
        total += len(placed)
    assert found >= 0.95 * total


def test_small_faces_are_not_looked_for(detector, astronaut):
    assert not [face for face in detector.find(astronaut, min_size=300) if face.area < 150**2]


def test_nothing_is_found_in_noise(detector, random):
    assert detector.find(random.integers(0, 256, (300, 400, 3), np.uint8)) == []


def test_following(detector, astronaut):
    face = the_face(detector.find(astronaut))
    moved = np.roll(astronaut, (7, -9), axis=(0, 1))
    again = detector.follow(moved, face)
    assert np.abs(again.points - (face.points + np.array([-9, 7]))).max() < 0.03 * face.eye_distance
    assert detector.follow(np.zeros_like(astronaut), face) is None


def test_onnxruntime_gives_the_same(detector_file, tmp_path, monkeypatch, astronaut):
    from stargan_rt.faces.blazeface import BlazeFace
    from stargan_rt.faces.tflite import OnnxNetwork, OpenVINONetwork

    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path))
    converted, direct = OnnxNetwork(detector_file), OpenVINONetwork(detector_file)
    image = np.random.default_rng(0).uniform(-1, 1, (128, 128, 3)).astype(np.float32)
    for a, b in zip(converted.run(image), direct.run(image), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    (kept,) = (tmp_path / "detectors").glob("*.onnx")
    before = kept.stat().st_mtime_ns
    assert len(BlazeFace(OnnxNetwork(detector_file)).find(astronaut)) >= 1
    assert kept.stat().st_mtime_ns == before


def test_without_openvino_onnxruntime_runs(detector_file, tmp_path):
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from stargan_rt.faces import FaceDetector; import numpy as np\n"
        f"print(FaceDetector.load({str(detector_file)!r}).find(np.zeros((64, 64, 3), np.uint8)))\n"
        "print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "True"]


def test_no_detector_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="run: stargan-rt detector install"):
        FaceDetector.load()


def test_files_that_are_no_detectors(tmp_path, detector_file, model):
    with pytest.raises(InputError, match="no face detector at"):
        FaceDetector.load(tmp_path / "missing.tflite")
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"expected a BlazeFace \.tflite or a YuNet \.onnx"):
        FaceDetector.load(tmp_path / "x.bin")
    (tmp_path / "x.tflite").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"x\.tflite"):
        FaceDetector.load(tmp_path / "x.tflite")
    with pytest.raises(InputError, match="min_score"):
        FaceDetector.load(detector_file, min_score=1.5)
    shutil.copy(model, tmp_path / "generator.onnx")
    with pytest.raises(InputError, match="YuNet"):
        FaceDetector.load(tmp_path / "generator.onnx").find(np.zeros((64, 64, 3), np.uint8))


def test_images_that_are_none(detector):
    with pytest.raises(InputError, match="uint8 RGB array"):
        detector.find(np.zeros((64, 64, 3)))
    with pytest.raises(InputError, match="uint8 RGB array"):
        detector.follow("face.png", Face((0, 0, 1, 1), ((0, 0),) * 4, 1))


def test_faces_are_kept_apart():
    def face(x, score):
        return Face.of((x, 0, x + 10, 10), np.full((4, 2), x), score)

    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == 0
    assert distinct([face(0, 0.6), face(1, 0.9), face(30, 0.7)]) == [face(1, 0.9), face(30, 0.7)]
