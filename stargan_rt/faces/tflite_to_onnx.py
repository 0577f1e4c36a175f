"""Convert a small convolutional network from TensorFlow Lite to ONNX, for machines without OpenVINO.

It knows the operators of BlazeFace. The file is a FlatBuffer; the field numbers are those of TensorFlow Lite's schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import onnx
from flatbuffers import number_types as kinds
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
ADD, CONCATENATION, CONV, DEPTHWISE, DEQUANTIZE, MAX_POOL, RELU, RESHAPE, PAD = 0, 2, 3, 4, 6, 17, 19, 22, 34
_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
_FUSED = {0: None, 1: "Relu"}


class Table:
    """A table in a FlatBuffer whose fields are read by number."""

    def __init__(self, data: bytes, at: int) -> None:
        self._table = flatbuffers.table.Table(data, at)

    def number(self, field: int, kind: Any = kinds.Int32Flags, default: int = 0) -> int:
        """Return a scalar."""
        at = self._table.Offset(4 + 2 * field)
        return int(self._table.Get(kind, self._table.Pos + at)) if at else default

    def numbers(self, field: int, kind: Any = kinds.Int32Flags) -> list[int]:
        """Return a vector of scalars."""
        at = self._table.Offset(4 + 2 * field)
        return [int(n) for n in self._table.GetVectorAsNumpy(kind, at)] if at else []

    def data(self, field: int) -> bytes:
        """Return a vector of bytes."""
        at = self._table.Offset(4 + 2 * field)
        return bytes(self._table.GetVectorAsNumpy(kinds.Uint8Flags, at)) if at else b""

    def text(self, field: int) -> str:
        """Return a string."""
        at = self._table.Offset(4 + 2 * field)
        return str(self._table.String(self._table.Pos + at), "utf-8") if at else ""

    def table(self, field: int) -> Table:
        """Return a table, which may be a member of a union."""
        at = self._table.Offset(4 + 2 * field)
        return Table(self._table.Bytes, self._table.Indirect(self._table.Pos + at))

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables."""
        at = self._table.Offset(4 + 2 * field)
        if not at:
            return []
        start, count = self._table.Vector(at), self._table.VectorLen(at)
        return [Table(self._table.Bytes, self._table.Indirect(start + 4 * i)) for i in range(count)]


