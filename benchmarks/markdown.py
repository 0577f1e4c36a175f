"""Markdown tables of results, and how their figures are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from stargan_rt.builder import BUDGET_DB

Row: TypeAlias = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        head: its heading.
        cell: row → what stands in it.
        words: aligned left, and filled even if the row was not measured.
        names: filled even if the row was not measured.
    """

    head: str
    cell: Callable[[Row], str]
    words: bool = False
    names: bool = False


def table(columns: Iterable[Column], rows: Iterable[Row]) -> str:
    """Return a Markdown table; rows that were not measured show the reason."""
    columns = list(columns)
    lines = [[column.head for column in columns], ["---" if column.words else "---:" for column in columns]]
    for row in rows:
        if "not_measured" in row:
            words = [column.cell(row) for column in columns if column.words or column.names]
            padding = [""] * (len(columns) - len(words) - 1)
            lines.append([*words, f"not measured: {row['not_measured']}", *padding])
        else:
            lines.append([column.cell(row) for column in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(key: str) -> Callable[[Row], str]:
    """Cells with the value of a key as it is."""
    return lambda row: str(row[key])


def number(key: str, digits: int, unit: str = "") -> Callable[[Row], str]:
    """Cells with a number, or with the median of an interval."""

    def cell(row: Row) -> str:
        value = row[key]["median"] if isinstance(row[key], Mapping) else row[key]
        return f"{value:.{digits}f}{unit}"

    return cell


def share(key: str, digits: int = 0) -> Callable[[Row], str]:
    """Cells with a percentage."""

    def cell(row: Row) -> str:
        value = row[key]["median"] if isinstance(row[key], Mapping) else row[key]
        return "–" if value is None else f"{value:.{digits}%}"

    return cell


def times(key: str, digits: int = 2) -> Callable[[Row], str]:
    """Cells with a ratio and its interval; 1 for what the others are compared with."""

    def cell(row: Row) -> str:
        ratio = row[key]
        if ratio is None:
            return "–"
        return "1" if ratio["median"] == ratio["low"] == ratio["high"] == 1 else interval(ratio, digits)

    return cell


def interval(ratio: Mapping[str, float], digits: int = 2) -> str:
    """Return a median with its interval in brackets."""
    return f"{ratio['median']:.{digits}f} ({ratio['low']:.{digits}f}–{ratio['high']:.{digits}f})"


def decibels(kind: str, same: str) -> Callable[[Row], str]:
    """Cells with the PSNR, marked where it is below the budget of the precision under the key `kind`."""

    def cell(row: Row) -> str:
        if row["psnr_db"] is None:
            return same
        budget = BUDGET_DB[row[kind]]
        return f"{row['psnr_db']:.1f} dB" + (f", below {budget:.0f}" if row["psnr_db"] < budget else "")

    return cell


def side(row: Row) -> str:
    """Return the size of a row's images."""
    return f"{row['size']}x{row['size']}"


def where(result: Row, titles: Mapping[str, str], gpu: bool = False) -> str:
    """Return the machine, and the versions of the packages in `titles` (package → what it is called)."""
    about = result["machine"]
    versions = {title: about["libraries"][name] for name, title in titles.items() if name in about["libraries"]}
    machine = [f"{about['cpu']}, {about['threads']} of {about['cores']} cores", about["system"]]
    machine += [about["gpu"]] if gpu and about["gpu"] else []
    return ", ".join([*machine, *(f"{name} {found}" for name, found in versions.items())])
