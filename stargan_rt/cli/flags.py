"""Command line flags from a settings dataclass: one option for each field that `stargan_rt.settings.setting` declares.

    @click.command()
    @setting_flags(BuildConfig)
    def build(**flags):
        config = BuildConfig(**given(flags))

A flag that is not given is None, so that a preset, a file or a resumed run keeps its own value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from stargan_rt.settings import Kind, fields, flag_of, kinds

Command = TypeVar("Command", bound=Callable[..., Any])


class CommaSeparated(click.ParamType):  # type: ignore[type-arg]
    """Values separated by commas, as a tuple."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "a,b" if kind is str else "n,m"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        if not isinstance(value, str):
            return tuple(value)
        parts = [part.strip() for part in value.split(",")]
        if not all(parts):
            self.fail(f"{value!r} has an empty item", param, ctx)
        try:
            return tuple(self.kind(part) for part in parts)
        except ValueError:
            self.fail(f"{value!r} must be numbers separated by commas", param, ctx)


def setting_flags(settings: type) -> Callable[[Command], Command]:
    """Return a decorator that gives a click command one option for each setting of a dataclass.

    Booleans become ``--name/--no-name``, tuples are separated by commas or repeated, and a setting whose choices carry
    help texts becomes one flag for each choice. Ranges are left to the dataclass, which checks the API's values too.
    """

    def decorate(command: Command) -> Command:
        for field in reversed(fields(settings)):
            for option in reversed(_options(field, kinds(settings)[field.name])):
                command = option(command)
        return command

    return decorate


def given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given, as arguments for the dataclass."""
    return {name: value for name, value in flags.items() if value is not None}


def _options(field: dataclasses.Field[Any], kind: Kind) -> list[Callable[[Command], Command]]:
    about = field.metadata
    if isinstance(about["choices"], Mapping):
        return [
            click.option(f"--{value}", field.name, flag_value=value, default=None, show_default=False, help=help)
            for value, help in about["choices"].items()
        ]
    flag = flag_of(field)
    extra: dict[str, Any] = {}
    if kind.item is bool:
        flag = f"{flag}/--no-{flag[2:]}"
    elif about["choices"]:
        extra = {"type": click.Choice(about["choices"])}
    elif kind.several and not about["repeat"]:
        extra = {"type": CommaSeparated(kind.item)}
    else:
        extra = {"type": kind.item, "multiple": kind.several, "callback": _none_if_empty}
    if about["metavar"]:
        extra["metavar"] = about["metavar"]
    help = about["help"] + _default(field)
    return [click.option(flag, field.name, default=None, show_default=False, help=help, **extra)]


def _none_if_empty(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    return None if value == () else value


def _default(field: dataclasses.Field[Any]) -> str:
    shown = field.metadata["shown_default"]
    default: Any = field.default
    if shown is None and default not in (None, False, (), ""):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else "on" if default is True else str(default)
    return f"  [default: {shown}]" if shown else ""
