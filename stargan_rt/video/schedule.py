"""`Schedule`: which label holds when."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stargan_rt.errors import InputError

_ENTRY = re.compile(r"(?:^|\s)(\d+(?:\.\d+)?):")


@dataclass(frozen=True)
class Schedule:
    """Labels over time.

    Attributes:
        entries: start in seconds and label, in order. Before the first start, frames stay as they are.
    """

    entries: tuple[tuple[float, str], ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read ``"happy"``, one label for the whole clip, or ``"0:happy 3.5:Blond_Hair, sad"``.

        Raises:
            InputError: there is no label, or the times do not increase.
        """
        if not _ENTRY.match(text.strip()):
            entries: list[tuple[float, str]] = [(0.0, text.strip())]
        else:
            parts = _ENTRY.split(text.strip())[1:]
            entries = [(float(start), label.strip()) for start, label in zip(parts[::2], parts[1::2], strict=True)]
        if not all(label for _, label in entries):
            raise InputError(f"--label {text!r} has no label; expected a label or a schedule like '0:happy 3.5:sad'")
        times = [start for start, _ in entries]
        if sorted(set(times)) != times:
            raise InputError(f"the times of a schedule must increase; got {times}")
        return cls(tuple(entries))

    def at(self, seconds: float) -> str | None:
        """Return the label at a time, or None before the first one starts."""
        return next((label for start, label in reversed(self.entries) if start <= seconds), None)
