"""The limit counts right and computes in the precision that it names."""

import onnx
import pytest

from benchmarks import limit
from benchmarks.limit import Layers, OpenVINOLimit, chain, macs
from stargan_rt.errors import StarGANError


def test_multiplications_are_counted_from_the_shapes(model):
    found = macs(onnx.load(model))
    # conv 8, one block, 5 labels, 32x32; a transposed convolution as often as the convolution it mirrors
    first, last = 32 * 32 * 8 * 8 * 49, 32 * 32 * 3 * 8 * 49
    down = 16 * 16 * 16 * 8 * 16 + 8 * 8 * 32 * 16 * 16
    assert found == first + last + 2 * down + 2 * 8 * 8 * 32 * 32 * 9


def test_a_chain_has_the_multiplications_of_its_layers():
    assert macs(chain(Layers(8, 16, 3), "fp32")) == 3 * 16 * 16 * 8 * 8 * 9
    assert macs(chain(Layers(32, None, 2), "int8")) == 2 * 32**3


def test_a_graph_without_shapes_is_refused(model):
    loaded = onnx.load(model)
    for value in loaded.graph.input:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises((StarGANError, onnx.shape_inference.InferenceError)):
        macs(loaded)


@pytest.mark.parametrize(("precision", "words"), [("fp32", {"f32"}), ("bf16", {"bf16"}), ("int8", {"i8", "u8"})])
def test_chains_run_in_their_precision(monkeypatch, precision, words):
    monkeypatch.setattr(limit, "CHAINS", (Layers(64, 16, 2), Layers(64, None, 2)))
    try:
        measured = OpenVINOLimit(precision, 1)
    except StarGANError as error:
        pytest.skip(str(error))
    assert measured.computed_in <= words
    assert set(measured.turn(2)) == set(measured.facts["macs"]) == {"conv 3x3, 64 channels, 16x16", "matmul 64"}
