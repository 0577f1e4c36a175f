"""The documents' tables, made of the committed results: `python -m benchmarks table`.

A table lies between ``<!-- table: NAME VIEW -->`` and ``<!-- /table -->``. NAME is a file of `benchmarks/results`
without its ending, and begins with what made it. VIEW of ``compare-…`` is ``full``, or ``best``: in each class our
fastest row and the fastest of all others; of ``scaling-…`` it is a part, such as ``sizes``; else it is ``full``.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import click

from benchmarks import markdown, report
from stargan_rt.errors import InputError
from stargan_rt.files import written_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = ("README.md", "docs/benchmarks.md")
MADE_BY = {
    "compare": "compare --device {rest}",
    "scaling": "scaling",
    "map": "mapping",
    "rewrites": "rewrites --backend {rest}",
}
"""Beginning of a result's name → the command; ``rest`` is what follows it in the name."""
REGION = re.compile(r"(<!-- table: (?P<name>[\w-]+) (?P<view>[\w-]+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


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
        InputError: a region names a result that is not there, or a view that it does not have.
    """
    return REGION.sub(lambda found: f"{found[1]}{_table(found['name'], found['view'], results)}\n{found[5]}", document)


def _table(name: str, view: str, results: Path) -> str:
    path = results / f"{name}.json"
    if not path.is_file():
        raise InputError(f"no result {path}; make it with: {_command(name)}")
    result = json.loads(path.read_text(encoding="utf-8"))
    rendered, _, caption = _markdown(name, result, view).rpartition("\n")
    wrapped = textwrap.fill(caption, 118, break_long_words=False, break_on_hyphens=False)
    flags = ""
    if name.startswith("scaling-") and view in result:
        flags = f" --only {view} --rounds {result[view]['settings']['rounds']}"
    elif name.startswith("compare-"):
        flags = f" --rounds {result['settings']['rounds']}"
    return f"{rendered}\n{wrapped}\n`{_command(name, flags)}` prints it."


def _markdown(name: str, result: dict[str, Any], view: str) -> str:
    kind, _, rest = name.partition("-")
    if kind == "compare" and view in ("full", "best"):
        rows = report.best(result, rest) if view == "best" else report.measured(result, rest)
        return report.markdown(result, rows, missing=view == "full")
    if kind == "scaling" and view in markdown.COLUMNS:
        return markdown.scaling(result, view)
    if kind in ("map", "rewrites") and view == "full":
        return markdown.mapping(result) if kind == "map" else markdown.rewrites(result)
    raise InputError(f"{name} has no view {view!r}")


def _command(name: str, flags: str = "") -> str:
    kind, _, rest = name.partition("-")
    if kind not in MADE_BY:
        raise InputError(f"no command makes {name!r}; results begin with {', '.join(MADE_BY)}")
    return f"python -m benchmarks {MADE_BY[kind].format(rest=rest)}{flags} --output benchmarks/results/{name}.json"
