"""A result of `compare` for people: text, Markdown and a plot, all from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.markdown import Column, decibels, interval, number, share, table, times, where
from benchmarks.markdown import text as words
from benchmarks.peers import BASES, PRECISIONS
from stargan_rt.bench.report import figure_class
from stargan_rt.builder import BUDGET_DB
from stargan_rt.files import written_whole

Row = dict[str, Any]
BOTH = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "onnxruntime-gpu": "ONNX Runtime"}
TITLES = {
    "cpu": {**BOTH, "openvino": "OpenVINO", "nncf": "NNCF"},
    "gpu": {**BOTH, "tensorrt": "TensorRT", "tensorrt-cu13": "TensorRT", "tensorrt-rtx-cu13": "TensorRT-RTX"},
}
"""Device → packages whose version matters there, and what they are called."""
COLOURS = {"fp32": "tab:gray", "bf16": "tab:blue", "fp16": "tab:green", "int8": "tab:orange"}


def measured(result: dict[str, Any], device: str | None = None) -> list[Row]:
    """Return the rows with a speed, class by class, the fastest first."""
    rows = [row for row in result["rows"] if "ms" in row and device in (None, row["device"])]
    return sorted(rows, key=lambda row: (row["device"], PRECISIONS.index(row["class"]), row["ms"]["median"]))


def best(result: dict[str, Any], device: str) -> list[Row]:
    """Return the base, and by class our fastest row and the fastest of all others."""
    rows = measured(result, device)
    keep = [BASES[device]]
    for precision in PRECISIONS:
        for ours in (True, False):
            keep += [row["name"] for row in rows if row["class"] == precision and row["ours"] == ours][:1]
    return [row for row in rows if row["name"] in keep]


def text(result: dict[str, Any]) -> str:
    """Return what the terminal shows: a table for each device, limits, who is first, and notes."""
    parts = []
    for device in BASES:
        if any(row["device"] == device for row in result["rows"]):
            parts += [markdown(result, measured(result, device), device, missing=True), ""]
    for key, limit in result["limits"].items():
        if "not_measured" in limit:
            parts.append(f"limit of {key}: not measured: {limit['not_measured']}")
        else:
            parts.append(f"limit of {key}: {limit['gmac_per_s']['median']:.0f} GMAC/s ({limit['by']})")
    for key, first in result["first_in_class"].items():
        ahead = "".join(f", {interval(ratio)} times as fast as {name}" for name, ratio in first["ahead_of"].items())
        wrong = ", ".join(first["faster_but_below_budget"])
        also = f"; faster, but below {BUDGET_DB[key.split()[1]]:.0f} dB: {wrong}" if wrong else ""
        parts.append(f"first in {key}: {first['first']}{ahead}{also}")
    return "\n".join(parts + [f"{row['name']}: {row['note']}" for row in measured(result) if row["note"]])


def markdown(result: dict[str, Any], rows: list[Row], device: str, missing: bool) -> str:
    """Return a table with its machine under it.

    Args:
        result: the whole result.
        rows: the rows to show, all of one device.
        device: of the rows.
        missing: also show the peers that were not measured, with the reason.
    """
    size, base = result["settings"]["image_size"], BASES[device]
    absent = [row for row in result["rows"] if "not_measured" in row and row["device"] == device]
    columns = [
        Column(f"{size}x{size}, batch 1, array to array", _name, words=True),
        Column("class", words("class"), words=True),
        Column("ms", number("ms", 1)),
        Column(f"times {base.removesuffix(' fp32')}", times("times_base")),
        Column("PSNR to float32", decibels("class", "same images")),
        Column("of the limit", share("share_of_limit")),
    ]
    return f"{table(columns, [*rows, *absent] if missing else rows)}\n\n{caption(result, device)}"


def caption(result: dict[str, Any], device: str) -> str:
    """Return what was measured, on what, and how."""
    settings = result["settings"]
    limits = {
        key.split()[1]: limit["gmac_per_s"]["median"]
        for key, limit in result["limits"].items()
        if "by" in limit and key.startswith(device)
    }
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in limits.items())
    return (
        f"The generator with conv {settings['conv_dim']}, {settings['blocks']} blocks and random weights, "
        f"{result['network_gmac']:.2f} GMAC, on {where(result, TITLES[device], gpu=device == 'gpu')}. Medians of "
        f"{settings['rounds']} rounds in turns, ratios with their 95 % bootstrap interval. "
        + (f"The limit is the machine's fastest convolution or matrix product, in GMAC/s: {rates}." if rates else "")
    ).strip()


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw bars of ms a call with their intervals, and the PSNR at their ends."""
    rows = measured(result)
    figure = figure_class()(figsize=(9, 0.35 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    middle = [row["ms"]["median"] for row in rows]
    sides = [
        [ms - row["ms"]["low"] for ms, row in zip(middle, rows, strict=True)],
        [row["ms"]["high"] - ms for ms, row in zip(middle, rows, strict=True)],
    ]
    places, colours = range(len(rows)), [COLOURS[row["class"]] for row in rows]
    bars = axes.barh(places, middle, xerr=sides, color=colours, error_kw={"lw": 1})
    axes.set_yticks(places, [row["name"] for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["ours"] else "normal")
    axes.bar_label(bars, [decibels("class", "same images")(row) for row in rows], padding=6, fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.2)
    settings, about = result["settings"], result["machine"]
    axes.set_xlabel(f"ms a translation, {settings['image_size']}x{settings['image_size']}, batch 1; PSNR to float32")
    axes.set_title(f"{about['cpu']}, {about['threads']} threads", fontsize="medium")
    with written_whole(path) as temporary:
        figure.savefig(temporary)


def _name(row: Any) -> str:
    return f"**{row['name']}**" if row["ours"] and "ms" in row else str(row["name"])
