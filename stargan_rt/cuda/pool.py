"""Which thread uses which lane."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from stargan_rt.errors import InputError, StarGANError

REMEMBERED = 64
"""Callers whose member is remembered, so that each meets the same one again."""


class Closable(Protocol):
    """What a pool lends."""

    def sync(self) -> None:
        """Wait until no work is in progress."""

    def close(self) -> None:
        """Free it."""


T = TypeVar("T", bound=Closable)


class Pool(Generic[T]):
    """Lends each of its members to one thread at a time.

    A member whose use fails is given up, since the state that CUDA left it in can't be trusted. The others go on.
    """

    def __init__(self, members: Sequence[T]) -> None:
        """Take the members over; `close` closes them."""
        self._members = list(members)
        self._free = set(range(len(members)))
        self._lost: dict[int, Exception] = {}
        self._of_caller: OrderedDict[Hashable, int] = OrderedDict()
        self._next = 0
        self._changed = threading.Condition()

    @property
    def left(self) -> int:
        """Number of members that have not been given up."""
        return len(self._members) - len(self._lost)

    def __len__(self) -> int:
        return len(self._members)

    def taken(self, caller: Hashable | None = None) -> Lease[T]:
        """Lend a free member to the calling thread, in a ``with`` statement; wait for one if needed.

        Args:
            caller: whoever else's work the member waits for, such as a stream. It gets the member that it had before,
                and a new one the next in turn, so that callers share out the members. Without one, the first free
                member is lent.

        Raises:
            StarGANError: all have been given up.
            InputError: the pool is closed.
        """
        return Lease(self, caller)

    def _take(self, caller: Hashable | None) -> int:
        with self._changed:
            while not self._free:
                if not self._members:
                    raise InputError("this engine is closed; load it again with Engine.load")
                if not self.left:
                    raise StarGANError(
                        "no lane is left after errors of the GPU; load the engine again, and if that fails too, start "
                        f"the program again (the last error was: {list(self._lost.values())[-1]})"
                    )
                self._changed.wait()
            number = min(self._free) if caller is None else self._for(caller)
            self._free.remove(number)
            return number

    def _for(self, caller: Hashable) -> int:
        number = self._of_caller.get(caller)
        if number is None or number in self._lost:
            number = self._next % len(self._members)
            self._next += 1
            self._of_caller[caller] = number
            if len(self._of_caller) > REMEMBERED:
                self._of_caller.popitem(last=False)
        # Another thread may have it for the moment, or it is lost.
        return number if number in self._free else min(self._free)

    def _give_back(self, number: int, lost: Exception | None) -> None:
        with self._changed:
            if lost is None:
                self._free.add(number)
                self._changed.notify()
            else:
                self._lost[number] = lost
                self._changed.notify_all()  # there may be none left to wait for

    def close(self) -> None:
        """Close all members, of which none may be in use; calling it again does nothing."""
        members, self._members, self._free = self._members, [], set()
        for number, member in enumerate(members):
            # One that was given up may refuse everything, and its error has been reported.
            with contextlib.suppress(Exception) if number in self._lost else contextlib.nullcontext():
                member.close()


class Lease(Generic[T]):
    """One use of a pool's member; a class, since every call passes through one."""

    __slots__ = ("_caller", "_number", "_pool")

    def __init__(self, pool: Pool[T], caller: Hashable | None) -> None:
        self._pool, self._caller = pool, caller

    def __enter__(self) -> T:
        self._number = self._pool._take(self._caller)
        return self._pool._members[self._number]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = error if isinstance(error, Exception) else None
        if error is not None and lost is None:  # Ctrl-C: the work in progress must not meet the next call
            try:
                self._pool._members[self._number].sync()
            except Exception as failure:
                lost = failure
        self._pool._give_back(self._number, lost)
