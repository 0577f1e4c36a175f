"""The search for the layer groups that become int8: the fastest choice within the quality budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx

from stargan_rt.build_record import Int8Choice, Quality
from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.quantize import layer_groups
from stargan_rt.errors import BuildError

Quantise: TypeAlias = Callable[[tuple[str, ...]], onnx.ModelProto]
"""Layer groups → the graph with these in int8."""
Judge: TypeAlias = Callable[[onnx.ModelProto], Quality]


def search(
    model: onnx.ModelProto,
    quantise: Quantise,
    judge: Judge,
    budget_db: float,
    given: tuple[str, ...] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[onnx.ModelProto, Int8Choice]:
    """Quantise as many layer groups as the budget allows, and leave out first the one that harms most.

    More groups are faster, so the first choice within the budget is taken. The first convolution is ranked, but never
    chosen: OpenVINO computes the quantised concatenation in front of it wrongly.

    Args:
        model: the float32 graph.
        quantise: makes a candidate.
        judge: compares a candidate with the float32 model.
        budget_db: PSNR in dB that the worst label must reach.
        given: groups to take instead of searching.
        progress: called with a phase, the steps of it that are done, and their number.

    Raises:
        BuildError: no choice reaches the budget; the message holds the figures.
    """
    if given is not None:
        return quantise(given), Int8Choice(given)
    present = [group for group in GROUPS if layer_groups(model)[group]]
    ranking = {}
    for number, group in enumerate(present):
        progress("ranking layer groups", number, len(present))
        ranking[group] = judge(quantise((group,))).worst_db
    left = sorted((group for group in present if group != "first"), key=ranking.__getitem__)
    tried: list[tuple[tuple[str, ...], float]] = []
    while left:
        progress("choosing layer groups", len(tried), len(present) - 1)
        groups = tuple(group for group in GROUPS if group in left)
        candidate = quantise(groups)
        quality = judge(candidate)
        tried.append((groups, quality.worst_db))
        if quality.worst_db >= budget_db:
            return candidate, Int8Choice(groups, ranking, tuple(tried))
        left.pop(0)
    figures = ", ".join(f"{'+'.join(groups)} {db:.1f} dB" for groups, db in tried)
    raise BuildError(
        f"no int8 recipe reaches {budget_db:g} dB to the float32 model ({figures}); nothing was written. "
        "Build with --bf16 or --fp16, calibrate with images more like the real ones, or lower --min-psnr"
    )
