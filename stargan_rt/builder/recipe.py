"""Which layer groups become int8: the search for the fastest choice within the quality budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.gate import Quality
from stargan_rt.builder.quantize import Grid, layer_groups, quantize
from stargan_rt.errors import BuildError

Judge = Callable[[onnx.ModelProto], Quality]


@dataclass(frozen=True)
class Recipe:
    """What was chosen, and why.

    Attributes:
        groups: in int8; the rest stays in higher precision.
        ranking_db: group → PSNR to the master where it alone is in int8; the lowest harms most. Empty
            where the groups were given.
        tried: groups and the PSNR they gave together, in the order tried.
    """

    groups: tuple[str, ...]
    ranking_db: Mapping[str, float]
    tried: tuple[tuple[tuple[str, ...], float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "groups": list(self.groups),
            "ranking_db": dict(self.ranking_db),
            "tried": [{"groups": list(groups), "worst_psnr_db": db} for groups, db in self.tried],
        }


def search(
    model: onnx.ModelProto,
    grids: Mapping[str, Grid],
    judge: Judge,
    budget_db: float,
    given: tuple[str, ...] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[onnx.ModelProto, Recipe]:
    """Quantises as many layer groups as the budget allows, leaving out first what harms most.

    More groups are faster, so the first choice within the budget is taken. The first convolution is
    ranked, but never chosen: OpenVINO computes the quantised concatenation before it wrongly.

    Args:
        model: the float32 master.
        grids: of `quantize.activation_grids`.
        judge: quality of a candidate.
        budget_db: PSNR that the worst label must reach.
        given: groups to take instead of searching.

    Raises:
        BuildError: no choice reaches the budget; the message has the figures.
    """
    if given is not None:
        return quantize(model, grids, given), Recipe(given, {}, ())
    present = [group for group in GROUPS if layer_groups(model)[group]]
    ranking = {}
    for number, group in enumerate(present):
        progress("ranking layer groups", number, len(present))
        ranking[group] = judge(quantize(model, grids, [group])).worst_db
    left = sorted((group for group in present if group != "first"), key=ranking.__getitem__)
    tried: list[tuple[tuple[str, ...], float]] = []
    while left:
        progress("choosing layer groups", len(tried), len(present) - 1)
        groups = tuple(group for group in GROUPS if group in left)
        candidate = quantize(model, grids, groups)
        quality = judge(candidate)
        tried.append((groups, quality.worst_db))
        if quality.worst_db >= budget_db:
            return candidate, Recipe(groups, ranking, tuple(tried))
        left.pop(0)
    figures = ", ".join(f"{'+'.join(groups)} {db:.1f} dB" for groups, db in tried)
    raise BuildError(
        f"no int8 recipe reaches {budget_db:g} dB to the float32 master ({figures}); nothing was written. "
        "Build with --bf16 or --fp16, calibrate with images more like the real ones, or lower --min-psnr"
    )
