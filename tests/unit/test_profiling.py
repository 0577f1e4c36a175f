"""Where the time of a call goes."""

import pytest

from stargan_rt.profiling import Profile


def test_a_call_that_fails_is_not_counted():
    profile = Profile()
    with pytest.raises(RuntimeError), profile.call():
        raise RuntimeError
    assert profile.calls == []


def test_a_profile_without_calls_has_no_median():
    with pytest.raises(ValueError, match="no call"):
        Profile().median()
