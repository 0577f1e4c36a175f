"""Has a hot path become slower? `python -m benchmarks regressions`.

Runs the suite (`pytest benchmarks`), whose benchmarks time the package in turns with yardsticks, and
compares the ratios with saved ones. Absolute times tell one machine from another, ratios do not.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import click

from stargan_rt import machine
from stargan_rt.cli.terminal import run
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.files import written_whole

BASELINES = Path(__file__).with_name("baselines.json")
TOLERANCE = 1.5
"""Runs of one machine differ by less than a fifth, seldom by a third; the rest is for other machines and Pythons."""
SAVED_RUNS = 3
"""A baseline is the median of so many runs, since everything later is compared with it."""
SUITE_SECONDS = 600

Ratios: TypeAlias = Mapping[str, float]
"""Benchmark, as ``test_labels.py::test_encode[text]`` → its time in yardsticks."""


@dataclass(frozen=True)
class Row:
    """Of one benchmark.

    Attributes:
        saved, now: ratios; None where the baseline or the run has none.
        verdict: ``"same"``, ``"slower"``, ``"faster"``, ``"not in the baseline"`` or ``"not in this run"``.
    """

    name: str
    saved: float | None
    now: float | None
    verdict: str


def ratios(report: Mapping[str, Any]) -> dict[str, float]:
    """Those that the benchmarks noted in the JSON of pytest-benchmark; one without a yardstick has none."""
    found = {}
    for row in report["benchmarks"]:
        if "ratio" in row["extra_info"]:
            found[row["fullname"].rpartition("/")[2]] = float(row["extra_info"]["ratio"])
    return found


def compare(saved: Ratios, now: Ratios, tolerance: float = TOLERANCE) -> list[Row]:
    """A row for every benchmark of either; slower is more than `tolerance` times the saved ratio."""
    rows = []
    for name in sorted({*saved, *now}):
        before, after = saved.get(name), now.get(name)
        if before is None:
            verdict = "not in the baseline"
        elif after is None:
            verdict = "not in this run"
        elif after > tolerance * before:
            verdict = "slower"
        else:
            verdict = "faster" if after < before / tolerance else "same"
        rows.append(Row(name, before, after, verdict))
    return rows


def measured(only: str | None = None) -> dict[str, float]:
    """Runs the suite, or the benchmarks that pytest's ``-k`` picks with `only`.

    Raises:
        StarGANError: a benchmark's result is wrong, or nothing was timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        suite = Path(__file__).parent
        command = [sys.executable, "-m", "pytest", str(suite), "--quiet", "--benchmark-enable", "--benchmark-only"]
        command += ["--benchmark-columns=median", f"--benchmark-json={path}", *(["-k", only] if only else [])]
        done = subprocess.run(
            command, cwd=suite.parent, capture_output=True, text=True, timeout=SUITE_SECONDS, check=False
        )
        if done.returncode:
            raise StarGANError(f"the suite failed, so nothing is compared:\n{done.stdout[-2000:]}{done.stderr[-1000:]}")
        return ratios(json.loads(path.read_text()))


def confirmed(rows: list[Row], again: Callable[[str], Ratios], saved: Ratios, tolerance: float) -> list[Row]:
    """Measures what seems slower once more and takes the better ratio: a regression stays, an accident does not."""
    slower = [row for row in rows if row.verdict == "slower"]
    if not slower:
        return rows
    # By the names of the functions: -k takes no brackets.
    functions = sorted({row.name.partition("::")[2].partition("[")[0] for row in slower})
    second = again(" or ".join(functions))
    now = {row.name: row.now for row in rows if row.now is not None}
    better = {row.name: min(now[row.name], second.get(row.name, now[row.name])) for row in slower}
    return compare(saved, now | better, tolerance)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--tolerance", default=TOLERANCE, type=click.FloatRange(min=1.0), help="Times the saved ratio.")
@click.option("--only", help="Benchmarks to run, as for pytest -k.")
@click.option("--save", is_flag=True, help="Write what was measured as the new baseline.")
@click.option(
    "--baseline", default=BASELINES, type=click.Path(path_type=Path, dir_okay=False), help="The saved ratios."
)
def main(tolerance: float, only: str | None, save: bool, baseline: Path) -> None:
    """Fail where a hot path takes more of its yardstick's time than it used to."""
    if save and only:
        raise InputError("--save writes the baseline of the whole suite; leave out --only")
    if not save and not baseline.is_file():
        raise InputError(f"no baseline at {baseline}; write one with --save")
    saved: Ratios = json.loads(baseline.read_text())["ratios"] if baseline.is_file() else {}
    runs = [measured(only) for _ in range(SAVED_RUNS if save else 1)]
    now = {name: median(run[name] for run in runs) for name in runs[0]}
    rows = compare(saved, now, tolerance)
    if not save:
        rows = confirmed(rows, measured, saved, tolerance)
    _print(rows if not only else [row for row in rows if row.name in now])
    if save:
        about = f"{machine.cpu()}, {platform.system()}, Python {platform.python_version()}"
        with written_whole(baseline, "choose another --baseline") as temporary:
            temporary.write_text(json.dumps({"machine": about, "ratios": now}, indent=2) + "\n")
        click.echo(f"saved {len(now)} ratios to {baseline}")
        return
    if not set(saved) & set(now):
        raise StarGANError("nothing of this run is in the baseline, so nothing was compared; write one with --save")
    if slower := [row.name for row in rows if row.verdict == "slower"]:
        raise StarGANError(f"slower than {tolerance:g} times the baseline, twice measured: {', '.join(slower)}")


def _print(rows: list[Row]) -> None:
    width = max((len(row.name) for row in rows), default=0)
    click.echo(f"{'times the yardstick':{width}}{'saved':>10}{'now':>10}{'':>8}")
    for row in rows:
        saved, now = (f"{value:.3f}" if value is not None else "-" for value in (row.saved, row.now))
        change = f"x{row.now / row.saved:.2f}" if row.now and row.saved else ""
        click.echo(f"{row.name:{width}}{saved:>10}{now:>10}{change:>8}  {row.verdict}")


if __name__ == "__main__":
    run(main)
