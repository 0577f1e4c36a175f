"""`stargan-rt build` and `stargan-rt cache`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stargan_rt.builder.config import BuildConfig
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.cli.options import PATH

if TYPE_CHECKING:
    from stargan_rt.manifest import Manifest


@click.command()
@click.option("--onnx", "model", type=PATH, required=True, help="The file of python -m export, or 'avatars'.")
@click.option(
    "--output", type=PATH, help="The engine  [default: next to the ONNX file, as g.fp16.engine or g.int8.onnx]"
)
@setting_flags(BuildConfig)
@click.option("--force", is_flag=True, help="Build anew, and keep int8 that is not faster.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--verbose", is_flag=True, help="Show the log of the backend.")
def build(model: Path, output: Path | None, force: bool, as_json: bool, verbose: bool, **flags: Any) -> None:
    """Build the best engine for this machine, or a named GPU, and prove its pictures."""
    from stargan_rt.builder import build as run
    from stargan_rt.models import BUNDLED, bundled_model

    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    source = model
    if str(model) in BUNDLED:  # beside it is the installed package, no place for a user's files
        source = bundled_model(str(model))
        if output is None:
            raise click.UsageError("the bundled model needs --output")
    config = BuildConfig(**given(flags))
    with Phases() as progress:
        artifact = run(source, config, output=output, force=force, progress=progress)
    if as_json:
        facts = {"path": str(artifact.path), "cached": artifact.cached, "seconds": round(artifact.seconds, 3)}
        click.echo(json.dumps(facts | artifact.manifest.to_dict(), indent=2))
        return
    manifest = artifact.manifest
    click.echo(f"{artifact.path} ({artifact.path.stat().st_size / 1e6:.1f} MB)")
    click.echo(built(manifest))
    if manifest.precision != config.precision:
        click.echo(
            f"asked for {config.precision}; {manifest.build['backend']} on this machine computes {manifest.precision}"
        )
    click.echo("cached: built before with the same settings" if artifact.cached else f"took {artifact.seconds:.1f} s")


def built(manifest: Manifest) -> str:
    """How an engine was made, in a few words."""
    facts = manifest.build
    quality = facts.get("quality", {})
    parts = [
        f"{manifest.precision} for {facts.get('backend')} {facts.get('backend_version')}",
        f"on {', '.join(facts.get('targets', []))}",
        "convolutions " + ", ".join(f"{count} {name}" for name, count in facts.get("layers", {}).items()),
        f"worst label {quality.get('worst_psnr_db')} dB from float32, mean {quality.get('mean_psnr_db')} dB",
    ]
    if speed := facts.get("speed"):
        parts.append(f"{speed['ratio']:.2f} times as fast as {speed['against']} ({speed['ms']:.1f} ms)")
    if recipe := facts.get("int8"):
        parts.append(f"int8 in {'+'.join(recipe['groups'])}")
    return "; ".join(parts)


class Phases:
    """A progress bar that appears with the first phase; what it gives is called with phase, done and total."""

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


@click.group()
def cache() -> None:
    """What was built before and is kept."""


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_entries(as_json: bool) -> None:
    """List the kept engines, the newest first."""
    from stargan_rt.builder.cache import entries

    found = [
        {
            "key": entry.folder.name,
            "bytes": entry.bytes,
            "precision": entry.manifest["precision"],
            **{name: entry.manifest["build"][name] for name in ("backend", "targets", "source")},
        }
        for entry in entries()
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for entry in found:
        click.echo(
            f"{entry['key']}  {entry['bytes'] / 1e6:6.1f} MB  {entry['precision']:<5} {entry['backend']:<13} "
            f"{entry['source']['file']}  {', '.join(entry['targets'])}"
        )
    click.echo(f"{len(found)} engines, {sum(e['bytes'] for e in found) / 1e6:.1f} MB", err=True)


@cache.command()
def clear() -> None:
    """Remove the kept engines."""
    from stargan_rt.builder.cache import clear as run

    click.echo(f"freed {run() / 1e6:.1f} MB")
