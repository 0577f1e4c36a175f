"""`python -m training`: train and evaluate StarGAN generators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stargan_rt.cli import terminal
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.cli.options import PATH
from stargan_rt.errors import InputError
from training.config import PRESETS, EvalConfig, TrainConfig

STUDENTS = ("lite", "tiny")
"""Presets for `distill`."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train and evaluate StarGAN generators."""


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `train` and `distill` share."""
    for option in (
        setting_flags(TrainConfig),
        click.option("--init", type=PATH, help="Start from the networks of this checkpoint."),
        click.option("--resume", is_flag=True, help="Continue from OUT/latest.pt with its own settings."),
        click.option("--config", "file", type=PATH, help="TOML file with settings; they override the preset's."),
        click.option("--out", type=PATH, required=True, help="Folder of the run."),
    ):
        command = option(command)
    return command


def _settings(preset: str | None, file: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Merge the settings of a preset, a file and the flags."""
    layers = [TrainConfig.read(PRESETS[preset])] if preset else []
    layers += [TrainConfig.read(file)] if file else []
    return TrainConfig.merge(*layers, given(flags))


@main.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Start from these settings.")
@_run_options
def train(out: Path, preset: str | None, file: Path | None, resume: bool, init: Path | None, **flags: Any) -> None:
    """Train a generator; checkpoints, sample pictures and losses are written to the folder OUT.

    Flags override the settings of --config, and those override the preset's. A run that they shorten has its
    learning-rate decay shortened in proportion. To use several GPUs: torchrun --nproc-per-node 4 -m training train …
    """
    from training.checkpoint import TrainState
    from training.run import LATEST, run

    changes = _settings(preset, file, flags)
    config = TrainState.stored_config(out / LATEST, changes) if resume else TrainConfig(**changes)
    run(config, out, resume=resume, init=init, report=click.echo)


@main.command()
@click.option("--preset", type=click.Choice(STUDENTS), default=STUDENTS[0], help="Settings of the student.")
@_run_options
def distill(out: Path, preset: str, file: Path | None, resume: bool, init: Path | None, **flags: Any) -> None:
    """Train a small generator to translate as a larger one does.

    The teacher is --teacher: a checkpoint of `train`, an exported ONNX file, an engine, or 'avatars'. Its labels are
    drawn at random over the images of --data, which need no labels: images:FOLDER takes all images in a folder. The
    default is the data that a checkpoint was trained on. The teacher's translations are computed once and kept in the
    cache. Iterations beyond --distill-iterations are adversarial, as those of `train --teacher`.
    """
    from training.checkpoint import TrainState
    from training.distillation import distill_settings, for_teacher, resumed_settings
    from training.run import LATEST, run

    if resume:
        stored = TrainState.stored_config(out / LATEST, {})
        config = TrainState.stored_config(out / LATEST, resumed_settings(stored, _settings(None, file, flags)))
    else:
        config = TrainConfig(**distill_settings(_settings(preset, file, flags)))
    run(config, out, resume=resume, init=init, open_data=for_teacher, report=click.echo)


