"""Medians with an interval that says how far they can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A median, and the ends of its 95 % bootstrap interval, in the unit of the values."""

    median: float
    low: float
    high: float

    def to_dict(self, digits: int) -> dict[str, float]:
        """JSON-ready, rounded."""
        return {name: round(value, digits) for name, value in asdict(self).items()}


def estimate(values: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Return the median of one value a round, with its percentile bootstrap interval.

    Rounds are drawn again with replacement, so the interval shows what another run of as many rounds on the same
    machine might have given. It says nothing about another day or another machine.

    Args:
        values: one a round, at least one.
        seed: seed of the resampling; the same values give the same interval.
    """
    rounds = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(rounds), (RESAMPLES, len(rounds)))
    medians = np.median(rounds[drawn], axis=1)
    low, high = np.quantile(medians, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(np.median(rounds)), float(low), float(high))


def ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> Estimate:
    """Return the median over the rounds of ``above / below``: both had their turn in each round, and slowed alike."""
    return estimate(np.divide(above, below))
