"""The rewrites are exact: what they change is the order of the same sums."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from stargan_rt.builder.half import to_half
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_faces, bundled_model

REWRITES = [fold_label, widen_last_convolution]


@pytest.fixture(scope="module")
def bundled():
    return read_onnx(bundled_model("avatars"))


def pictures(model, manifest):
    images = np.stack(bundled_faces()[:3])
    labels = np.stack([manifest.labels.encode(n) for n in ("happy", "sad", "Blond_Hair")])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images, "label": labels})[0].astype(int)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_rewritten_model_gives_the_same_pictures(bundled, rewrite):
    manifest, model = bundled
    rewritten = rewrite(model)
    onnx.checker.check_model(rewritten, full_check=True)
    expected, found = pictures(model, manifest), pictures(rewritten, manifest)
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_rewritten_model_is_left_as_it_is(bundled, rewrite):
    once = rewrite(bundled[1])
    assert rewrite(once).SerializeToString(deterministic=True) == once.SerializeToString(deterministic=True)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_the_master_is_not_touched(bundled, rewrite):
    before = bundled[1].SerializeToString(deterministic=True)
    rewrite(bundled[1])
    assert bundled[1].SerializeToString(deterministic=True) == before


def test_the_widened_convolution_fills_twelve_lanes(bundled):
    wide = widen_last_convolution(bundled[1])
    convolutions = [node for node in wide.graph.node if node.op_type == "Conv"]
    weights = {w.name: list(w.dims) for w in wide.graph.initializer}
    assert weights[convolutions[-1].input[1]][0] == 12


def test_the_first_convolution_sees_the_image_alone(bundled):
    folded = fold_label(bundled[1])
    first = next(node for node in folded.graph.node if node.op_type == "Conv")
    weights = {w.name: list(w.dims) for w in folded.graph.initializer}
    assert weights[first.input[1]][1] == 3
    assert "Concat" not in {node.op_type for node in folded.graph.node}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_folded_model_can_be_typed(bundled, precision):
    """The rows and columns of the table are indices, and stay whole numbers."""
    onnx.checker.check_model(to_half(fold_label(bundled[1]), precision), full_check=True)
