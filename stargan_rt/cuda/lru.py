"""A bounded cache of values that must be closed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LRU(Generic[K, V]):
    """Keeps the values that were used last, and makes those it lacks. For one thread at a time."""

    def __init__(self, capacity: int, make: Callable[[K], V], drop: Callable[[V], None]) -> None:
        """Make an empty cache.

        Args:
            capacity: most values at a time, at least 1.
            make: key → value.
            drop: closes a value that has to go.
        """
        if capacity < 1:
            raise ValueError(f"the capacity must be at least 1; got {capacity}")
        self._capacity, self._make, self._drop = capacity, make, drop
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V:
        """Return the value of `key`, which is now the one used last."""
        try:
            self._values.move_to_end(key)
            return self._values[key]
        except KeyError:
            pass
        # Drop the oldest first, so that its memory is free for the new one.
        if len(self._values) == self._capacity:
            self._drop(self._values.popitem(last=False)[1])
        value = self._values[key] = self._make(key)
        return value

    def clear(self) -> None:
        """Drop everything, the oldest first."""
        while self._values:
            self._drop(self._values.popitem(last=False)[1])
