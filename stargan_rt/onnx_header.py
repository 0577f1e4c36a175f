"""Reads the metadata and the signature of an ONNX file without the onnx package.

Importing that package and parsing all weights would take longer than the rest of loading a model. This reader knows
protobuf's wire format and the numbers of the few fields that it needs, and skips everything else. The field numbers
are those of onnx.proto3 and never change.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Fields: TypeAlias = dict[int, list[Any]]

TYPES = {1: "float32", 2: "uint8", 10: "float16"}
EXTERNAL = 1


@dataclass(frozen=True)
class OnnxHeader:
    """Metadata and signature of an ONNX file.

    Attributes:
        metadata: The key-value pairs of ``metadata_props``.
        inputs, outputs: One string per tensor, such as ``"image uint8 [batch, 128, 128, 3]"``.
        self_contained: Whether all weights are stored inside the file.
    """

    metadata: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    self_contained: bool

    @property
    def signature(self) -> str:
        """Inputs and outputs on one line."""
        return f"inputs {', '.join(self.inputs)}; outputs {', '.join(self.outputs)}"


def read_header(path: Path) -> OnnxHeader:
    """Read metadata and signature of an ONNX file.

    Raises:
        ValueError: The file is truncated or not an ONNX file.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # raises ValueError for an empty file
    model = _message(memoryview(data))
    if len(model.get(7, [])) != 1 or not model.get(8):
        raise ValueError("no graph or no opset version")
    graph = _message(model[7][0])
    metadata = {}
    for entry in model.get(14, []):
        pair = _message(entry)
        metadata[_text(pair, 1)] = _text(pair, 2)
    weights = [_message(tensor) for tensor in graph.get(5, [])]
    names = {_text(tensor, 8) for tensor in weights}
    inputs = (_message(value) for value in graph.get(11, []))
    return OnnxHeader(
        metadata,
        tuple(_described(value) for value in inputs if _text(value, 1) not in names),
        tuple(_described(_message(value)) for value in graph.get(12, [])),
        all(EXTERNAL not in tensor.get(14, []) for tensor in weights),
    )


def _described(value: Fields) -> str:
    """Format a ValueInfo as ``name type [dimensions]``."""
    tensor = _inside(_inside(value, 2), 1)
    dims = (_message(dim) for dim in _inside(tensor, 2).get(1, []))
    shape = ", ".join(_text(dim, 2) or str(dim.get(1, ["?"])[0]) for dim in dims)
    kind = tensor.get(1, ["?"])[0]
    return f"{_text(value, 1)} {TYPES.get(kind, kind)} [{shape}]"


def _inside(message: Fields, number: int) -> Fields:
    found = message.get(number)
    return _message(found[0]) if found else {}


def _text(message: Fields, number: int) -> str:
    found = message.get(number)
    return bytes(_bytes(found[0])).decode() if found else ""  # UnicodeDecodeError is a ValueError


def _bytes(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("a number where text or a message is expected")
    return value


def _message(data: Any) -> Fields:
    """Return field number → values in order: integers, or the bytes of strings and messages."""
    fields: Fields = {}
    for number, value in _fields(_bytes(data)):
        fields.setdefault(number, []).append(value)
    return fields


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: Any
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 2, 5):
            length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value = data[at : at + length]
            at += length
            if at > len(data):
                raise ValueError(f"truncated: {at - len(data)} bytes are missing at the end")
        else:
            raise ValueError(f"byte {at} does not start a protobuf field")
        yield key >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("truncated inside a number")
