"""`Engine.translate_faces` with faces that are given; finding them is tested with the detectors."""

from dataclasses import replace

import numpy as np
import pytest
from face_fixtures import astronaut, detector, detector_file, turned

from stargan_rt import Engine, InputError, LabelError
from stargan_rt.faces import Face, FaceDetector
from stargan_rt.images import read_image
from stargan_rt.manifest import read_onnx, write_to_onnx
from stargan_rt.models import bundled_samples
from stargan_rt.quality import psnr

__all__ = ["astronaut", "detector", "detector_file", "turned"]


def face(x, y, side):
    """A face whose `box` crop is the square (x, y, side)."""
    points = np.array([(0.4, 0.45), (0.6, 0.45), (0.5, 0.55), (0.5, 0.65)]) * side + (x, y)
    margin = side * (1 - 1 / 1.8) / 2
    return Face.of((x + margin, y + margin, x + side - margin, y + side - margin), points, 0.9)


class Finds(FaceDetector):
    """A detector that finds the given faces."""

    def __init__(self, *faces):
        self.faces = list(faces)

    def find(self, image, min_size=32):
        return self.faces

    def follow(self, image, face):
        return face


@pytest.fixture(scope="module")
def engine(model):
    with Engine.load(model) as engine:
        yield engine


@pytest.fixture
def picture(random):
    return random.integers(0, 256, (120, 200, 3), np.uint8)


ONE, TWO = face(10, 12, 60), face(110, 40, 70)


def test_only_the_faces_change(engine, picture):
    before = picture.copy()
    out = engine.translate_faces(picture, "happy", [ONE, TWO])
    assert out.shape == picture.shape
    outside = np.ones(picture.shape[:2], np.bool_)
    outside[12:72, 10:70] = outside[40:110, 110:180] = False
    assert (out == before)[outside].all()
    assert (out[35:50, 30:50] != before[35:50, 30:50]).mean() > 0.5
    assert (out[70:80, 140:150] != before[70:80, 140:150]).mean() > 0.5
    assert (picture == before).all()


def test_all_and_the_largest(engine, picture):
    finds = Finds(TWO, ONE)
    assert (engine.translate_faces(picture, "happy", detector=finds) != picture)[35:50, 30:50].any()
    largest = engine.translate_faces(picture, "happy", "largest", detector=finds)
    assert (largest[:, :80] == picture[:, :80]).all()
    assert (largest[70:80, 140:150] != picture[70:80, 140:150]).any()


def test_a_label_for_each_face(engine, picture):
    each = engine.translate_faces(picture, ["happy", "Blond_Hair"], [ONE, TWO])
    np.testing.assert_array_equal(each[:, :80], engine.translate_faces(picture, "happy", [ONE, TWO])[:, :80])
    np.testing.assert_array_equal(each[:, 110:], engine.translate_faces(picture, "Blond_Hair", [ONE, TWO])[:, 110:])
    with pytest.raises(InputError, match="2 images and 3 labels"):
        engine.translate_faces(picture, ["happy"] * 3, [ONE, TWO])


def test_the_order_of_channels(engine, picture):
    rgb = engine.translate_faces(picture, "happy", [ONE])
    bgr = engine.translate_faces(np.ascontiguousarray(picture[..., ::-1]), "happy", [ONE], color="bgr")
    np.testing.assert_array_equal(rgb, bgr[..., ::-1])


def test_a_crop_of_the_avatars_alignment_is_translated_as_the_whole_picture():
    """A drawn sample whose face lies as in the training set, in a larger picture."""
    sample = read_image(bundled_samples()[0])
    picture = np.full((300, 300, 3), 200, np.uint8)
    picture[80:208, 100:228] = sample
    points = np.array([(0.38, 0.437), (0.62, 0.437), (0.5, 0.563), (0.5, 0.685)]) * 128 + (100, 80)
    with Engine.load() as engine:
        assert engine.manifest.alignment == "avatars"
        expected = engine.translate(sample, "Blond_Hair")
        out = engine.translate_faces(picture, "Blond_Hair", [Face.of((128, 118, 200, 190), points, 0.9)])
    assert psnr(out[104:184, 124:204], expected[24:104, 24:104]) > 35


@pytest.fixture(scope="module")
def identity(model, tmp_path_factory):
    """An engine whose network returns its input."""
    from onnx import TensorProto, helper, numpy_helper, save

    manifest, _ = read_onnx(model)
    image, translated = ("batch", *manifest.size, 3), ("batch", *manifest.size, 3)
    nodes = [
        helper.make_node("ReduceSum", ["label"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["levels", "nothing"], ["same"]),
        helper.make_node("Cast", ["same"], ["translated"], to=TensorProto.UINT8),
    ]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, image),
        helper.make_tensor_value_info("label", TensorProto.FLOAT, ("batch", manifest.labels.dim)),
    ]
    outputs = [helper.make_tensor_value_info("translated", TensorProto.UINT8, translated)]
    zero = numpy_helper.from_array(np.zeros((1, 1), np.float32), "zero")
    network = helper.make_model(
        helper.make_graph(nodes, "identity", inputs, outputs, [zero]), opset_imports=[helper.make_opsetid("", 18)]
    )
    network.ir_version = 9
    write_to_onnx(replace(manifest, alignment="celeba"), network)
    path = tmp_path_factory.mktemp("identity") / "identity.onnx"
    save(network, path)
    with Engine.load(path) as engine:
        yield engine


@pytest.mark.parametrize("degrees", [0, 15, 30])
def test_the_paste_is_invisible_where_nothing_changed(identity, detector, turned, degrees):
    picture, _ = turned(degrees)
    (face,) = detector.find(picture)
    assert psnr(identity.translate_faces(picture, "happy", [face]), picture) >= 40


def test_misuse(engine, picture):
    with pytest.raises(InputError, match="no face was found"):
        engine.translate_faces(picture, "happy", detector=Finds())
    with pytest.raises(InputError, match="'all', 'largest' or a sequence"):
        engine.translate_faces(picture, "happy", "most")
    with pytest.raises(LabelError):
        engine.translate_faces(picture, "hapy", [ONE])
    with pytest.raises(InputError, match="unknown alignment"):
        engine.translate_faces(picture, "happy", [ONE], alignment="ffhq")
    assert (engine.translate_faces(picture, "happy", []) == picture).all()
