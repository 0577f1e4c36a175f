"""Graphs with a precision written into them, as a build makes them, without its search and its quality gate.

At 512x512 those take minutes, and a benchmark of speed does not need them: every layer group but the first is int8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from benchmarks.case import Pair
from stargan_rt.builder import GROUPS
from stargan_rt.builder.half import to_half
from stargan_rt.builder.quantize import activation_grids, quantize
from stargan_rt.manifest import Manifest, write_to_onnx

CALIBRATION = 4
"""Number of images from which int8 ranges are taken."""


def typed_graph(
    model: onnx.ModelProto, precision: str, pairs: Sequence[Pair], unsigned: bool = True
) -> onnx.ModelProto:
    """Return a copy of a float32 graph in another precision, for the CPU backends.

    Args:
        model: float32, rewritten as wanted.
        precision: ``"fp32"``, ``"bf16"`` or ``"int8"``.
        pairs: images and labels that int8 is calibrated with.
        unsigned: int8 activations behind a ReLU have no sign.
    """
    if precision == "bf16":
        return to_half(model, precision, half_norms=True)
    if precision == "int8":
        return quantize(model, activation_grids(model, pairs, unsigned=unsigned), GROUPS[1:])
    return model


def write_engine(model: onnx.ModelProto, manifest: Manifest, precision: str, path: Path) -> Path:
    """Write a typed graph as a file that `Engine.load` takes."""
    write_to_onnx(replace(manifest, precision=precision), model)
    path.write_bytes(model.SerializeToString())
    return path
