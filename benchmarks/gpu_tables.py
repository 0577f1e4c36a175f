"""Results of `python -m benchmarks gpu` as the documents' tables; without a result, they say "not measured"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.markdown import Column, decibels, interval, number, table, text
from benchmarks.peers import BASES, TENSORRTS
from benchmarks.scaling import COLUMNS
from stargan_rt.errors import InputError

Result = Mapping[str, Any]
NOT_MEASURED = "not measured"
OURS = (*TENSORRTS.values(), "ONNX Runtime")
RIVALS = (BASES["gpu"], "PyTorch CUDA graphs fp16", "torch.compile CUDA fp16", "trtexec fp16")
PARTS = {
    "lanes": "lanes",
    "batches": "batches",
    "scaling": "sizes",
    "training": "training",
}
"""Section → the columns of `benchmarks.scaling` that its rows have."""


def summary(results: Mapping[str, Result]) -> str:
    """Return the README's table: a row for each claim, a column for each GPU.

    Raises:
        InputError: a result was not measured on a GPU.
    """
    columns = [Column("on a GPU", text("name"), words=True)]
    columns += [Column(_title(name, result), text(name), words=True) for name, result in results.items()]
    if not results:
        columns.append(Column("", text("none"), words=True))
    rows = [
        {"name": name, "none": NOT_MEASURED, **{key: cell(result) for key, result in results.items()}}
        for name, cell in CLAIMS.items()
    ]
    return table(columns, rows)


def full(results: Mapping[str, Result]) -> str:
    """Return all tables of every GPU."""
    if not results:
        sections = {
            "peers": "fp32, fp16 and int8 next to PyTorch, ONNX Runtime CUDA and trtexec",
            "overhead, graph, lanes": "what `translate` adds; a captured graph; lanes",
            "frames": "frame kernels",
            "builds, batches, scaling": "builds; images a second by batch; cost of a pixel by size",
            "training": "the training step",
        }
        columns = [Column("section", text("section"), words=True), Column("what", text("what"), words=True)]
        rows = [{"section": s, "what": what, "not_measured": "no result yet"} for s, what in sections.items()]
        return table([*columns, Column("", text("what"))], rows)
    parts = []
    for name, result in results.items():
        parts.append(f"### {_title(name, result)}\n\n{peers(result)}")
        for section, columns_of in PARTS.items():
            rows = [
                {"engine": engine, **row}
                for engine, entry in result["sections"].get(section, {}).items()
                for row in entry.get("rows", ())
            ]
            if rows:
                engine = Column("engine", text("engine"), words=True)
                parts.append(table([engine, *COLUMNS[columns_of]], rows))
    return "\n\n".join(parts)


def peers(result: Result) -> str:
    """Return the peers of one GPU, each measured alone, so their ratios have no interval."""
    entries = result["sections"].get("peers", {})
    base = entries.get(BASES["gpu"], {}).get("ms")
    columns = [
        Column("128x128, batch 1, array to array", lambda row: _bold(row["name"], row["ours"]), words=True),
        Column("class", text("class")),
        Column("ms", number("ms", 3)),
        Column("times PyTorch eager", lambda row: f"{base['median'] / row['ms']['median']:.2f}" if base else "–"),
        Column("PSNR to float32", decibels("class", "same images")),
        Column("SM clock, MHz", lambda row: str(row["clocks"].get("sm_clock_mhz", {}).get("median", "–"))),
    ]
    return table(columns, [{"name": name, "ours": False, **entry} for name, entry in entries.items()])


def _bold(name: str, ours: bool) -> str:
    return f"**{name}**" if ours else name


def _title(name: str, result: Result) -> str:
    gpu = result["machine"]["gpu"]
    if not gpu:
        raise InputError(f"{name} was not measured on a GPU; its figures belong into no document")
    return str(gpu)


def _entry(result: Result, section: str, name: str) -> Result | None:
    """Return a measured entry; None if there is none."""
    entry: Result = result["sections"].get(section, {}).get(name, {"not_measured": ""})
    return None if "not_measured" in entry else entry


def _plans(result: Result, section: str, cell: Callable[[Result], str]) -> str:
    """Return the cell of a section that measures the fp16 plan of either TensorRT."""
    entries = {title: _entry(result, section, f"{title} fp16") for title in TENSORRTS.values()}
    return "; ".join(f"{title} {cell(entry)}" for title, entry in entries.items() if entry) or NOT_MEASURED


def _overhead(entry: Result) -> str:
    return f"{entry['latency']['p50_ms']:.3f} ms, of which {entry['added_ms']:.3f} ms are not the driver's"


def _lanes(entry: Result) -> str:
    two = next(row for row in entry["rows"] if row["lanes"] == 2)
    return f"{interval(two['times_first'])} times the images of one"


def _frames(result: Result) -> str:
    shares = []
    for kernel in ("crop", "paste"):
        entries = [_entry(result, "frames", layout) for layout in ("rgb", "bgr", "nv12")]
        values = [entry[f"{kernel}_share_of_copy"]["median"] for entry in entries if entry]
        shares += [f"{kernel} {min(values):.0%} to {max(values):.0%}"] if values else []
    return ", ".join(shares) or NOT_MEASURED


def _against(result: Result, precision: str) -> str:
    """Return which of our engines of a precision is fastest, and how many times as fast as its rivals it is."""
    ours = {title: _entry(result, "peers", f"stargan-rt {title} {precision}") for title in OURS}
    times = {title: entry["ms"]["median"] for title, entry in ours.items() if entry}
    if not times:
        return NOT_MEASURED
    first = min(times, key=times.__getitem__)
    rivals = {name: _entry(result, "peers", name) for name in RIVALS}
    ratios = [f"{entry['ms']['median'] / times[first]:.2f} times {name}" for name, entry in rivals.items() if entry]
    return ", ".join([f"{first} {times[first]:.3f} ms", *ratios])


CLAIMS: Mapping[str, Callable[[Result], str]] = {
    "`translate` at batch 1, fp16, and what the host adds to it": partial(_plans, section="overhead", cell=_overhead),
    "a captured graph, compared with plain enqueue": partial(
        _plans, section="graph", cell=lambda entry: f"{interval(entry['times_as_fast'])} times as fast"
    ),
    "two lanes, compared with one": partial(_plans, section="lanes", cell=_lanes),
    "frame kernels, as a share of the copy bandwidth": _frames,
    "fp16, compared with PyTorch and trtexec": partial(_against, precision="fp16"),
    "int8, compared with PyTorch and trtexec": partial(_against, precision="int8"),
}
"""What the README says of a GPU → its cell in a result's column."""
