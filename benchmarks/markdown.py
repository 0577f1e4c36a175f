"""Committed results of `scaling`, `mapping` and `rewrites` as Markdown tables; `benchmarks.report` has `compare`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from stargan_rt.builder import BUDGET_DB

Row: TypeAlias = dict[str, Any]
Column: TypeAlias = tuple[str, Callable[[Row], str]]
"""Head of a column, and its cell in a row."""


def scaling(result: dict[str, Any], part: str) -> str:
    """One part of a result, such as ``"sizes"``, with its machine under it; or that it was not measured."""
    if part not in result:
        return "Not measured."
    found, settings = result[part], result[part]["settings"]
    caption = CAPTIONS[part].format(side=settings["sizes"][0])
    turns = (
        "" if part == "builds" else f" Medians of {found['rounds']} rounds in turns, ratios with their 95 % interval."
    )
    network = f"Conv {settings['conv_dim']}, {settings['blocks']} blocks, random weights."
    return f"{_table(COLUMNS[part], found['rows'])}\n\n{caption} {network}{turns} {where(found)}"


def mapping(result: dict[str, Any]) -> str:
    """`Engine.map` beside the bare backend."""
    columns: list[Column] = [
        ("engine", lambda row: row["name"]),
        ("bare backend, images/s", lambda row: f"{row['bare_per_s']:.1f}"),
        ("`map`, images/s", lambda row: f"{row['map_per_s']:.1f}"),
        ("share", lambda row: f"{row['share']:.1%}"),
        ("of single chunks", lambda row: f"{row['share_min']:.1%} – {row['share_max']:.1%}"),
        ("bound", lambda row: f"{row['bound']:.1%}"),
        ("reading a file, ms", lambda row: f"{row['read_ms']:.2f}"),
    ]
    rows = [{"name": name, **row} for name, row in result["engines"].items()]
    files = sorted({(row["files"], row["side"]) for row in rows})
    about = " or ".join(f"{count} JPEG files of {side}x{side}" for count, side in files)
    return f"{_table(columns, rows)}\n\n{about}, on {result['machine']}."


def rewrites(result: dict[str, Any]) -> str:
    """Every precision and variant of the graph."""
    columns: list[Column] = [
        ("precision", lambda row: row["precision"]),
        ("graph", lambda row: row["name"]),
        ("ms", lambda row: f"{row['ms']:.1f}"),
        ("times as fast", lambda row: "1" if _is_one(row["times"]) else _interval(row["times"], 3)),
        ("PSNR to float32", lambda row: f"{row['psnr_db']:.1f} dB"),
    ]
    rows = [
        {"precision": precision, "name": name, **row}
        for precision, variants in result["rewrites"].items()
        for name, row in variants.items()
    ]
    return f"{_table(columns, rows)}\n\nConv {result['conv_dim']}, batch 1, on {where(result)}"


def where(found: dict[str, Any]) -> str:
    """The machine, in words, and the versions that matter to our engines."""
    about = found["machine"]
    names = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
    versions = [f"{title} {about['libraries'][key]}" for key, title in names.items() if key in about["libraries"]]
    cores = f"{about['threads']} of {about['cores']} cores"
    return f"{about['cpu']}, {cores}, {about['system']}, {', '.join(versions)}."


def _table(columns: Iterable[Column], rows: Iterable[Row]) -> str:
    heads = [head for head, _ in columns]
    kinds = ["---" if head in WORDS else "---:" for head in heads]
    lines = [heads, kinds]
    for row in rows:
        if "not_measured" in row:
            words = [cell(row) for head, cell in columns if head in (*WORDS, "size")]
            reason = f"not measured: {row['not_measured']}"
            lines.append([*words, reason, *[""] * (len(heads) - len(words) - 1)])
        else:
            lines.append([cell(row) for _, cell in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(found: dict[str, float], digits: int = 2) -> str:
    return f"{found['median']:.{digits}f} ({found['low']:.{digits}f}–{found['high']:.{digits}f})"


def _is_one(found: dict[str, float]) -> bool:
    return found["median"] == found["low"] == found["high"] == 1


def _median(key: str, digits: int) -> Callable[[Row], str]:
    return lambda row: f"{row[key]['median']:.{digits}f}"


def _ratio(row: Row) -> str:
    return "1" if _is_one(row["times_first"]) else _interval(row["times_first"])


def _decibels(row: Row) -> str:
    if row["psnr_db"] is None:
        return "same picture"
    budget = BUDGET_DB[row["precision"]]
    return f"{row['psnr_db']:.1f} dB" + (f", below {budget:.0f}" if row["psnr_db"] < budget else "")


def _side(row: Row) -> str:
    return f"{row['size']}x{row['size']}"


WORDS = ("engine", "graph", "precision")
"""Heads of the columns that hold words, not figures."""
_PRECISION: Column = ("precision", lambda row: row["precision"])
_SPEED: Column = ("images/s", _median("images_a_second", 1))
COLUMNS: dict[str, list[Column]] = {
    "sizes": [
        _PRECISION,
        ("size", _side),
        ("ms an image", _median("ms", 1)),
        ("ns a pixel", _median("ns_a_pixel", 0)),
        ("cost of a pixel, times the first", _ratio),
        ("PSNR to float32", _decibels),
    ],
    "batches": [_PRECISION, ("batch", lambda row: str(row["batch"])), _SPEED, ("times batch 1", _ratio)],
    "threads": [
        _PRECISION,
        ("threads", lambda row: str(row["threads"])),
        ("ms an image", _median("ms", 1)),
        ("times as fast as with 1", _ratio),
    ],
    "lanes": [_PRECISION, ("lanes and callers", lambda row: str(row["lanes"])), _SPEED, ("times 1 lane", _ratio)],
    "builds": [
        _PRECISION,
        ("size", _side),
        ("seconds", lambda row: f"{row['seconds']:.1f}"),
        ("again, from the cache", lambda row: f"{row['cached_seconds']:.2f}"),
        ("PSNR of the worst label", lambda row: f"{row['worst_psnr_db']:.1f} dB"),
    ],
    "training": [
        _PRECISION,
        ("size", _side),
        ("batch", lambda row: str(row["batch"])),
        ("iterations/s", _median("iterations_a_second", 2)),
        _SPEED,
        ("ns a pixel", _median("ns_a_pixel", 0)),
        ("cost of a pixel, times the first", _ratio),
    ],
}
CAPTIONS = {
    "sizes": "One image a call through `Engine.translate`, uint8 array to uint8 array; PSNR of one picture.",
    "batches": "Arrays `(n, {side}, {side}, 3)` through `Engine.translate`.",
    "threads": "One image of {side}x{side} a call.",
    "lanes": "As many threads as lanes call `Engine.translate` at once, with images of {side}x{side}.",
    "builds": "`stargan_rt.builder` with `force=True`, calibration and judging included.",
    "training": "Discriminator steps with a generator step in every fifth, not compiled, faces in memory.",
}
