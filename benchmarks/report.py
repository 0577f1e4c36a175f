"""A result of `compare` for people: text, Markdown, a plot. All from its JSON, so the file is all there is to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers import BASES, PRECISIONS
from benchmarks.race import below_budget
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
    """Rows with a speed, class by class, the fastest first."""
    rows = [row for row in result["rows"] if "ms" in row and device in (None, row["device"])]
    return sorted(rows, key=lambda row: (row["device"], PRECISIONS.index(row["class"]), row["ms"]["median"]))


def best(result: dict[str, Any], device: str) -> list[Row]:
    """The base, and by class our fastest row beside the fastest of all others."""
    rows = measured(result, device)
    keep = [BASES[device]]
    for precision in PRECISIONS:
        for ours in (True, False):
            keep += [row["name"] for row in rows if row["class"] == precision and row["ours"] == ours][:1]
    return [row for row in rows if row["name"] in keep]


def text(result: dict[str, Any]) -> str:
    """For the terminal."""
    lines = [f"{'':32}{'class':6}{'ms':>9}{'times base':>12}{'95 %':>14}{'PSNR dB':>9}{'limit':>7}"]
    for row in measured(result):
        times, share = row["times_base"], row["share_of_limit"]
        speed = f"{times['median']:12.2f}{_range(times):>14}" if times else f"{'–':>12}{'':14}"
        part = f"{share['median']:7.0%}" if share else f"{'–':>7}"
        about = f"{row['name']:32}{row['class']:6}{row['ms']['median']:9.2f}"
        lines.append(f"{about}{speed}{_decibels(row):>9}{part}{_warning(row).replace(',', '  ', 1)}")
    lines += [f"{row['name']:32}not measured: {row['not_measured']}" for row in _missing(result)]
    bases = [name for name in BASES.values() if any(row["name"] == name for row in measured(result))]
    lines += ["", f"base: {', '.join(bases) or 'not measured'}; the network has {result['network_gmac']:.2f} GMAC"]
    for key, limit in result["limits"].items():
        if "by" in limit:
            lines.append(f"limit of {key}: {limit['gmac_per_s']['median']:.0f} GMAC/s ({limit['by']})")
        else:
            lines.append(f"limit of {key}: not measured: {limit['not_measured']}")
    for key, first in result["first_in_class"].items():
        ahead = "".join(f", {r['median']:.2f} ({_range(r)}) times as fast as {n}" for n, r in first["ahead_of"].items())
        wrong = first["faster_but_below_budget"]
        also = f"; faster, but below {BUDGET_DB[key.split()[1]]:.0f} dB: {', '.join(wrong)}" if wrong else ""
        lines.append(f"first in {key}: {first['first']}{ahead}{also}")
    lines += [f"{row['name']}: {row['note']}" for row in measured(result) if row["note"]]
    return "\n".join(lines)


def markdown(result: dict[str, Any], rows: list[Row], missing: bool) -> str:
    """A table with its machine under it.

    Args:
        result: the whole.
        rows: to show; of one device.
        missing: name those that were not measured too.
    """
    size, device = result["settings"]["image_size"], rows[0]["device"]
    base = BASES[device].removesuffix(" fp32")
    lines = [
        f"| {size}x{size}, batch 1, array to array | class | ms | times {base} | PSNR to float32 | of the limit |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        name = f"**{row['name']}**" if row["ours"] else row["name"]
        times, share = row["times_base"], row["share_of_limit"]
        speed = f"{times['median']:.2f} ({_range(times)})" if times else "–"
        speed = "1" if row["name"] == BASES[device] else speed
        decibels = "same pictures" if row["psnr_db"] is None else f"{_decibels(row)} dB{_warning(row)}"
        part = f"{share['median']:.0%}" if share else "–"
        lines.append(f"| {name} | {row['class']} | {row['ms']['median']:.1f} | {speed} | {decibels} | {part} |")
    if missing:
        absent = [row for row in _missing(result) if row["device"] == device]
        lines += [f"| {row['name']} | {row['class']} | not measured: {row['not_measured']} | | | |" for row in absent]
    return "\n".join([*lines, "", caption(result, device)])


def caption(result: dict[str, Any], device: str) -> str:
    """What was measured, on what, and how."""
    settings, about = result["settings"], result["machine"]
    titles = TITLES[device]
    versions = {titles[name]: found for name, found in about["libraries"].items() if name in titles}
    where = [f"{about['cpu']}, {about['threads']} of {about['cores']} cores", about["system"]]
    where += [about["gpu"]] if device == "gpu" and about["gpu"] else []
    limits = {
        key.split()[1]: limit["gmac_per_s"]["median"]
        for key, limit in result["limits"].items()
        if "by" in limit and key.startswith(device)
    }
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in limits.items())
    return (
        f"The generator with conv {settings['conv_dim']}, {settings['blocks']} blocks and random weights, "
        f"{result['network_gmac']:.2f} GMAC, on {', '.join(where)}, "
        f"{', '.join(f'{name} {found}' for name, found in versions.items())}. Medians of {settings['rounds']} rounds "
        "in turns, ratios with their 95 % bootstrap interval. "
        + (f"The limit is the machine's fastest convolution or matrix product, in GMAC/s: {rates}." if rates else "")
    ).strip()


def _missing(result: dict[str, Any]) -> list[Row]:
    return [row for row in result["rows"] if "not_measured" in row]


def _range(interval: dict[str, float]) -> str:
    return f"{interval['low']:.2f}–{interval['high']:.2f}"


def _decibels(row: Row) -> str:
    return "equal" if row["psnr_db"] is None else f"{row['psnr_db']:.1f}"


def _warning(row: Row) -> str:
    return f", below {BUDGET_DB[row['class']]:.0f}" if below_budget(row) else ""


def plot(result: dict[str, Any], path: Path) -> None:
    """Bars of ms a call with their intervals, the PSNR at their ends; the shorter, the faster."""
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
    ends = ["same pictures" if row["psnr_db"] is None else f"{_decibels(row)} dB{_warning(row)}" for row in rows]
    axes.bar_label(bars, ends, padding=6, fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.2)
    settings, about = result["settings"], result["machine"]
    axes.set_xlabel(f"ms a translation, {settings['image_size']}x{settings['image_size']}, batch 1; PSNR to float32")
    axes.set_title(f"{about['cpu']}, {about['threads']} threads", fontsize="medium")
    with written_whole(path) as temporary:
        figure.savefig(temporary)
