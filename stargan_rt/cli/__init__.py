"""The command line: `stargan-rt demo | translate | build | bench | cache | info | doctor`.

Only click is imported here; each command imports what it needs, so that `--help` is quick.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from stargan_rt.cli import terminal
from stargan_rt.cli.bench import bench
from stargan_rt.cli.build import build, built, cache
from stargan_rt.cli.options import PATH, engine_options, load


def entry() -> NoReturn:
    """The console script."""
    terminal.run(main)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100},
    epilog="With --debug anywhere on the line an error shows its traceback.",
)
@click.version_option(package_name="stargan-rt")
def main() -> None:
    """StarGAN, fast and easy to deploy: one generator, many domains."""


main.add_command(bench)
main.add_command(build)
main.add_command(cache)


@main.command()
@click.option("--output", type=PATH, default="stargan-rt-demo.png", help="The picture to write.")
@click.option(
    "--backend", default="auto", metavar="NAME", help="auto, tensorrt, tensorrt-rtx, openvino or onnxruntime."
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(output: Path, backend: str, threads: int | None, as_json: bool) -> None:
    """Translate sample faces into every domain with the bundled model, and time it."""
    from dataclasses import asdict

    from stargan_rt.cli.demo import run_demo

    with load("avatars", backend, threads) as engine:
        if not as_json:
            click.echo(f"bundled model on {engine.backend}, {engine.precision}: {', '.join(engine.labels.names)}")
        latency = run_demo(engine, output)
        if as_json:
            facts = {"backend": engine.backend, "precision": engine.precision, "size": list(engine.size)}
            click.echo(json.dumps({"output": str(output), **facts, **asdict(latency)}))
        else:
            click.echo(
                f"latency of one translation, array to array, over {latency.calls} calls: "
                f"p50 {latency.p50_ms:.1f} ms, p90 {latency.p90_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms"
            )
            click.echo(f"every domain: {output}")


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=PATH, metavar="FILE_OR_FOLDER...")
@click.option("--label", help="What to change: 'Blond_Hair', 'Blond_Hair, happy' or 'happy=0.7'.")
@click.option("--all", "every", is_flag=True, help="Translate into every domain.")
@click.option("--output", type=PATH, required=True, help="File, or folder for several results.")
@click.option("--keep-size", is_flag=True, help="Resize results back to the size of their image.")
@engine_options
def translate(
    inputs: tuple[Path, ...],
    label: str | None,
    every: bool,
    output: Path,
    keep_size: bool,
    engine: str,
    backend: str,
    threads: int | None,
    lanes: int,
) -> None:
    """Translate image files, and the images in folders."""
    from stargan_rt.engine.folder import list_jobs, translate_files
    from stargan_rt.errors import InputError

    if (label is None) == (not every):
        raise click.UsageError("give either --label LABEL or --all")
    with load(engine, backend, threads, lanes) as loaded:
        labels = loaded.labels.names if label is None else (label,)
        for each in labels:  # a wrong label is said before any image is read
            loaded.labels.passes(each)
        jobs = list_jobs(inputs, labels, output)
        failed = 0
        if len(jobs) == 1:
            for _, error in translate_files(loaded, jobs, keep_size):
                if error:
                    raise error
            return
        from rich.console import Console
        from rich.progress import track

        done = 0
        console = Console(stderr=True)
        try:
            for job, error in track(
                translate_files(loaded, jobs, keep_size), "Translating", len(jobs), console=console
            ):
                done += 1
                if error:
                    failed += 1
                    console.print(f"skipped {job.source}: {error}", markup=False, highlight=False)
        except KeyboardInterrupt:
            click.echo(f"stopped after {done} of {len(jobs)} images; what is in {output} is whole", err=True)
            raise SystemExit(1) from None
        click.echo(f"translated {len(jobs) - failed} of {len(jobs)} images into {output}", err=True)
    if failed:
        raise InputError(f"{failed} of {len(jobs)} images could not be translated, see above")


@main.command()
@click.argument("model", default="avatars", metavar="[FILE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(model: str, as_json: bool) -> None:
    """Print what a model or an engine is: labels, size, precision, how it was built, hashes."""
    from stargan_rt.manifest import read_manifest, sha256
    from stargan_rt.models import BUNDLED, bundled_model

    path = bundled_model(model) if model in BUNDLED else Path(model)
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
        "precision": manifest.precision,
        "network": f"{manifest.arch}, conv {manifest.conv_dim}, {manifest.blocks} residual blocks",
        **{f"labels of {name}": ", ".join(labels) for name, labels in space.datasets.items()},
        **{f"group {name}": "one of " + ", ".join(members) for name, members in space.groups.items()},
        "unmentioned": "kept as in the image" if space.unspecified else "set to absent (0)",
        "source": ", ".join(f"{key} {value}" for key, value in manifest.source.items()),
        "parity": ", ".join(f"{key} {value}" for key, value in manifest.parity.items()),
        **({"built": built(manifest)} if manifest.build else {}),
    }
    for key, value in rows.items():
        click.echo(f"{key + ':':<18} {value}")


@main.command()
@click.option("--checkpoint", type=PATH, help="Render this checkpoint in both norm modes; say which is right.")
@click.option("--labels", multiple=True, metavar="A,B,...", help="Labels of a bare checkpoint; repeat per data set.")
@click.option("--output", type=PATH, default="norm-modes.png", help="The picture for --checkpoint.")
@click.option("--model", metavar="FILE", help="Say how much the output of this model depends on each label.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(checkpoint: Path | None, labels: tuple[str, ...], output: Path, model: str | None, as_json: bool) -> None:
    """Print what this machine has, or check a checkpoint or a model."""
    from stargan_rt import doctor as checks

    if checkpoint is not None and (model is not None or as_json):
        raise click.UsageError("--checkpoint goes with --labels and --output alone")
    if labels and checkpoint is None:
        raise click.UsageError("--labels goes with --checkpoint")
    if checkpoint is not None:
        checks.render_norm_modes(checkpoint, labels, output)
        return
    if model is None:
        facts = checks.environment()
        if as_json:
            click.echo(json.dumps(facts, indent=2))
        for key, value in {} if as_json else facts.items():
            click.echo(f"{key + ':':<22} {value}")
        return
    with load(model, "auto", None) as engine:
        effects = checks.label_effects(engine)
    dead = [name for name, effect in effects.items() if effect < checks.MIN_EFFECT]
    if as_json:
        click.echo(json.dumps({"mean_levels": effects, "without_effect": dead}, indent=2))
    else:
        for name, effect in effects.items():
            verdict = "NO EFFECT" if name in dead else "ok"
            click.echo(f"{name + ':':<22} {effect:6.2f} levels of 255 on average  {verdict}")
    if dead:
        click.echo(f"{len(dead)} of {len(effects)} labels do nothing: train longer, or export again", err=True)
        sys.exit(1)
