"""`stargan-rt doctor`: what this machine has, whether an engine's labels have an effect, and how an image fits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from stargan_rt.cli.options import PATH, detector_options, json_option, load, load_detector


@click.command()
@click.option("--engine", metavar="FILE", help="Check how much the output of this engine depends on each label.")
@click.option("--image", type=PATH, help="Check how the faces in this image fit the engine's training set.")
@detector_options
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    engine: str | None,
    image: Path | None,
    detector: Path | None,
    min_score: float,
    as_json: bool,
) -> None:
    """Print what this machine has, or check the labels of an engine, or how an image fits it.

    With --engine, the exit code is 1 if a label has no effect; with --image, if the image has to be aligned first.
    """
    from stargan_rt import doctor as checks

    if image is not None:
        from stargan_rt.images import read_image

        with load(engine or "avatars") as loaded:
            found = checks.misalignments(loaded, read_image(image), load_detector(detector, min_score))
        fits = len(found) == 1 and found[0].fits
        if as_json:
            click.echo(json.dumps({"fits": fits, "faces": [dataclasses.asdict(face) for face in found]}, indent=2))
        for number, face in enumerate([] if as_json else found, 1):
            click.echo(
                f"face {number}: {face.size:.2f} times the size, turned by {face.angle:.0f} degrees, "
                f"{face.distance:.0%} of the image from its place"
            )
        if not fits:
            click.echo("the image does not fit the training set; use: stargan-rt translate IMAGE --faces all", err=True)
            ctx.exit(1)
        return
    if engine is None:
        facts = checks.environment()
        if as_json:
            click.echo(json.dumps(facts, indent=2))
        for key, value in {} if as_json else facts.items():
            click.echo(f"{key + ':':<22} {value}")
        return
    with load(engine) as loaded:
        effects = checks.label_effects(loaded)
    dead = [name for name, effect in effects.items() if effect < checks.MIN_EFFECT]
    if as_json:
        click.echo(json.dumps({"mean_levels": effects, "without_effect": dead}, indent=2))
    else:
        for name, effect in effects.items():
            verdict = "NO EFFECT" if name in dead else "ok"
            click.echo(f"{name + ':':<22} {effect:6.2f} levels of 255 on average  {verdict}")
    if dead:
        click.echo(f"{len(dead)} of {len(effects)} labels have no effect: train longer, or export again", err=True)
        ctx.exit(1)
