"""`python -m training`: train and evaluate StarGAN generators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stargan_rt.cli import terminal
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.cli.options import PATH
from stargan_rt.errors import InputError
from training.config import PRESETS, TrainConfig


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train and evaluate StarGAN generators."""


@main.command()
@click.option("--out", type=PATH, required=True, help="Folder of the run.")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Start from these settings.")
@click.option("--config", "file", type=PATH, help="TOML file with settings; they override the preset's.")
@click.option("--resume", is_flag=True, help="Continue from OUT/latest.pt with its own settings.")
@click.option("--init", type=PATH, help="Start from the networks of this checkpoint.")
@setting_flags(TrainConfig)
def train(out: Path, preset: str | None, file: Path | None, resume: bool, init: Path | None, **flags: Any) -> None:
    """Train a generator; checkpoints, sample pictures and losses are written to the folder OUT.

    Flags override the settings of --config, and those override the preset's. A run that they shorten has its
    learning-rate decay shortened in proportion. To use several GPUs: torchrun --nproc-per-node 4 -m training train …
    """
    from training.checkpoint import TrainState
    from training.run import LATEST, run

    layers = [TrainConfig.read(PRESETS[preset])] if preset else []
    layers += [TrainConfig.read(file)] if file else []
    changes = TrainConfig.merge(*layers, given(flags))
    config = TrainState.stored_config(out / LATEST, changes) if resume else TrainConfig(**changes)
    run(config, out, resume=resume, init=init, report=click.echo)


@main.command()
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Of `train`.")
@click.option("--engine", help="An engine or ONNX file instead, or 'avatars'; needs --seen.")
@click.option("--seen", multiple=True, help="What it was trained on, as for `train`  [default: the checkpoint knows]")
@click.option("--data", multiple=True, help="Unseen images, as for `train`, one a data set of the model, in its order.")
@click.option("--on", default=0, help="Number of the data set whose images are translated.")
@click.option("--weights", type=click.Choice(["best", "averaged", "last"]), default="best", help="Of the checkpoint.")
@click.option("--classifier-steps", default=1500, help="Steps of the classifier's training, of 32 images.")
@click.option("--device", default="cpu", help="'cpu' or 'cuda'.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for report.json and grid.png.")
def evaluate(
    checkpoint: Path | None,
    engine: str | None,
    seen: tuple[str, ...],
    data: tuple[str, ...],
    on: int,
    weights: str,
    classifier_steps: int,
    device: str,
    out: Path,
) -> None:
    """Say how good a generator is on images that it never saw.

    The classifiers that judge it are trained on the data the generator was trained on.
    """
    import json

    from rich.console import Console

    from stargan_rt import Engine
    from stargan_rt.files import written_whole
    from stargan_rt.images import write_image
    from training import evaluate as evaluation
    from training.checkpoint import trained_generator
    from training.classifier import trained_classifier
    from training.data.open import held_out, open_dataset, truth_of

    judged: Any
    if (checkpoint is None) == (engine is None) or (engine is not None and not seen):
        raise InputError("give --checkpoint, or --engine with --seen for each data set that it was trained on")
    if checkpoint is not None:
        judged, space, config, iteration = trained_generator(checkpoint, weights, device)
        seen, size = seen or config.data, config.image_size
        settings = {"checkpoint": checkpoint.name, "iteration": iteration, "weights": weights}
    else:
        loaded = Engine.load(str(engine))
        if loaded.size[0] != loaded.size[1]:
            raise InputError(f"data sets are square; {engine} takes {loaded.size[1]}x{loaded.size[0]}")
        judged, space, size, device = evaluation.of_engine(loaded), loaded.labels, loaded.size[0], "cpu"
        settings = {"engine": Path(str(engine)).name, "precision": loaded.precision, "backend": loaded.backend}
    unseen = data or tuple(held_out(text) for text in seen)
    parts = len(space.datasets)
    if len(seen) != parts or len(unseen) != parts or not 0 <= on < parts:
        raise InputError(f"the model has {parts} data sets; give --data (and --seen) for each, and --on one of them")
    known = [open_dataset(text, size) for text in seen]
    others = [open_dataset(text, size) for text in unseen]
    if any(a.names != tuple(b) for a, b in zip([*known, *others], [*space.datasets.values()] * 2, strict=True)):
        raise InputError(
            f"the data sets have other labels than the model, {dict(space.datasets)}: name them by labels="
        )
    classifiers = [trained_classifier(part, classifier_steps, device) for part in known]
    truth = truth_of(unseen[on], size)
    report, grid = evaluation.evaluate(judged, space, others, classifiers, on, truth, device)
    with written_whole(out / "report.json") as temporary:
        temporary.write_text(json.dumps({**settings, "unseen": unseen, **report.to_dict()}, indent=2) + "\n")
    write_image(out / "grid.png", grid)
    Console().print(report.table())
    click.echo(f"{out / 'report.json'}, {out / 'grid.png'}")


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
    if min(*numbers, seed) < 0 or not 8 <= image_size <= 4096:
        raise InputError("--people and --seed must not be negative, and --image-size must lie in [8, 4096]")
    for number in numbers:
        write_image(out / f"{number:05d}.png", avatars.draw(avatars.person(number, seed, style), size=image_size))
    click.echo(f"drew {len(numbers)} avatars into {out}")


if __name__ == "__main__":
    terminal.run(main)
