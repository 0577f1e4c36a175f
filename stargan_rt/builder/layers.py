"""The precision of each convolution, as the types in a graph say it."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto

NAMES: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}


def typed_layers(model: onnx.ModelProto) -> dict[str, int]:
    """Precision → how many convolutions a strongly typed builder computes in it."""
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    # What comes out of a DequantizeLinear has the type of its scale.
    scales = {node.output[0]: node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            image, weights = node.input[:2]
            quantised = image in scales and weights in scales  # weights alone are no more than stored in int8
            found["int8" if quantised else NAMES[kinds[scales.get(weights, weights)]]] += 1
    return dict(found)