def converted(data: bytes) -> bytes:
    """Convert a network with one image as its input.

    Args:
        data: the contents of a ``.tflite`` file.

    Returns:
        The contents of an ``.onnx`` file with the same input ``[1, H, W, 3]`` and outputs.

    Raises:
        ValueError: not a TensorFlow Lite file, or an operator that is not known here.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a TensorFlow Lite file")
    model = Table(data, int.from_bytes(data[:4], "little"))
    graph = _Graph(model)
    for operator in model.tables(2)[0].tables(3):
        graph.add(operator)
    return graph.model().SerializeToString()  # type: ignore[no-any-return]


class _Graph:
    """The ONNX graph as it grows. Tensors of four dimensions are NCHW in it."""

    def __init__(self, model: Table) -> None:
        self._codes = [max(c.number(0, kinds.Int8Flags), c.number(3)) for c in model.tables(1)]
        self._buffers = model.tables(4)
        graph = model.tables(2)[0]
        self._tensors = graph.tables(0)
        self._inputs, self._outputs = graph.numbers(1), graph.numbers(2)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray[Any, Any]] = {}
        self._dequantized: dict[int, np.ndarray[Any, Any]] = {}
        name = self._name(self._inputs[0])
        self._node("Transpose", [f"{name}_image"], name, perm=[0, 3, 1, 2])

    def add(self, operator: Table) -> None:
        """Add an operator.

        Raises:
            ValueError: it is not one of BlazeFace's.
        """
        code = self._codes[operator.number(0, kinds.Uint32Flags)]
        inputs, (out, *_) = operator.numbers(1), operator.numbers(2)
        if code == DEQUANTIZE:
            self._dequantized[out] = self._value(inputs[0]).astype(np.float32)
        elif code in (CONV, DEPTHWISE):
            self._convolution(operator.table(4), inputs, out, code == DEPTHWISE)
        elif code == ADD:
            self._fused("Add", [self._name(i) for i in inputs], out, operator.table(4).number(0, kinds.Int8Flags))
        elif code == MAX_POOL:
            options = operator.table(4)
            window = {"kernel_shape": [options.number(4), options.number(3)]}
            self._node("MaxPool", [self._name(inputs[0])], self._name(out), **window, **_steps(options))
        elif code == RELU:
            self._node("Relu", [self._name(inputs[0])], self._name(out))
        elif code == PAD:
            before, after = (self._value(inputs[1])[[0, 3, 1, 2], side].tolist() for side in (0, 1))
            pads = self._constant(out, "pads", np.array([*before, *after], np.int64))
            self._node("Pad", [self._name(inputs[0]), pads], self._name(out))
        elif code == RESHAPE:
            shape = self._constant(out, "shape", np.array(self._shape(out), np.int64))
            self._node("Reshape", [self._nhwc(inputs[0]), shape], self._name(out))
        elif code == CONCATENATION:
            axis = operator.table(4).number(0)
            axis = axis if len(self._shape(out)) != 4 else (0, 2, 3, 1)[axis]
            self._node("Concat", [self._name(i) for i in inputs], self._name(out), axis=axis)
        else:
            raise ValueError(f"operator {code} of TensorFlow Lite is not supported")

    def model(self) -> onnx.ModelProto:
        """Return the finished model."""
        image = helper.make_tensor_value_info(
            f"{self._name(self._inputs[0])}_image", TensorProto.FLOAT, self._shape(self._inputs[0])
        )
        outputs = [
            helper.make_tensor_value_info(self._name(i), TensorProto.FLOAT, self._shape(i)) for i in self._outputs
        ]
        constants = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        graph = helper.make_graph(self._nodes, "detector", [image], outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9  # what older versions of ONNX Runtime read too
        onnx.checker.check_model(model)
        return model

    def _convolution(self, options: Table, inputs: Sequence[int], out: int, depthwise: bool) -> None:
        weights = self._value(inputs[1])  # OHWI; of a depthwise convolution 1HWO
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        names = [self._name(inputs[0]), self._constant(out, "weights", weights.astype(np.float32))]
        if len(inputs) > 2:
            names.append(self._constant(out, "bias", self._value(inputs[2]).astype(np.float32)))
        group = len(weights) if depthwise else 1
        activation = options.number(4 if depthwise else 3, kinds.Int8Flags)
        self._fused("Conv", names, out, activation, group=group, **_steps(options))

    def _fused(self, kind: str, inputs: list[str], out: int, activation: int, **attributes: Any) -> None:
        if activation not in _FUSED:
            raise ValueError(f"activation {activation} of TensorFlow Lite is not supported")
        if name := _FUSED[activation]:
            self._node(kind, inputs, f"{self._name(out)}_linear", **attributes)
            self._node(name, [f"{self._name(out)}_linear"], self._name(out))
        else:
            self._node(kind, inputs, self._name(out), **attributes)

    def _nhwc(self, tensor: int) -> str:
        if len(self._shape(tensor)) != 4:
            return self._name(tensor)
        name = f"{self._name(tensor)}_nhwc"
        if all(name not in node.output for node in self._nodes):
            self._node("Transpose", [self._name(tensor)], name, perm=[0, 2, 3, 1])
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _constant(self, owner: int, role: str, value: np.ndarray[Any, Any]) -> str:
        name = f"{self._name(owner)}_{role}"
        self._constants[name] = np.ascontiguousarray(value)
        return name

    def _value(self, tensor: int) -> np.ndarray[Any, Any]:
        if tensor in self._dequantized:
            return self._dequantized[tensor]
        table = self._tensors[tensor]
        data = self._buffers[table.number(2, kinds.Uint32Flags)].data(0)
        dtype = _DTYPES[table.number(1, kinds.Int8Flags)]
        return np.frombuffer(data, dtype).reshape(self._shape(tensor))

    def _shape(self, tensor: int) -> list[int]:
        return self._tensors[tensor].numbers(0)

    def _name(self, tensor: int) -> str:
        return self._tensors[tensor].text(3) or f"tensor{tensor}"


def _steps(options: Table) -> dict[str, Any]:
    """Return the padding and the strides of a convolution or a pooling; the schema gives both the same numbers."""
    valid = options.number(0, kinds.Int8Flags)
    return {"auto_pad": "VALID" if valid else "SAME_UPPER", "strides": [options.number(2), options.number(1)]}
