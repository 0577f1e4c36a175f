"""CelebA's hair attributes, which exclude each other."""

from __future__ import annotations

from collections.abc import Sequence

HAIR = ("Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
"""At most one is set in an image; avatars use the four colours."""


def hair_group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the exclusive group of the hair attributes among `names`; empty if there are fewer than two."""
    hair = tuple(name for name in names if name in HAIR)
    return {"hair": hair} if len(hair) > 1 else {}
