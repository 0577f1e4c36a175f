"""fp16 and bf16: half-precision types written into a float32 graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
OPSETS = {"fp16": 19, "bf16": 22}
"""The first operator sets that allow scales in half precision, and bf16 convolutions."""
SMALLEST_NORMAL = 2.0**-14
"""The smallest half-precision number with all its bits of precision, about 6.1e-5."""


def to_half(model: onnx.ModelProto, precision: str, *, half_norms: bool = False) -> onnx.ModelProto:
    """Return a copy whose convolutions, activations and residual sums are in half precision.

    Scaling and rounding of the images stay in float32. The precision is in the types of the graph alone, so strongly
    typed builders follow it.

    A quantised model may be given too. Its scales become half precision then, and its int8 convolutions give half
    precision; those with a scale too small for that stay between float32 tensors.

    Args:
        model: a float32 model that keeps the contract of `export`.
        precision: ``"fp16"`` or ``"bf16"``.
        half_norms: compute InstanceNormalization in half precision too, instead of in float32 between casts. For
            runtimes that sum in float32 in any case.
    """
    half = KINDS[precision]
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    graph = typed.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    halved = inside(graph) - _with_small_scales(graph, weights)
    narrow: dict[str, str] = {}  # float32 tensor → its half copy
    wide: dict[str, str] = {}  # half tensor → its float32 copy
    halves: set[str] = set()
    integers = {name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.output}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, kind: int, suffix: str) -> str:
        nodes.append(helper.make_node("Cast", [name], [f"{name}_{suffix}"], f"{name}_{suffix}", to=kind))
        return f"{name}_{suffix}"

    for node in graph.node:
        computes_half = node.output[0] in halved and (half_norms or node.op_type != "InstanceNormalization")
        for index, name in enumerate(node.input):
            if name in integers or (name in weights and weights[name].data_type != TensorProto.FLOAT):
                continue  # int8 weights, zero points, indices and shapes
            if computes_half and name in weights:
                values = numpy_helper.to_array(weights[name])
                stored = values.astype(np.float16) if precision == "fp16" else _bfloat16_bits(values)
                weights[name].CopyFrom(helper.make_tensor(name, half, values.shape, stored.tobytes(), raw=True))
            elif computes_half and name not in halves:
                node.input[index] = narrow.get(name) or narrow.setdefault(name, cast(name, half, precision))
            elif not computes_half and name in halves:
                node.input[index] = wide.get(name) or wide.setdefault(name, cast(name, TensorProto.FLOAT, "fp32"))
        if computes_half:
            halves.update(set(node.output) - integers)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # it holds the old types
    if precision == "bf16" or any(node.op_type == "QuantizeLinear" for node in nodes):
        for opset in typed.opset_import:
            if not opset.domain:
                opset.version = max(opset.version, OPSETS[precision])
    return typed


def inside(graph: onnx.GraphProto) -> set[str]:
    """Return the outputs of all nodes from the first convolution to the last."""
    convolutions = [i for i, node in enumerate(graph.node) if node.op_type in ("Conv", "ConvTranspose")]
    return {name for node in graph.node[convolutions[0] : convolutions[-1] + 1] for name in node.output}


def _with_small_scales(graph: onnx.GraphProto, weights: Mapping[str, onnx.TensorProto]) -> set[str]:
    """Return the outputs of int8 convolutions, and of what quantises them, whose scales half precision can't hold."""
    made_by = {name: node for node in graph.node for name in node.output}
    pairs: dict[str, set[str]] = {}  # output of a DequantizeLinear → outputs of its whole pair
    small: set[str] = set()
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        before = made_by.get(node.input[0])
        pairs[node.output[0]] = {node.output[0], *(before.output if before is not None else ())}
        if numpy_helper.to_array(weights[node.input[1]]).min() < SMALLEST_NORMAL:
            small.add(node.output[0])
    found: set[str] = set()
    for _ in range(2):  # convolutions may share an input, which then keeps all of them in float32
        for node in graph.node:
            if node.op_type in ("Conv", "ConvTranspose") and (small | found) & set(node.input):
                found.update(node.output, *(pairs[name] for name in node.input if name in pairs))
    return found


def _bfloat16_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return the upper half of each float32, rounded to nearest, ties to even; NumPy has no bfloat16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
