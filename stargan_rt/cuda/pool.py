"""Who uses which lane."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from stargan_rt.errors import InputError, StarGANError


class Closable(Protocol):
    """What a pool lends."""

    def sync(self) -> None:
        """Waits until nothing is under way."""

    def close(self) -> None:
        """Frees it."""


T = TypeVar("T", bound=Closable)


class Pool(Generic[T]):
    """Lends each of its members to one thread at a time, the first free one first.

    A member whose use fails is given up: what CUDA left in it can't be trusted. The others go on.
    """

    def __init__(self, members: Sequence[T]) -> None:
        """Takes the members over, and closes them in the end."""
        self._members = list(members)
        self._free = set(range(len(members)))
        self._lost: dict[int, Exception] = {}
        self._closing = False
        self._changed = threading.Condition()

    @property
    def left(self) -> int:
        """How many have not been given up."""
        return len(self._members) - len(self._lost)

    def __len__(self) -> int:
        return len(self._members)

    @contextlib.contextmanager
    def taken(self) -> Iterator[T]:
        """The first free member, for the calling thread alone; waits for one.

        Raises:
            StarGANError: all have been given up.
            InputError: the pool is closed.
        """
        number = self._take()
        lost: Exception | None = None
        try:
            yield self._members[number]
        except Exception as error:
            lost = error
            raise
        except BaseException:  # Ctrl-C: what is under way must not meet the next call
            try:
                self._members[number].sync()
            except Exception as error:
                lost = error
            raise
        finally:
            with self._changed:
                if lost is None:
                    self._free.add(number)
                    self._changed.notify()
                else:
                    self._lost[number] = lost
                    self._changed.notify_all()  # none may be left to wait for

    def _take(self) -> int:
        with self._changed:
            while not self._free or self._closing:
                if self._closing:
                    raise InputError("this engine is closed; load it again with Engine.load")
                if not self.left:
                    raise StarGANError(
                        "no lane is left after errors of the GPU; load the engine again, and if that fails too, start "
                        f"the program again (the last error was: {list(self._lost.values())[-1]})"
                    )
                self._changed.wait()
            number = min(self._free)
            self._free.remove(number)
            return number

    def close(self) -> None:
        """Waits for those in use, then closes all; again does nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._free) + len(self._lost) == len(self._members))
        for number, member in enumerate(self._members):
            # One that was given up may refuse everything, and its error has been told.
            with contextlib.suppress(Exception) if number in self._lost else contextlib.nullcontext():
                member.close()
