"""Which optimisation profile a batch takes."""

import pytest

from stargan_rt.backends.tensorrt_context import fitting, profiles

TWO = [(1, 1, 1), (1, 8, 8)]


class Plan:
    """What is asked of an engine: shapes and profiles."""

    def __init__(self, batch, ranges=()):
        self.batch, self.ranges, self.num_optimization_profiles = batch, ranges, len(ranges)

    def get_tensor_shape(self, name):
        return (self.batch, 32, 32, 3)

    def get_tensor_profile_shape(self, name, profile):
        return [(batch, 32, 32, 3) for batch in self.ranges[profile]]


def test_profiles_are_read_from_the_plan():
    assert profiles(Plan(-1, TWO)) == TWO
    assert profiles(Plan(4)) == [(4, 4, 4)]


@pytest.mark.parametrize(("batch", "profile"), [(1, 0), (2, 1), (5, 1), (8, 1)])
def test_batch_1_has_a_profile_of_its_own(batch, profile):
    assert fitting(TWO, batch) == profile


def test_of_several_that_take_a_batch_the_one_tuned_nearest_is_taken():
    assert fitting([(1, 32, 32), (1, 4, 32), (8, 8, 16)], 8) == 2
    assert fitting([(1, 32, 32), (1, 4, 32)], 6) == 1


def test_a_batch_without_a_profile_is_refused():
    with pytest.raises(RuntimeError, match="a batch of 9, for which the plan has no profile"):
        fitting(TWO, 9)
