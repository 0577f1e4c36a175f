"""Our engines beside their peers: `python -m benchmarks compare`.

The standard generator (random weights), one picture at a time, from a uint8 array to a uint8 array. Each
contestant has a process of its own, the same number of threads and its turn in every round, so that a busy
machine slows all alike. Beside each speed stands how near the pictures are to the float32 master's, and which
share it is of what the machine can compute at all, measured in the same rounds.
"""

from __future__ import annotations

import json
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks import report
from benchmarks.case import Case, available_cores
from benchmarks.race import Settings, chosen, race, settings_dict
from stargan_rt import machine
from stargan_rt.bench.report import figure_class
from stargan_rt.files import written_whole

LIBRARIES = (
    *("stargan-rt", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf"),
    *("tensorrt", "tensorrt-cu13", "tensorrt-rtx-cu13", "numpy"),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", type=click.IntRange(min=2), default=12, help="Turns of every contestant.")
@click.option("--calls", type=click.IntRange(min=1), default=8, help="Calls that a turn counts.")
@click.option("--threads", type=click.IntRange(min=1), help="Of every contestant  [default: all cores]")
@click.option("--peers", multiple=True, metavar="PATTERN", help="Only these, such as 'stargan*'  [default: all]")
@click.option("--device", type=click.Choice(["cpu", "gpu", "all"]), default="all", help="Whose peers compete.")
@click.option("--conv-dim", type=click.IntRange(min=4), default=64)
@click.option("--blocks", type=click.IntRange(min=1), default=6)
@click.option("--image-size", type=click.IntRange(min=16), default=128)
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write as well.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture to write as well: .png, .svg or .pdf.")
def main(
    rounds: int,
    calls: int,
    threads: int | None,
    peers: tuple[str, ...],
    device: str,
    conv_dim: int,
    blocks: int,
    image_size: int,
    output: Path | None,
    plot: Path | None,
) -> None:
    """Our engines beside PyTorch, ONNX Runtime, OpenVINO and TensorRT, in turns."""
    if image_size % 4:
        raise click.UsageError(f"--image-size must be a multiple of 4; got {image_size}")
    if plot:
        figure_class()  # a missing matplotlib is said before the minutes of the race
    contestants, settings = chosen(peers, device), Settings(rounds, calls)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="stargan-rt-compare-") as folder:
        case = Case(Path(folder), threads or available_cores(), conv_dim, blocks, image_size)
        with Progress(console=console, transient=True) as bars:
            bar = bars.add_task("the generator and its graphs", total=None)
            case.write()
            found = race(
                case,
                contestants,
                settings,
                lambda phase, done, of: bars.update(bar, description=phase, completed=done, total=of),
            )
        result = {"machine": describe_machine(case), "settings": settings_dict(case, settings), **found}
    click.echo(report.text(result))
    if output:
        with written_whole(output) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n")
    if plot:
        report.plot(result, plot)


def describe_machine(case: Case) -> dict[str, Any]:
    """Where it was measured, and with which versions; nothing that names the machine itself."""
    return {
        "cpu": machine.cpu(),
        "cores": available_cores(),
        "threads": case.threads,
        "gpu": machine.gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
