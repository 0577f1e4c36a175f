"""Settings as frozen dataclasses: each field carries its default, help text and range.

One declaration serves the API, the command line (`stargan_rt.cli.flags`) and configuration files:

    @dataclass(frozen=True)
    class Settings:
        batch_size: int = setting(16, "images per step", at_least=1)

        def __post_init__(self) -> None:
            check(self)
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stargan_rt.errors import InputError


@dataclass(frozen=True)
class Kind:
    """The type of a setting.

    Attributes:
        item: ``int``, ``float``, ``str`` or ``bool``; of a tuple, the type of its items.
        optional: None is allowed.
        several: the setting is a tuple of items.
    """

    item: type
    optional: bool
    several: bool


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def setting(
    default: Any,
    help: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: Sequence[str] | Mapping[str, str] | None = None,
    flag: str | None = None,
    repeat: bool = False,
    metavar: str | None = None,
    shown_default: str | None = None,
) -> Any:
    """Declare a field of a settings dataclass.

    Args:
        default: the value where none is given.
        help: one sentence for ``--help``; it is the documentation of the field.
        at_least, at_most, below: range of a number, or of every item of a tuple.
        choices: the allowed values. A mapping of value to help text makes one flag for each value, such as ``--fp16``.
        flag: name on the command line without the dashes; by default the field's name.
        repeat: of a tuple, the flag is repeated for each item; otherwise its items are separated by commas.
        metavar: placeholder for the value in ``--help``.
        shown_default: what ``--help`` prints for the default, where the value itself does not explain it.
    """
    ranges = {"at_least": at_least, "at_most": at_most, "below": below}
    shown = {"help": help, "flag": flag, "repeat": repeat, "metavar": metavar, "shown_default": shown_default}
    return dataclasses.field(default=default, metadata={**shown, **ranges, "choices": choices})


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Return the name of a setting on the command line, such as ``--batch-size``."""
    return "--" + (field.metadata["flag"] or field.name.replace("_", "-"))


def fields(settings: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a settings dataclass or of an instance that were declared with `setting`."""
    return tuple(field for field in dataclasses.fields(settings) if "help" in field.metadata)


def kinds(settings: Any) -> Mapping[str, Kind]:
    """Return the type of each setting of a dataclass or of an instance, by field name."""
    return _kinds(settings if isinstance(settings, type) else type(settings))


@functools.cache
def _kinds(cls: type) -> Mapping[str, Kind]:
    hints = typing.get_type_hints(cls)
    return types.MappingProxyType({field.name: _kind(hints[field.name]) for field in fields(cls)})


def _kind(hint: Any) -> Kind:
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    if optional:
        (hint,) = parts
    several = typing.get_origin(hint) is tuple
    return Kind(typing.get_args(hint)[0] if several else hint, optional, several)


def check(settings: Any) -> None:
    """Check the type and range of every setting; call it first in ``__post_init__``.

    Lists become tuples, and paths become text.

    Raises:
        InputError: naming the setting, what it accepts, its value and its flag.
    """
    for field in fields(settings):
        kind = kinds(settings)[field.name]
        value = _plain(getattr(settings, field.name), kind)
        object.__setattr__(settings, field.name, value)
        if wanted := _wanted(value, field, kind):
            raise InputError(f"{field.name} must {wanted}; got {value!r} (set it with {_flags(field)})")


def _plain(value: Any, kind: Kind) -> Any:
    if kind.several and isinstance(value, (list, tuple)):
        return tuple(os.fspath(item) if isinstance(item, os.PathLike) else item for item in value)
    return os.fspath(value) if kind.item is str and isinstance(value, os.PathLike) else value


def _wanted(value: Any, field: dataclasses.Field[Any], kind: Kind) -> str | None:
    """Say what the setting must be; None where the value is as it must be."""
    if value is None and kind.optional:
        return None
    if kind.several and not isinstance(value, tuple):
        return "be a list"
    items = value if kind.several else (value,)
    return next((words for item in items if (words := _item_wanted(item, field, kind))), None)


def _item_wanted(value: Any, field: dataclasses.Field[Any], kind: Kind) -> str | None:
    allowed = (int, float) if kind.item is float else (kind.item,)
    if type(value) not in allowed:
        return f"be {_WORDS[kind.item]}"
    about = field.metadata
    if about["choices"] is not None:
        return None if value in about["choices"] else f"be one of {', '.join(about['choices'])}"
    if kind.item not in (int, float):
        return None
    least, most, below = about["at_least"], about["at_most"], about["below"]
    fits = (
        math.isfinite(value)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    return None if fits else range_of(field, kind)


def range_of(field: dataclasses.Field[Any], kind: Kind) -> str:
    """Return the range of a number in words, such as ``be at least 1`` or ``lie in [0, 1)``."""
    least, most, below = (field.metadata[name] for name in ("at_least", "at_most", "below"))
    finite = " and finite" if kind.item is float else ""
    if least is not None and (most is not None or below is not None):
        return f"lie in [{least:g}, {most if below is None else below:g}{']' if below is None else ')'}"
    if least is not None:
        return f"be at least {least:g}{finite}"
    if most is not None:
        return f"be at most {most:g}{finite}"
    return f"be below {below:g}{finite}" if below is not None else "be finite"


def _flags(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata["choices"]
    return " or ".join(f"--{value}" for value in choices) if isinstance(choices, Mapping) else flag_of(field)
