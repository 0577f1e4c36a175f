"""`stargan-rt info`: what a model or an engine is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from stargan_rt.cli.options import json_option

if TYPE_CHECKING:
    from stargan_rt.manifest import Manifest


@click.command()
@click.argument("engine", default="avatars", metavar="[ENGINE]")
@json_option
def info(engine: str, as_json: bool) -> None:
    """Print what an engine or ONNX file is: labels, size, precision, how it was built, hashes.

    Without ENGINE, the bundled model.
    """
    from stargan_rt.files import sha256
    from stargan_rt.manifest import read_manifest
    from stargan_rt.models import model_path

    path = model_path(engine)
    manifest = read_manifest(path)
    facts = {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256(path), **manifest.to_dict()}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    space = manifest.labels
    height, width = manifest.size
    rows = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "sha256": str(facts["sha256"]),
        "size": f"{width}x{height} pixels, uint8 RGB in and out",
        "alignment": manifest.alignment,
        "precision": manifest.precision,
        "network": f"{manifest.arch}, conv {manifest.conv_dim}, {manifest.blocks} residual blocks",
        **{f"labels of {name}": ", ".join(labels) for name, labels in space.datasets.items()},
        **{f"group {name}": "one of " + ", ".join(members) for name, members in space.groups.items()},
        "unmentioned labels": "kept as in the image" if space.unspecified else "set to absent (0)",
        "source": ", ".join(f"{key} {value}" for key, value in manifest.source.items()),
        "parity": ", ".join(f"{key} {value}" for key, value in manifest.parity.items()),
        **({"built": built(manifest)} if manifest.build else {}),
    }
    for key, value in rows.items():
        click.echo(f"{key + ':':<20} {value}")


def built(manifest: Manifest) -> str:
    """Describe in one line how an engine was built."""
    build = manifest.build
    if build is None:
        return "exported, not built"
    parts = [
        f"{manifest.precision} for {build.backend} {build.backend_version}",
        f"on {', '.join(build.targets)}",
        "convolutions " + ", ".join(f"{count} {name}" for name, count in build.layers.items()),
    ]
    if build.quality:
        parts.append(f"worst label {build.quality.worst_db} dB from float32, mean {build.quality.mean_db:.2f} dB")
    if build.speed:
        speed = build.speed
        parts.append(f"{speed.ratio:.2f} times as fast as {speed.against} ({speed.ms:.1f} ms)")
    if build.int8:
        parts.append(f"int8 in {'+'.join(build.int8.groups)}")
    return "; ".join(parts)
