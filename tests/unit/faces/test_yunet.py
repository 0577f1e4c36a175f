"""YuNet through OpenCV's own decoder, with a network that sees a face wherever the picture is red."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from stargan_rt.faces import FaceDetector

STRIDES = (8, 16, 32)


@pytest.fixture(scope="module")
def red_faces(tmp_path_factory):
    """An ONNX file with YuNet's inputs and outputs: cells of reddish pixels are faces of six cells' size."""
    nodes, outputs, constants = [], [], []

    def constant(name, values, dtype=np.float32):
        constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    for stride in STRIDES:
        # Red minus the others, 1 where a cell of stride 8 is all red: BGR in, so the red channel is the last.
        weights = np.zeros((1, 3, stride, stride), np.float32)
        weights[0, 2], weights[0, :2] = 1 / (255 * stride**2), -1 / (255 * stride**2)
        constant(f"w{stride}", weights)
        nodes.append(helper.make_node("Conv", ["input", f"w{stride}"], [f"red{stride}"], strides=[stride, stride]))
        only = 1.0 if stride == 32 else 0.0
        nodes.append(helper.make_node("Mul", [f"red{stride}", constant(f"on{stride}", [only])], [f"raw{stride}"]))
        nodes.append(
            helper.make_node(
                "Clip", [f"raw{stride}", constant(f"lo{stride}", 0.0), constant(f"hi{stride}", 1.0)], [f"score{stride}"]
            )
        )
        nodes.append(helper.make_node("Transpose", [f"score{stride}"], [f"nhwc{stride}"], perm=[0, 2, 3, 1]))
        nodes.append(
            helper.make_node(
                "Reshape", [f"nhwc{stride}", constant(f"flat{stride}", [1, -1, 1], np.int64)], [f"cls_{stride}"]
            )
        )
        nodes.append(helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]))
        # Offsets from the cell's corner and the logarithm of the size, in strides.
        box = [0.5, 0.5, np.log(2.0), np.log(3.0)]
        points = [0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.2, 1.0, 0.8, 1.0]
        for name, values in (("bbox", box), ("kps", points)):
            zero = f"{name}zero{stride}"
            nodes.append(helper.make_node("Mul", [f"cls_{stride}", constant(f"{name}nil{stride}", [0.0])], [zero]))
            nodes.append(
                helper.make_node("Add", [zero, constant(f"{name}v{stride}", [[values]])], [f"{name}_{stride}"])
            )
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            shape = [1, f"n{stride}", width]
            outputs.append(helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
    model = helper.make_model(
        helper.make_graph(nodes, "yunet", [image], outputs, constants), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    path = tmp_path_factory.mktemp("yunet") / "red.onnx"
    save(model, path)
    return path


def test_faces_are_decoded_as_opencv_does(red_faces):
    image = np.zeros((320, 320, 3), np.uint8)
    image[96:128, 160:192, 0] = 255  # one cell of stride 32
    (face,) = FaceDetector.load(red_faces).find(image)
    left, top, right, bottom = face.box
    assert (right - left, bottom - top) == pytest.approx((64, 96), abs=1)
    right_eye, left_eye, nose, mouth = face.points - face.points[0]
    np.testing.assert_allclose([right_eye, left_eye, nose, mouth], [(0, 0), (32, 0), (16, 16), (16, 32)], atol=0.5)
    np.testing.assert_allclose(face.keypoints[0], (160, 96), atol=0.5)


def test_large_images_are_made_smaller_first(red_faces):
    image = np.zeros((3200, 3200, 3), np.uint8)
    image[960:1280, 1600:1920, 0] = 255
    (face,) = FaceDetector.load(red_faces).find(image, min_size=200)
    assert face.eye_distance > 200
