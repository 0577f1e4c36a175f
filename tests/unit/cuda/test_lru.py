"""A bounded cache of values that must be closed."""

import pytest

from stargan_rt.cuda.lru import LRU


def test_lru_keeps_what_was_used_last():
    dropped = []
    cache = LRU(2, lambda key: key * 10, dropped.append)
    assert [cache.get(key) for key in (1, 2, 1, 3)] == [10, 20, 10, 30]
    assert dropped == [20]
    assert len(cache) == 2
    cache.clear()
    assert dropped == [20, 10, 30]


def test_lru_drops_before_it_makes_and_keeps_nothing_that_failed():
    order = []

    def make(key):
        order.append(("make", key))
        if key == 2:
            raise MemoryError
        return key

    cache = LRU(1, make, lambda value: order.append(("drop", value)))
    cache.get(1)
    with pytest.raises(MemoryError):
        cache.get(2)
    assert order == [("make", 1), ("drop", 1), ("make", 2)]
    assert len(cache) == 0
    with pytest.raises(ValueError, match="at least 1"):
        LRU(0, make, order.append)
