"""`stargan-rt doctor`: what this machine has, and whether every label of an engine has an effect."""

from __future__ import annotations

import json

import click

from stargan_rt.cli.options import json_option, load


@click.command()
@click.option("--engine", metavar="FILE", help="Check how much the output of this engine depends on each label.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, engine: str | None, as_json: bool) -> None:
    """Print what this machine has, or check the labels of an engine.

    With --engine, the exit code is 1 if a label has no effect.
    """
    from stargan_rt import doctor as checks

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
