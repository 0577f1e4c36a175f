"""int8: symmetric Q/DQ pairs around the convolutions, the form that every runtime here accepts.

TensorRT requires zero points of 0, signed activations and per-channel weights; OpenVINO and ONNX Runtime run the same
file. For these two, activations that follow a ReLU may be unsigned: all 256 values are used then, and x86 has
instructions for them. Biases, norms and residual sums stay in float32.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from stargan_rt.builder.config import GROUPS
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, METADATA_KEY

LEVELS = 127
"""Largest integer of weights and signed activations."""
SAMPLE = 4096
"""Number of values of a tensor that are sampled for each calibration image."""
CLIPS = np.linspace(0.2, 1.0, 41)
"""Fractions of the largest value that are tried as the end of an activation's range."""


@dataclass(frozen=True)
class Grid:
    """The values that a quantised activation can have: `scale` times an integer.

    Attributes:
        scale: distance between two neighbouring values.
        signed: the integers are -127 to 127 (int8), else 0 to 255 (uint8).
    """

    scale: float
    signed: bool = True

    @property
    def levels(self) -> int:
        """The largest whole number."""
        return LEVELS if self.signed else 255

    @property
    def limit(self) -> float:
        """The largest value; larger ones are clipped."""
        return self.scale * self.levels


def layer_groups(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the convolutions of each group of `config.GROUPS`, in order.

    Groups follow from the graph, so that they hold for the paper's generator and for lite ones: between the first
    convolution and the last, those of a stride lead down, and transposed ones and those in front of a pixel shuffle
    lead up.
    """
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    groups: dict[str, list[onnx.NodeProto]] = {group: [] for group in GROUPS}
    shuffled = {node.input[0] for node in model.graph.node if node.op_type == "DepthToSpace"}
    for index, node in enumerate(layers):
        strides = next((a.ints for a in node.attribute if a.name == "strides"), ())
        if index == 0:
            group = "first"
        elif index == len(layers) - 1:
            group = "last"
        elif node.op_type == "ConvTranspose" or node.output[0] in shuffled:
            group = "up"
        else:
            group = "down" if any(stride > 1 for stride in strides) else "residual"
        groups[group].append(node)
    return groups


def activation_grids(
    model: onnx.ModelProto, pairs: Iterable[tuple[Pixels, npt.NDArray[np.float32]]], *, unsigned: bool = False
) -> dict[str, Grid]:
    """Return how the input tensor of each convolution is rounded.

    A generator whose last training steps were quantised carries the limits that it was trained with, and these are
    used. Otherwise the range minimises the squared error of rounding and clipping together, on a sample of the values
    that the calibration images produce.

    Args:
        model: float32.
        pairs: images uint8 ``(H, W, 3)`` RGB and label vectors float32 ``(c,)``.
        unsigned: activations that are never negative are uint8; TensorRT refuses such a graph.
    """
    layers = [node for group in layer_groups(model).values() for node in group]
    names = [node.input[0] for node in layers]
    trained = _trained_limits(model)
    limits = {node.input[0]: trained[node.input[1]] for node in layers if node.input[1] in trained}
    positive = _never_negative(model)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    samples: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in names}
    largest = dict.fromkeys(names, 0.0)
    for image, label in pairs:
        for name, values in zip(names, session.run(names, {IMAGE: image[None], LABEL: label[None]}), strict=True):
            flat = np.abs(values.ravel())
            largest[name] = max(largest[name], float(flat.max()))
            samples[name].append(flat[random.integers(0, flat.size, SAMPLE)])
    grids = {}
    for name in names:
        grid = Grid(1.0, not (unsigned and name in positive))
        if name in limits:
            scale = limits[name] / grid.levels
        else:
            scale = best_scale(np.concatenate(samples[name]), largest[name], grid.levels)
        grids[name] = Grid(scale, grid.signed)
    return grids


def _trained_limits(model: onnx.ModelProto) -> Mapping[str, float]:
    """Return the limit of a convolution's input by the name of its weights, from the manifest in the model."""
    manifests = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    limits: Mapping[str, float] = json.loads(manifests[0]).get("int8_limits", {}) if manifests else {}
    return limits


def _never_negative(model: onnx.ModelProto) -> set[str]:
    """Return the tensors that a ReLU makes, and their sums."""
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Relu" or (node.op_type == "Add" and found.issuperset(node.input)):
            found.update(node.output)
    return found


def best_scale(values: npt.NDArray[np.float32], largest: float, levels: int) -> float:
    """Return the scale with the smallest squared error of rounding and clipping.

    Args:
        values: a sample of the absolute values.
        largest: the largest absolute value.
        levels: the largest whole number of the grid.
    """
    scales = np.maximum(CLIPS * largest, 1e-6) / levels
    errors = [np.mean((values - s * np.minimum(np.round(values / s), levels)) ** 2) for s in scales]
    return float(scales[int(np.argmin(errors))])


def quantize(model: onnx.ModelProto, grids: Mapping[str, Grid], groups: Collection[str]) -> onnx.ModelProto:
    """Return a copy with the convolutions of `groups` in int8.

    Args:
        model: float32.
        grids: from `activation_grids`.
        groups: names from `config.GROUPS`.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    chosen = {node.output[0] for group, layers in layer_groups(model).items() if group in groups for node in layers}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    done: dict[str, str] = {}

    def constant(name: str, values: npt.NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def pair(name: str) -> str:
        grid = grids[name]
        scale = constant(f"{name}_scale", np.array(grid.scale, np.float32))
        zero = constant(f"{name}_zero_point", np.array(0, np.int8 if grid.signed else np.uint8))
        nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}_q"], f"{name}_q"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", scale, zero], [f"{name}_dq"], f"{name}_dq"))
        return f"{name}_dq"

    for node in graph.node:
        if node.output[0] in chosen:
            activation, weight = node.input[0], node.input[1]
            axis = 0 if node.op_type == "Conv" else 1  # where the output channels are
            values = numpy_helper.to_array(weights[weight])
            others = tuple(i for i in range(values.ndim) if i != axis)
            largest = np.abs(values).max(axis=others)
            scale = np.maximum(np.where(largest > 0, largest, 1), 1e-12) / LEVELS  # any scale suits a channel of zeros
            shape = [-1 if i == axis else 1 for i in range(values.ndim)]
            whole = np.clip(np.round(values / scale.reshape(shape)), -LEVELS, LEVELS).astype(np.int8)
            weights[weight].CopyFrom(numpy_helper.from_array(whole, weight))
            parameters = [
                constant(f"{weight}_scale", scale.astype(np.float32)),
                constant(f"{weight}_zero_point", np.zeros(len(scale), np.int8)),
            ]
            node.input[0] = done.get(activation) or done.setdefault(activation, pair(activation))
            node.input[1] = f"{weight}_dq"
            nodes.append(
                helper.make_node("DequantizeLinear", [weight, *parameters], [f"{weight}_dq"], f"{weight}_dq", axis=axis)
            )
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return quantized
