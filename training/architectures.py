"""The generators that a run can train, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from training.lite import LiteGenerator
from training.model import Generator

AnyGenerator: TypeAlias = Generator | LiteGenerator


def new_generator(arguments: Mapping[str, Any]) -> AnyGenerator:
    """Make a generator with random weights.

    Args:
        arguments: ``label_dim``, ``conv_dim`` and ``blocks``; ``arch`` if it is not the paper's; for a lite generator
            ``stem`` and ``bottleneck`` as well. This is what a checkpoint stores under ``"model"``.

    Raises:
        ValueError: arguments out of range.
    """
    sizes = {name: value for name, value in arguments.items() if name != "arch"}
    return LiteGenerator(**sizes) if arguments.get("arch", "paper") == "lite" else Generator(**sizes)
