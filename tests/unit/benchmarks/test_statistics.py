"""Medians and their intervals."""

import numpy as np
import pytest

from benchmarks.statistics import estimate, ratio


def test_an_interval_holds_the_median_and_narrows_with_the_rounds(random):
    few, many = (estimate(random.normal(10, 1, rounds), 6) for rounds in (10, 1000))
    for found in (few, many):
        assert found["low"] < found["median"] < found["high"]
    assert many["high"] - many["low"] < 0.3 * (few["high"] - few["low"])


def test_it_covers_the_truth_about_as_often_as_it_says(random):
    found = [estimate(random.normal(size=25), 9) for _ in range(200)]
    assert np.mean([one["low"] <= 0 <= one["high"] for one in found]) > 0.88


def test_the_same_values_give_the_same_interval():
    assert estimate([3.0, 1.0, 2.0], 3) == estimate([3.0, 1.0, 2.0], 3)
    assert estimate([2.0], 3) == {"median": 2.0, "low": 2.0, "high": 2.0}


def test_a_ratio_is_taken_within_each_round():
    assert ratio([10.0, 20.0, 40.0], [5.0, 10.0, 20.0], 3) == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert ratio([4.0], [3.0], 1) == {"median": 1.3, "low": 1.3, "high": 1.3}
    with pytest.raises(ValueError, match="shape"):
        ratio([1.0, 2.0], [1.0, 2.0, 3.0], 1)
