"""`python -m training`: train a StarGAN."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stargan_rt import terminal
from stargan_rt.errors import InputError
from training.config import TrainConfig


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train a StarGAN generator."""


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    kinds = {"int": int, "float": float, "str": str}
    for field in reversed(dataclasses.fields(TrainConfig)):
        flag = field.name.replace("_", "-")
        declaration = f"--{flag}/--no-{flag}" if field.type == "bool" else f"--{flag}"
        kind = {} if field.type == "bool" else {"type": kinds[str(field.type)]}
        help = f"{field.metadata['help']}  [default: {field.default}]"
        # None means "not given", so that a resumed run keeps its own value.
        command = click.option(declaration, field.name, default=None, show_default=False, help=help, **kind)(command)
    return command


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from OUT/latest.pt with its own settings.")
@click.option("--init", type=click.Path(path_type=Path), help="Start from the generator of this checkpoint.")
@_config_options
def train(out: Path, resume: bool, init: Path | None, **flags: Any) -> None:
    """Train a generator; checkpoints, sample grids and losses go to the folder OUT."""
    from training import trainer
    from training.checkpoint import TrainState
    from training.data.avatars import STYLES, avatars
    from training.data.dataset import Dataset
    from training.targets import UNSPECIFIED

    given = {name: value for name, value in flags.items() if value is not None}
    latest = out / "latest.pt"
    if resume and init:
        raise InputError("--resume goes on with a run, --init starts a new one; give one of them")
    if latest.exists() and not resume:
        raise InputError(f"{latest} exists already; go on with it by --resume, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        state = TrainState.resume(latest, given)
    else:
        config = TrainConfig(**given)
        if config.style not in STYLES:
            raise InputError(f"unknown avatar style {config.style!r}; known: {', '.join(STYLES)}")
        space = STYLES[config.style].label_space
        if config.partial_targets:
            space = dataclasses.replace(space, unspecified=UNSPECIFIED)
        state = TrainState.fresh(config, space)
        if init:
            state.start_from(init)
    config = state.config
    images, labels = avatars(config.count, config.image_size, config.seed, config.style)
    trainer.train(state, Dataset(images, labels, state.space), out)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the PNG files.")
@click.option("--people", default="0,1,2,3", help="Numbers of the people, separated by commas.")
@click.option("--seed", default=1, help="The population; the trainer's own is 0.")
@click.option("--style", default="avataaars", help="'avataaars' or 'toon-head'.")
@click.option("--image-size", default=128, help="Side in pixels.")
def draw(out: Path, people: str, seed: int, style: str, image_size: int) -> None:
    """Draw avatars as PNG files."""
    from stargan_rt.images import write_image
    from training.data import avatars

    try:
        numbers = [int(number) for number in people.split(",")]
    except ValueError:
        raise InputError(f"--people takes numbers separated by commas, such as 0,1,2; got {people!r}") from None
    for number in numbers:
        write_image(out / f"{number:05d}.png", avatars.draw(avatars.person(number, seed, style), size=image_size))
    click.echo(f"drew {len(numbers)} avatars into {out}")


if __name__ == "__main__":
    terminal.run(main)
