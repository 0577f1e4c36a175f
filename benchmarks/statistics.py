"""Medians with an interval that says how far they can be trusted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
LEVEL = 0.95


def estimate(values: npt.ArrayLike, digits: int, seed: int = 0) -> dict[str, float]:
    """Return the median of one value a round, and the ends of its 95 % percentile bootstrap interval.

    Rounds are drawn again with replacement, so the interval shows what another run of as many rounds on the same
    machine might have given. It says nothing about another day or another machine.

    Args:
        values: one a round, at least one.
        digits: number of decimals of the results.
        seed: seed of the resampling; the same values give the same interval.

    Returns:
        ``"median"``, ``"low"`` and ``"high"``, in the unit of the values.
    """
    rounds = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(rounds), (RESAMPLES, len(rounds)))
    low, high = np.quantile(np.median(rounds[drawn], axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {
        "median": round(float(np.median(rounds)), digits),
        "low": round(float(low), digits),
        "high": round(float(high), digits),
    }


def ratio(above: npt.ArrayLike, below: npt.ArrayLike, digits: int) -> dict[str, float]:
    """Return the median over the rounds of ``above / below``: both had their turn in each round, and slowed alike."""
    return estimate(np.divide(above, below), digits)
