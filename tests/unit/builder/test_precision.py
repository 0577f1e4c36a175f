"""The typed graphs: what half precision and int8 write into the model."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from stargan_rt.builder.calibration import cover, load_images
from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.half import _bfloat16_bits, to_half
from stargan_rt.builder.layers import typed_layers
from stargan_rt.builder.overflow import check_range
from stargan_rt.builder.quantize import activation_grids, layer_groups, quantize
from stargan_rt.builder.typed import int8_graph
from stargan_rt.errors import BuildError
from stargan_rt.manifest import read_onnx
from stargan_rt.quality import psnr


@pytest.fixture
def master(model):
    return read_onnx(model)


@pytest.fixture
def runs(master):
    manifest, _ = master
    return [(i, v) for _, i, v in cover(load_images(None, 12, manifest.size).calibration, manifest.labels, 10)]


@pytest.fixture
def grids(master, runs):
    return activation_grids(master[1], runs)


def run(model, runs):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"image": i[None], "label": v[None]})[0][0] for i, v in runs])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("half_norms", [False, True])
def test_half_graphs_are_strongly_typed(master, precision, half_norms):
    typed = to_half(master[1], precision, half_norms=half_norms)
    onnx.checker.check_model(typed, full_check=True)  # infers every type
    assert typed_layers(typed) == {precision: 8}
    norms = {n.input[1] for n in typed.graph.node if n.op_type == "InstanceNormalization"}
    kinds = {w.data_type for w in typed.graph.initializer if w.name in norms}
    half = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
    assert kinds == {half if half_norms else TensorProto.FLOAT}


def test_half_does_not_touch_the_master(master):
    before = master[1].SerializeToString(deterministic=True)
    to_half(master[1], "fp16")
    assert master[1].SerializeToString(deterministic=True) == before


def test_fp16_pictures_are_those_of_float32(master, runs):
    assert psnr(run(to_half(master[1], "fp16"), runs), run(master[1], runs)) > 50


@pytest.mark.parametrize(
    ("value", "bits"),
    [(1.0, 0x3F80), (-2.0, 0xC000), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (3.3895314e38, 0x7F7F)],
)
def test_bfloat16_rounds_to_nearest_even(value, bits):
    assert _bfloat16_bits(np.array([value], np.float32))[0] == bits


def test_layer_groups_cover_every_convolution_once(master):
    groups = layer_groups(master[1])
    assert tuple(groups) == GROUPS
    assert [len(groups[g]) for g in GROUPS] == [1, 2, 2, 2, 1]
    assert sum(map(len, groups.values())) == 8


def test_quantised_layers_are_symmetric_signed_and_per_channel(master, grids):
    typed = quantize(master[1], grids, ["down", "residual", "up", "last"])
    onnx.checker.check_model(typed, full_check=True)
    weights = {w.name: numpy_helper.to_array(w) for w in typed.graph.initializer}
    kinds = Counter(node.op_type for node in typed.graph.node)
    assert kinds["DequantizeLinear"] == 7 + kinds["QuantizeLinear"]
    for node in typed.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    for layers in layer_groups(master[1]).values():
        for layer in layers:
            if layer.input[1] in weights and weights[layer.input[1]].dtype == np.int8:
                axis = 0 if layer.op_type == "Conv" else 1
                values = weights[layer.input[1]]
                assert len(weights[f"{layer.input[1]}_scale"]) == values.shape[axis]
                others = tuple(i for i in range(4) if i != axis)
                assert (np.abs(values.astype(int)).max(axis=others) == 127).all()  # every channel uses its range


def test_what_int8_leaves_is_fp16_for_a_plan(master, grids, runs):
    typed = int8_graph(master[1], grids, GROUPS[1:], "tensorrt")
    onnx.checker.check_model(typed, full_check=True)
    assert typed_layers(typed) == {"int8": 7, "fp16": 1}
    weights = {w.name: w for w in typed.graph.initializer}
    for node in typed.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert weights[node.input[1]].data_type == TensorProto.FLOAT16
        if node.op_type == "InstanceNormalization":
            assert weights[node.input[1]].data_type == TensorProto.FLOAT
    expected = run(master[1], runs)
    full = quantize(master[1], grids, GROUPS[1:])
    assert psnr(run(typed, runs), expected) > psnr(run(full, runs), expected) - 2


def test_layers_whose_scales_are_too_small_for_half_stay_between_float32(master, grids, runs):
    weak = layer_groups(master[1])["residual"][0].input[0]
    small = {**grids, weak: replace(grids[weak], scale=2.0**-15)}
    typed = int8_graph(master[1], small, GROUPS[1:], "tensorrt")
    onnx.checker.check_model(typed, full_check=True)
    weights = {w.name: w for w in typed.graph.initializer}
    kinds = Counter(weights[n.input[1]].data_type for n in typed.graph.node if n.op_type == "QuantizeLinear")
    assert kinds == {TensorProto.FLOAT16: 6, TensorProto.FLOAT: 1}
    assert weights[f"{weak}_scale"].data_type == TensorProto.FLOAT
    run(typed, runs[:1])  # the types fit together


def test_a_channel_of_zeros_does_not_need_a_small_scale(master, grids):
    zeroed = onnx.ModelProto()
    zeroed.CopyFrom(master[1])
    layer = layer_groups(zeroed)["residual"][0].input[1]
    tensor = next(w for w in zeroed.graph.initializer if w.name == layer)
    values = numpy_helper.to_array(tensor).copy()
    values[0] = 0
    tensor.CopyFrom(numpy_helper.from_array(values, layer))
    typed = int8_graph(zeroed, grids, ["residual"], "tensorrt")
    assert {w.data_type for w in typed.graph.initializer if w.name.endswith("_scale")} == {TensorProto.FLOAT16}


def test_activations_that_overflow_fp16_are_refused(master, runs):
    check_range(master[1], runs)
    loud = onnx.ModelProto()
    loud.CopyFrom(master[1])
    layer = layer_groups(loud)["down"][0]
    tensor = next(w for w in loud.graph.initializer if w.name == layer.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1e5, tensor.name))
    # The norm that follows hides the overflow: the pictures are the same.
    np.testing.assert_allclose(run(loud, runs[:1]).astype(int), run(master[1], runs[:1]).astype(int), atol=1)
    with pytest.raises(BuildError, match=rf"activations of {layer.output[0]} reach [\d,]+, .* of fp16"):
        check_range(loud, runs)


def test_each_group_alone_stays_near_the_master(master, grids, runs):
    expected = run(master[1], runs)
    for group in GROUPS:
        found = run(quantize(master[1], grids, [group]), runs)
        assert 25 < psnr(found, expected) < 99, group
        assert typed_layers(quantize(master[1], grids, [group]))["int8"] == len(layer_groups(master[1])[group])


def test_a_wider_range_than_the_data_needs_costs_quality(master, grids, runs):
    expected = run(master[1], runs)
    groups = ["down", "residual", "up", "last"]
    wide = {name: replace(grid, scale=8 * grid.scale) for name, grid in grids.items()}
    assert psnr(run(quantize(master[1], grids, groups), runs), expected) > 3 + psnr(
        run(quantize(master[1], wide, groups), runs), expected
    )


def test_unsigned_activations_behind_a_relu_are_nearer_to_the_master(master, grids, runs):
    expected = run(master[1], runs)
    groups = ["down", "residual", "up", "last"]
    finer = activation_grids(master[1], runs, unsigned=True)
    assert {name: grid.signed for name, grid in grids.items()} == dict.fromkeys(grids, True)
    assert sum(not grid.signed for grid in finer.values()) > len(finer) / 2
    typed = quantize(master[1], finer, groups)
    onnx.checker.check_model(typed, full_check=True)
    zeros = {w.data_type for w in typed.graph.initializer if w.name.endswith("_zero_point")}
    assert zeros == {TensorProto.INT8, TensorProto.UINT8}
    assert psnr(run(typed, runs), expected) > psnr(run(quantize(master[1], grids, groups), runs), expected)
