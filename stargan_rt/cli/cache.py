"""`stargan-rt cache`: the engines that are kept, so that an identical build takes no time."""

from __future__ import annotations

import json

import click

from stargan_rt.cli.options import json_option


@click.group()
def cache() -> None:
    """List or remove the engines that were built before."""


@cache.command("list")
@json_option
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
@json_option
def clear(as_json: bool) -> None:
    """Remove the kept engines."""
    from stargan_rt.builder.cache import clear as run

    freed = run()
    click.echo(json.dumps({"freed_bytes": freed}) if as_json else f"freed {freed / 1e6:.1f} MB")
