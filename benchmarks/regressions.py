"""Find hot paths that have become slower: `python -m benchmarks regressions`.

Runs `benchmarks/suite`, whose benchmarks time the package in turns with yardsticks, and compares the ratios with
saved ones. Absolute times differ from machine to machine; ratios hardly do.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import click

from benchmarks import results
from benchmarks.markdown import Column, table, text
from stargan_rt import machine
from stargan_rt.errors import InputError, StarGANError

BASELINES = Path(__file__).with_name("baselines.json")
SUITE = Path(__file__).with_name("suite")
TOLERANCE = 1.5
"""Runs on one machine differ by less than a fifth, rarely by a third; the rest is for other machines and Pythons."""
SAVED_RUNS = 3
"""A baseline is the median of this many runs, since everything later is compared with it."""
SUITE_SECONDS = 600

Ratios: TypeAlias = Mapping[str, float]
"""Benchmark, such as ``test_labels.py::test_encode[text]`` → its time in yardsticks."""


@dataclass(frozen=True)
class Row:
    """The comparison of one benchmark.

    Attributes:
        saved, now: ratios; None where the baseline or the run has none.
        verdict: ``"same"``, ``"slower"``, ``"faster"``, ``"not in the baseline"`` or ``"not in this run"``.
    """

    name: str
    saved: float | None
    now: float | None
    verdict: str


def ratios(report: Mapping[str, Any]) -> dict[str, float]:
    """Read the ratios from the JSON of pytest-benchmark; a benchmark without a yardstick has none."""
    rows = [row for row in report["benchmarks"] if "ratio" in row["extra_info"]]
    return {row["fullname"].rpartition("/")[2]: float(row["extra_info"]["ratio"]) for row in rows}


def compare(saved: Ratios, now: Ratios, tolerance: float = TOLERANCE) -> list[Row]:
    """Return a row for every benchmark of either; slower means more than `tolerance` times the saved ratio."""
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
    """Run the suite, or the benchmarks that pytest's ``-k`` picks with `only`.

    Raises:
        StarGANError: a benchmark's result is wrong, or nothing was timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(SUITE), "--quiet", "--benchmark-enable", "--benchmark-only"]
        command += ["--benchmark-columns=median", f"--benchmark-json={path}", *(["-k", only] if only else [])]
        done = subprocess.run(
            command, cwd=SUITE.parents[1], capture_output=True, text=True, timeout=SUITE_SECONDS, check=False
        )
        if done.returncode:
            raise StarGANError(
                f"the suite failed, so nothing was compared:\n{done.stdout[-2000:]}{done.stderr[-1000:]}"
            )
        return ratios(json.loads(path.read_text()))


def confirmed(rows: list[Row], again: Callable[[str], Ratios], saved: Ratios, tolerance: float) -> list[Row]:
    """Measure what seems slower once more and take the better ratio: a regression stays, an accident does not."""
    slower = [row for row in rows if row.verdict == "slower"]
    if not slower:
        return rows
    # By the names of the functions: -k takes no brackets.
    functions = sorted({row.name.partition("::")[2].partition("[")[0] for row in slower})
    second = again(" or ".join(functions))
    now = {row.name: row.now for row in rows if row.now is not None}
    better = {row.name: min(now[row.name], second.get(row.name, now[row.name])) for row in slower}
    return compare(saved, now | better, tolerance)


@click.command()
@click.option(
    "--tolerance",
    default=TOLERANCE,
    type=click.FloatRange(min=1.0),
    help="Slower means more than this times the saved ratio.",
)
@click.option("--only", help="Benchmarks to run, as for pytest -k.")
@click.option("--save", is_flag=True, help="Write what was measured as the new baseline.")
@click.option(
    "--baseline", default=BASELINES, type=click.Path(path_type=Path, dir_okay=False), help="The saved ratios."
)
def main(tolerance: float, only: str | None, save: bool, baseline: Path) -> None:
    """Fail if a hot path takes more time, compared with its yardstick, than it used to."""
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
        results.write(baseline, {"machine": about, "ratios": now}, "choose another --baseline")
        click.echo(f"saved {len(now)} ratios to {baseline}")
        return
    if not set(saved) & set(now):
        raise StarGANError("no benchmark of this run is in the baseline, nothing was compared; write one with --save")
    if slower := [row.name for row in rows if row.verdict == "slower"]:
        raise StarGANError(f"slower than {tolerance:g} times the baseline, measured twice: {', '.join(slower)}")


def _print(rows: list[Row]) -> None:
    columns = [
        Column("times the yardstick", text("name"), words=True),
        Column("saved", _figure("saved")),
        Column("now", _figure("now")),
        Column("change", lambda row: f"x{row['now'] / row['saved']:.2f}" if row["now"] and row["saved"] else ""),
        Column("", text("verdict"), words=True),
    ]
    click.echo(table(columns, [asdict(row) for row in rows]))


def _figure(key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: "–" if row[key] is None else f"{row[key]:.3f}"
