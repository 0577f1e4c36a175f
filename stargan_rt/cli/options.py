"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from stargan_rt.engine import Engine

Command = TypeVar("Command", bound=Callable[..., Any])


class NonEmptyPath(click.Path):
    """A path; an empty one, as from an unset variable in a script, would mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = NonEmptyPath(path_type=Path)

engine_option = click.option(
    "--engine",
    default="avatars",
    show_default=True,
    metavar="FILE",
    help="Engine or ONNX file; 'avatars' is the bundled model.",
)
backend_option = click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, tensorrt, tensorrt-rtx, openvino or onnxruntime.",
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
lanes_option = click.option(
    "--lanes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of calls that may run concurrently; for many images use as many as CPU cores, or 2 on a GPU.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def engine_options(command: Command) -> Command:
    """Add the options that choose an engine, the same for every command that runs one."""
    return engine_option(backend_option(threads_option(lanes_option(command))))


def load(engine: str, backend: str = "auto", threads: int | None = None, lanes: int = 1) -> Engine:
    """Load the engine that `engine_options` chose."""
    from stargan_rt.engine import Engine

    return Engine.load(engine, backend=backend, threads=threads, lanes=lanes)
