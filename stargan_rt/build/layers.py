"""The precision of each convolution, as the types in a graph say it."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto

NAMES: dict[int, str] = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}


def typed_layers(model: onnx.ModelProto) -> dict[str, int]:
    """Precision → how many convolutions a strongly typed builder computes in it."""
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            found["int8" if node.input[1] in dequantised else NAMES[weights[node.input[1]]]] += 1
    return dict(found)
