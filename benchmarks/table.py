"""The documents' tables, made from the committed results: `python -m benchmarks table`.

A table lies between ``<!-- table: NAME VIEW -->`` and ``<!-- /table -->``. NAME is a file of `benchmarks/results`
without its suffix and begins with the command that wrote it; VIEW is a part of it. The NAME ``gpu`` stands for all
results that begin with it, one for each GPU.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import click

from benchmarks import gpu_tables, mapping, report, results, rewrites, scaling
from stargan_rt.errors import InputError
from stargan_rt.files import written_whole

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/benchmarks.md")
COMMANDS = {
    "compare": "compare --device {rest}",
    "scaling": "scaling",
    "map": "mapping",
    "rewrites": "rewrites --backend {rest}",
    "gpu": "gpu",
}
"""Beginning of a result's name → the command; ``rest`` is what follows it in the name."""
REGION = re.compile(r"(<!-- table: (?P<name>[\w-]+) (?P<view>[\w-]+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


@click.command()
@click.option("--write", is_flag=True, help="Put the tables into the documents instead of printing them.")
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


def filled(document: str, folder: Path = results.FOLDER) -> str:
    """Return the document with every table made again.

    Raises:
        InputError: a table names a result that does not exist, or a view that it does not have.
    """
    return REGION.sub(lambda found: f"{found[1]}{_table(found['name'], found['view'], folder)}\n{found[5]}", document)


def _table(name: str, view: str, folder: Path) -> str:
    if name == "gpu":
        on_gpus = {path.stem: results.read(path) for path in sorted(folder.glob("gpu-*.json"))}
        views = {"summary": gpu_tables.summary, "full": gpu_tables.full}
        if view not in views:
            raise InputError(f"gpu has no view {view!r}")
        return f"{views[view](on_gpus)}\n\n`{_command('gpu-NAME')}` prints it."
    path = folder / f"{name}.json"
    if not path.is_file():
        raise InputError(f"no result {path}; make it with: {_command(name)}")
    result = results.read(path)
    rendered, _, caption = _markdown(name, result, view).rpartition("\n")
    wrapped = textwrap.fill(caption, 118, break_long_words=False, break_on_hyphens=False)
    flags = ""
    if name.startswith("scaling-") and view in result:
        flags = f" --only {view} --rounds {result[view]['settings']['rounds']}"
    elif name.startswith("compare-"):
        flags = f" --rounds {result['settings']['rounds']}"
    return f"{rendered}\n{wrapped}\n`{_command(name, flags)}` prints it."


def _markdown(name: str, result: results.Result, view: str) -> str:
    kind, _, rest = name.partition("-")
    if kind == "compare" and view in ("full", "best"):
        rows = report.best(result, rest) if view == "best" else report.measured(result, rest)
        return report.markdown(result, rows, rest, missing=view == "full")
    if kind == "scaling" and view in scaling.COLUMNS:
        return scaling.markdown(result, view)
    if kind == "map" and view == "full":
        return mapping.markdown(result)
    if kind == "rewrites" and view == "full":
        return rewrites.markdown(result)
    raise InputError(f"{name} has no view {view!r}")


def _command(name: str, flags: str = "") -> str:
    kind, _, rest = name.partition("-")
    if kind not in COMMANDS:
        raise InputError(f"no command makes {name!r}; results begin with {', '.join(COMMANDS)}")
    return f"python -m benchmarks {COMMANDS[kind].format(rest=rest)}{flags} --output benchmarks/results/{name}.json"
