"""The precision of each convolution, read from the types of a graph."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto

NAMES: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}


def typed_layers(model: onnx.ModelProto) -> dict[str, int]:
    """Count the convolutions that a strongly typed builder computes in each precision."""
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    # The output of a DequantizeLinear has the type of its scale.
    scales = {node.output[0]: node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            image, weights = node.input[:2]
            quantised = image in scales and weights in scales  # int8 weights alone save memory, not time
            found["int8" if quantised else NAMES[kinds[scales.get(weights, weights)]]] += 1
    return dict(found)
