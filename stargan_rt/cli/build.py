"""`stargan-rt build`: from an ONNX file to an engine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stargan_rt.builder.config import BuildConfig
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.cli.info import built
from stargan_rt.cli.options import PATH, json_option

if TYPE_CHECKING:
    pass


@click.command()
@click.option("--onnx", type=PATH, required=True, help="The file of python -m export, or 'avatars'.")
@click.option(
    "--output", type=PATH, help="The engine  [default: next to the ONNX file, as g.fp16.engine or g.int8.onnx]"
)
@setting_flags(BuildConfig)
@click.option("--force", is_flag=True, help="Build again, and keep an int8 engine that is not faster.")
@json_option
@click.option("--verbose", is_flag=True, help="Show the log of the backend.")
def build(onnx: Path, output: Path | None, force: bool, as_json: bool, verbose: bool, **flags: Any) -> None:
    """Build an engine for this machine, or for named GPUs, and compare its output with the float32 model."""
    from stargan_rt.builder import build as run
    from stargan_rt.models import is_bundled, model_path

    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    if is_bundled(onnx) and output is None:
        # Next to it is the installed package, which is no place for a user's files.
        raise click.UsageError("the bundled model needs --output")
    config = BuildConfig(**given(flags))
    with Phases() as progress:
        artifact = run(model_path(onnx), config, output=output, force=force, progress=progress)
    if as_json:
        facts = {"path": str(artifact.path), "cached": artifact.cached, "seconds": round(artifact.seconds, 3)}
        click.echo(json.dumps(facts | artifact.manifest.to_dict(), indent=2))
        return
    manifest = artifact.manifest
    click.echo(f"{artifact.path} ({artifact.path.stat().st_size / 1e6:.1f} MB)")
    click.echo(built(manifest))
    if manifest.build and manifest.precision != config.precision:
        click.echo(
            f"asked for {config.precision}; {manifest.build.backend} on this machine computes {manifest.precision}"
        )
    click.echo("cached: built before with the same settings" if artifact.cached else f"took {artifact.seconds:.1f} s")


class Phases:
    """A progress bar for each phase of a build; the function that it gives is called with phase, done and total."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._bar.start()
        return self._update

    def _update(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bar.add_task(phase, total=total)
        self._bar.update(self._tasks[phase], completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
