"""What the commands share: parameter types, and the options that choose an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from stargan_rt.engine import Engine


class NamedPath(click.Path):
    """A path; an empty one, as of an unset variable in a script, would mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = NamedPath(path_type=Path)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose an engine, the same for every command."""
    for option in (
        click.option(
            "--lanes",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Calls under way at a time: as many as CPU cores, or 2 on a GPU, is best for many images.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads  [default: all cores]"),
        click.option(
            "--backend", default="auto", metavar="NAME", help="auto, tensorrt, tensorrt-rtx, openvino or onnxruntime."
        ),
        click.option(
            "--engine", default="avatars", metavar="FILE", help="Engine or ONNX file, or 'avatars', the bundled model."
        ),
    ):
        command = option(command)
    return command


def load(engine: str, backend: str, threads: int | None, lanes: int = 1) -> Engine:
    """Loads what `engine_options` chose."""
    from stargan_rt.engine import Engine

    return Engine.load(engine, backend=backend, threads=threads, lanes=lanes)
