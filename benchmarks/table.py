"""The documents' tables, made of the committed results: `python -m benchmarks table`.

A table lies between ``<!-- table: NAME VIEW -->`` and ``<!-- /table -->``. NAME is a file of `benchmarks/results`
without its ending; VIEW is ``full``, or ``best``: in each class our fastest row and the fastest of all others.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import click

from benchmarks import report
from stargan_rt.errors import InputError
from stargan_rt.files import written_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = ("README.md", "docs/build.md")
REGION = re.compile(r"(<!-- table: (?P<name>[\w-]+) (?P<view>full|best) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--write", is_flag=True, help="Put them into the documents; else they are printed.")
def main(write: bool) -> None:
    """Make the tables of README.md and docs/ from benchmarks/results/."""
    for name in DOCUMENTS:
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if not write:
            for region in REGION.finditer(new):
                click.echo(f"{name}\n\n{region[4]}")
        elif new != old:
            with written_whole(path) as temporary:
                temporary.write_text(new, encoding="utf-8")
            click.echo(f"{name}: written")


def filled(document: str, results: Path = RESULTS) -> str:
    """The document with every region made anew.

    Raises:
        InputError: a region names a result that is not there.
    """
    return REGION.sub(lambda found: f"{found[1]}{_table(found['name'], found['view'], results)}\n{found[5]}", document)


def _table(name: str, view: str, results: Path) -> str:
    path = results / f"{name}.json"
    if not path.is_file():
        raise InputError(f"no result {path}; make it with: {_command(name)}")
    result = json.loads(path.read_text(encoding="utf-8"))
    device = name.rpartition("-")[2]
    rows = report.best(result, device) if view == "best" else report.measured(result, device)
    rendered, _, caption = report.markdown(result, rows, missing=view == "full").rpartition("\n")
    wrapped = textwrap.fill(caption, 118, break_long_words=False, break_on_hyphens=False)
    return f"{rendered}\n{wrapped}\n`{_command(name)}` prints it."


def _command(name: str) -> str:
    return f"python -m benchmarks compare --device {name.rpartition('-')[2]} --output benchmarks/results/{name}.json"
