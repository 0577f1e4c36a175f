"""The typed graph of a build: the float32 master with a precision written into its types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from stargan_rt.backends import PLANS
from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.half import to_half
from stargan_rt.builder.quantize import Grid, activation_grids, quantize
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels


def typed_graph(
    model: onnx.ModelProto,
    precision: str,
    backend: str,
    *,
    calibration: Iterable[tuple[Pixels, npt.NDArray[np.float32]]] = (),
    groups: Collection[str] = GROUPS[1:],
    rewrite: bool = True,
    unsigned: bool | None = None,
) -> onnx.ModelProto:
    """Write a precision into the graph, as `build` does for a backend, but without search, judgement and files.

    Args:
        model: float32, as ``python -m export`` wrote it.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``.
        backend: what will run or compile the graph.
        calibration: for int8, images uint8 ``(H, W, 3)`` RGB and label vectors float32 ``(c,)``.
        groups: for int8, the layer groups to quantise; by default all but the first convolution.
        rewrite: also apply the exact rewrites that make the graph faster on a CPU.
        unsigned: for int8, whether activations that follow a ReLU are uint8; by default where the backend allows it.

    Returns:
        A new model that any runtime takes as it is; `model` is unchanged.

    Raises:
        InputError: an unknown precision, or int8 without calibration images.
    """
    base = rewritten(model) if rewrite and backend not in PLANS else model
    if precision == "fp32":
        return without_unused(base)
    if precision in ("fp16", "bf16"):
        return without_unused(half_graph(base, precision, backend))
    if precision != "int8":
        raise InputError(f"unknown precision {precision!r}; known: fp32, fp16, bf16, int8")
    pairs = list(calibration)
    if not pairs:
        raise InputError("int8 needs calibration images and labels; got none")
    grids = activation_grids(base, pairs, unsigned=backend not in PLANS if unsigned is None else unsigned)
    return without_unused(int8_graph(base, grids, groups, backend))


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    """Apply the exact rewrites that are faster on a CPU; ``python -m benchmarks rewrites`` measures them."""
    return widen_last_convolution(fold_label(model))


def half_graph(model: onnx.ModelProto, precision: str, backend: str) -> onnx.ModelProto:
    """Write fp16 or bf16 into the graph, with the norms in the precision that suits the backend."""
    # OpenVINO sums norms in float32 in any case, and is faster without the casts around them.
    return to_half(model, precision, half_norms=backend == "openvino" and precision == "bf16")


def int8_graph(
    model: onnx.ModelProto, grids: Mapping[str, Grid], groups: Collection[str], backend: str
) -> onnx.ModelProto:
    """Write int8 into the layer groups; for a plan, all other layers become fp16, since float32 ones are slow there."""
    quantized = quantize(model, grids, groups)
    return to_half(quantized, "fp16") if backend in PLANS else quantized


def without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without initializers that no node reads, which ONNX Runtime and polygraphy warn about."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    read = {name for node in kept.graph.node for name in node.input} | {out.name for out in kept.graph.output}
    used = [tensor for tensor in kept.graph.initializer if tensor.name in read]
    del kept.graph.initializer[:]
    kept.graph.initializer.extend(used)
    return kept
