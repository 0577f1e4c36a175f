import numpy as np
import onnx
import onnxruntime as ort

from stargan_rt.build.rewrite import widen_last_convolution
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_faces, bundled_model


def test_the_widened_convolution_gives_the_same_pictures():
    manifest, model = read_onnx(bundled_model("avatars"))
    wide = widen_last_convolution(model)
    onnx.checker.check_model(wide, full_check=True)
    convolutions = [node for node in wide.graph.node if node.op_type == "Conv"]
    weights = {w.name: list(w.dims) for w in wide.graph.initializer}
    assert weights[convolutions[-1].input[1]][0] == 12
    images, labels = (
        np.stack(bundled_faces()[:3]),
        np.stack([manifest.labels.encode(n) for n in ("happy", "sad", "angry")]),
    )
    expected, found = (
        ort.InferenceSession(m.SerializeToString()).run(None, {"image": images, "label": labels})[0].astype(int)
        for m in (model, wide)
    )
    assert np.abs(found - expected).max() <= 1  # the sums are the same, their order is not
    assert (found != expected).mean() < 1e-3


def test_a_widened_model_is_left_as_it_is():
    _, model = read_onnx(bundled_model("avatars"))
    wide = widen_last_convolution(model)
    assert widen_last_convolution(wide).SerializeToString(deterministic=True) == wide.SerializeToString(
        deterministic=True
    )
