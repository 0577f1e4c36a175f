"""Exact rewrites of the graph that make it faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from stargan_rt.manifest import LABEL


def fold_label(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose first convolution sees the image alone.

    The label is the same in every pixel, so its share of the first convolution's output is constant except for a
    border as wide as the padding. That share is kept in a small table, which is multiplied by the label, stretched to
    the size of the image and added to the image's share.

    Models that do not start with a convolution of odd size and stride 1 over image and label are returned unchanged.
    Among them are lite generators, whose label never passes a convolution.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    made_by = {name: node for node in graph.node for name in node.output}
    first = next(node for node in graph.node if node.op_type == "Conv")
    attributes = _attributes(first)
    joined = made_by.get(first.input[0])
    stored = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    weights = numpy_helper.to_array(stored)
    channels, _, side, _ = weights.shape
    if joined is None or joined.op_type != "Concat" or len(first.input) > 2 or not _keeps_size(attributes, side):
        return folded
    image, spread = joined.input
    stretch = made_by.get(spread)  # the label, repeated in every pixel
    unsqueeze = made_by.get(stretch.input[0]) if stretch else None
    if stretch is None or stretch.op_type != "Expand" or unsqueeze is None:
        return folded
    height, width = (int(n) for n in _constant(graph, stretch.input[1])[2:])
    edge = side // 2
    if unsqueeze.input[0] != LABEL or min(height, width) < side:
        return folded

    # Rows of the image are of `side` kinds: those near the top, those near the bottom, and all others.
    # Kind r sees the taps that fall on the image, here on one of just `side` rows.
    sees = np.array([[0 <= row + tap - edge < side for tap in range(side)] for row in range(side)], np.float64)
    table = np.einsum("octu,rt,su->crso", weights[:, 3:].astype(np.float64), sees, sees)

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"label_map_{name}"))
        return f"label_map_{name}"

    def kinds(length: int) -> Any:
        middle = [edge] * (length - 2 * edge)
        return np.array([*range(edge), *middle, *range(edge + 1, side)], np.int64)

    stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[:, :3]), stored.name))
    flat = constant("table", table.reshape(len(table), -1).astype(np.float32))
    shape = constant("shape", np.array([-1, side, side, channels], np.int64))
    rows, columns = constant("rows", kinds(height)), constant("columns", kinds(width))
    output = first.output[0]
    before = [
        helper.make_node("MatMul", [LABEL, flat], ["label_map_flat"], "label_map_flat"),
        helper.make_node("Reshape", ["label_map_flat", shape], ["label_map_small"], "label_map_small"),
    ]
    convolution = onnx.NodeProto()
    convolution.CopyFrom(first)
    convolution.input[0], convolution.output[0] = image, f"{output}_image"
    behind = [
        # Channels last: whole runs of them are copied, and x86 convolves in this layout anyway.
        helper.make_node("Gather", ["label_map_small", rows], ["label_map_high"], "label_map_high", axis=1),
        helper.make_node("Gather", ["label_map_high", columns], ["label_map_wide"], "label_map_wide", axis=2),
        helper.make_node("Transpose", ["label_map_wide"], ["label_map"], "label_map", perm=[0, 3, 1, 2]),
        helper.make_node("Add", [f"{output}_image", "label_map"], [output], f"{first.name}_label"),
    ]
    nodes = [node for node in graph.node if node not in (joined, stretch, unsqueeze)]
    place = nodes.index(first)
    nodes[place : place + 1] = [*before, convolution, *behind]
    del graph.node[:]
    graph.node.extend(nodes)
    return folded


def widen_last_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose last convolution computes four pixels at a time.

    A convolution to 3 channels uses 3 of the 8 or 16 lanes of a vector unit. A convolution of stride 2 with one more
    row and column computes the same sums to 12 channels: one for each colour and pixel of a 2x2 block. DepthToSpace
    then moves the pixels to their places.

    Models whose last convolution has other than 3 output channels, or is not odd-sized, of stride 1 and padded to keep
    the size, are returned unchanged.
    """
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    attributes = _attributes(last)
    stored = next(tensor for tensor in graph.initializer if tensor.name == last.input[1])
    weights = numpy_helper.to_array(stored)
    colours, channels, side, _ = weights.shape
    if colours != 3 or not _keeps_size(attributes, side) or len(last.input) > 2:
        return wide
    blocks = np.zeros((colours, 2, 2, channels, side + 1, side + 1), np.float32)
    for row in range(2):
        for column in range(2):
            blocks[:, row, column, :, row : row + side, column : column + side] = weights
    stored.CopyFrom(numpy_helper.from_array(blocks.reshape(4 * colours, channels, side + 1, side + 1), stored.name))
    output = last.output[0]
    for index, node in enumerate(graph.node):
        if node.output[0] == output:
            convolution = helper.make_node(
                "Conv",
                list(last.input),
                [f"{output}_blocks"],
                last.name,
                kernel_shape=[side + 1] * 2,
                pads=attributes["pads"],
                strides=[2, 2],
            )
            shuffle = helper.make_node(
                "DepthToSpace", [f"{output}_blocks"], [output], f"{last.name}_shuffle", blocksize=2, mode="CRD"
            )
            graph.node.remove(node)
            graph.node.insert(index, convolution)
            graph.node.insert(index + 1, shuffle)
            break
    return wide


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _keeps_size(attributes: dict[str, Any], side: int) -> bool:
    """Whether a convolution is odd-sized, of stride 1 and padded so that the picture keeps its size."""
    plain = attributes.get("strides", [1, 1]) == [1, 1] and attributes.get("dilations", [1, 1]) == [1, 1]
    return plain and side % 2 == 1 and list(attributes.get("pads", [])) == [side // 2] * 4


def _constant(graph: onnx.GraphProto, name: str) -> Any:
    return numpy_helper.to_array(next(tensor for tensor in graph.initializer if tensor.name == name))
