"""`stargan-rt translate`: image files and folders of images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click

from stargan_rt.cli.options import (
    PATH,
    detector_options,
    engine_options,
    load,
    load_detector,
    mark_options,
    note_about_drawings,
    signer_of,
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=PATH, metavar="FILE_OR_FOLDER...")
@click.option("--label", help="What to change: 'Blond_Hair', 'Blond_Hair, happy' or 'happy=0.7'.")
@click.option("--all", "every", is_flag=True, help="Translate into every domain.")
@click.option("--output", type=PATH, required=True, help="File, or folder for several results.")
@click.option("--keep-size", is_flag=True, help="Resize results back to the size of their image.")
@click.option("--faces", type=click.Choice(["all", "largest"]), help="Translate the faces in photos of any size.")
@detector_options
@mark_options
@engine_options
def translate(
    inputs: tuple[Path, ...],
    label: str | None,
    every: bool,
    output: Path,
    keep_size: bool,
    faces: Literal["all", "largest"] | None,
    detector: Path | None,
    min_score: float,
    mark: bool,
    sign_cert: Path | None,
    sign_key: Path | None,
    engine: str,
    backend: str,
    threads: int | None,
    lanes: int,
    device: str | None,
) -> None:
    """Translate image files, and the images in folders.

    Without --faces an image is taken to show one face, cropped as in the training set, and is resized to the size of
    the model. With --faces the faces in it are found, translated and blended back.
    """
    from stargan_rt.engine.folder import list_jobs, translate_files
    from stargan_rt.errors import InputError
    from stargan_rt.mark import Mark

    if (label is None) == (not every):
        raise click.UsageError("give either --label LABEL or --all")
    if faces is None and detector is not None:
        raise click.UsageError("--detector goes with --faces")
    signer = signer_of(sign_cert, sign_key)
    with load(engine, backend, threads, lanes, device) as loaded:
        labels = loaded.labels.names if label is None else (label,)
        for each in labels:  # report a wrong label before any image is read
            loaded.labels.passes(each)
        jobs = list_jobs(inputs, labels, output)
        note_about_drawings(loaded, jobs[0].source)
        run = partial(
            translate_files,
            loaded,
            jobs,
            keep_size,
            faces=faces,
            detector=load_detector(detector, min_score) if faces else None,
            mark=Mark.of(loaded.manifest) if mark else None,
            signer=signer,
        )
        failed = 0
        if len(jobs) == 1:
            for _, error in run():
                if error:
                    raise error
            return
        from rich.console import Console
        from rich.progress import track

        done = 0
        console = Console(stderr=True)
        try:
            for job, error in track(run(), "Translating", len(jobs), console=console):
                done += 1
                if error:
                    failed += 1
                    console.print(f"skipped {job.source}: {error}", markup=False, highlight=False)
        except KeyboardInterrupt:
            click.echo(f"stopped after {done} of {len(jobs)} images; every file in {output} is complete", err=True)
            raise SystemExit(1) from None
        click.echo(f"translated {len(jobs) - failed} of {len(jobs)} images into {output}", err=True)
    if failed:
        raise InputError(f"{failed} of {len(jobs)} images could not be translated, see above")