@main.command()
@click.option("--preset", type=click.Choice(STUDENTS), default=STUDENTS[0], help="Settings of the parent.")
@click.option("--config", "file", type=PATH, help="TOML file with settings; they override the preset's.")
@click.option("--out", type=PATH, required=True, help="Folder of the search; an interrupted search continues in it.")
@click.option("--backend", default="auto", help="What the candidates are built for and timed on.")
@click.option("--build-precision", type=click.Choice(["fp32", "fp16", "bf16", "int8"]), default="int8", help="Of them.")
@click.option("--latencies", type=PATH, help='Instead: JSON file {"CONV_DIMxBLOCKS": ms} measured on the target.')
@click.option("--max-latency-ms", type=float, help="Take the best candidate within this latency.")
@click.option("--max-accuracy-drop", type=float, help="Take the fastest that loses at most this share, such as 0.01.")
@click.option("--classifier-steps", default=1500, help="Training steps of the evaluator's classifiers.")
@click.option("--plot", type=PATH, help="Also plot the candidates: .png, .svg or .pdf.")
@setting_flags(TrainConfig)
def search(
    out: Path,
    preset: str,
    file: Path | None,
    backend: str,
    build_precision: str,
    latencies: Path | None,
    max_latency_ms: float | None,
    max_accuracy_drop: float | None,
    classifier_steps: int,
    plot: Path | None,
    **flags: Any,
) -> None:
    """Search the width and depth of a lite generator for a teacher and a machine.

    A parent is distilled from --teacher, with all candidates of --nested-widths and --nested-depths inside. Each is
    then judged and timed, and the best one within the limit is trained further, to OUT/winner/latest.pt.
    """
    from rich.console import Console

    from training import search as searching
    from training.checkpoint import TrainState
    from training.distillation import distill_settings, for_teacher
    from training.run import LATEST, run

    if (max_latency_ms is None) == (max_accuracy_drop is None):
        raise InputError("give either --max-latency-ms or --max-accuracy-drop")
    given_settings = _settings(preset, file, flags)
    width, depth = given_settings["conv_dim"], given_settings["blocks"]
    given_settings.setdefault("nested_widths", sorted({max(1, width // 2), max(1, 3 * width // 4), width}))
    given_settings.setdefault("nested_depths", sorted({max(1, depth // 2), max(1, depth - 1), depth}))
    config = TrainConfig(**distill_settings(given_settings))
    table = json.loads(latencies.read_text()) if latencies else None
    latency = searching.measured_latency(backend, build_precision)
    candidates = searching.search(config, out, latency, table, classifier_steps, click.echo)
    Console().print(searching.table_of(candidates))
    if plot:
        searching.plot(candidates, plot)
    won = searching.choose(candidates, max_latency_ms, max_accuracy_drop)
    click.echo(f"conv {won.conv_dim}, {won.blocks} blocks: {won.latency_ms:.2f} ms; it is trained further")
    own, folder = searching.child_config(config, won.conv_dim, won.blocks), out / "winner"
    resume = (folder / LATEST).exists()
    if resume and TrainState.stored_config(folder / LATEST, {}) != own:
        raise InputError(f"{folder} holds another winner; delete it, or choose another --out")
    start = out / "winner-start.pt"
    if not resume:
        parent = TrainState.fresh(config, for_teacher(config)[1], "cpu")
        parent.resume(out / "parent" / LATEST)
        searching.child_checkpoint(config, parent, won.conv_dim, won.blocks, start)
    run(own, folder, resume=resume, init=None if resume else start, open_data=for_teacher, report=click.echo)
    click.echo(f"{folder / LATEST}")


@main.command()
@click.option("--checkpoint", type=PATH, help="Checkpoint of `train`.")
@click.option("--engine", metavar="NAME", help="Instead: an engine, an ONNX file or a bundled model, such as avatars.")
@click.option("--out", type=PATH, required=True, help="Folder for report.json and grid.png.")
@setting_flags(EvalConfig)
def evaluate(checkpoint: Path | None, engine: str | None, out: Path, **flags: Any) -> None:
    """Measure a generator on images that it has not seen.

    Classifiers trained on the real training images recognise the labels of its translations. On avatars, translations
    are also compared with drawings of the same people with the other label.
    """
    from rich.console import Console

    from stargan_rt.files import written_whole
    from stargan_rt.images import write_image
    from training.subject import Subject

    config = EvalConfig(**given(flags))
    if (checkpoint is None) == (engine is None):
        raise InputError("give either --checkpoint or --engine")
    if checkpoint is not None:
        subject = Subject.from_checkpoint(checkpoint, config.weights, config.device)
    else:
        subject = Subject.from_engine(str(engine))
    report, grid, record = subject.evaluate(config)
    with written_whole(out / "report.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")
    write_image(out / "grid.png", grid)
    for table in filter(None, (report.table(), report.tone_table())):
        Console().print(table)
    click.echo(f"{out / 'report.json'}, {out / 'grid.png'}")


@main.command()
@click.argument("source", metavar="NAME|FILE.toml")
@click.option("--out", type=PATH, required=True, help="Folder of all stages; run the command again to continue.")
@click.option("--scale", default=1.0, show_default=True, help="Factor of iterations and avatars; 0.01 for a trial run.")
@click.option("--device", help="'cpu' or 'cuda', for all stages  [default: as the recipe says]")
def recipe(source: str, out: Path, scale: float, device: str | None) -> None:
    """Run all stages of a recipe, from nothing to exported ONNX files.

    NAME is a bundled recipe, such as avatars. Finished stages are skipped and an unfinished one is resumed.
    """
    from training.recipe import Workspace, read_recipe, run_recipe

    if not 0 < scale <= 1:
        raise InputError(f"--scale must lie in (0, 1]; got {scale:g}")
    run_recipe(read_recipe(source), Workspace(out, scale, device, click.echo))


@main.command()
@click.option("--out", type=PATH, required=True, help="Folder for the PNG files.")
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
