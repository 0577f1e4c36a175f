"""The comparison of all peers: each has its turn in every round, and a row with what its rounds show."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from benchmarks import limit
from benchmarks.case import Case
from benchmarks.peers import BASES, NEEDS, PEERS, PRECISIONS, Peer, Timed
from benchmarks.statistics import estimate, ratio
from benchmarks.workers import Worker
from stargan_rt.builder import BUDGET_DB
from stargan_rt.errors import InputError
from stargan_rt.images import Pixels
from stargan_rt.quality import psnr
from stargan_rt.timing import in_turns

Progress: TypeAlias = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""
Row: TypeAlias = dict[str, Any]
IDLE = 0.05
"""Share of a core above which a waiting peer is noted for disturbing the others."""


@dataclass(frozen=True)
class Settings:
    """Settings of a race.

    Attributes:
        rounds: number of turns of every peer.
        calls: number of calls that a turn counts.
        seed: seed of the order within the rounds.
    """

    rounds: int
    calls: int
    seed: int = 0


def chosen(patterns: Sequence[str], device: str, peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """Return the peers whose name matches one of the shell patterns, and the bases they are compared with.

    Raises:
        InputError: a pattern matches no peer.
    """
    on_device = [peer for peer in peers if device in ("all", peer.device)]

    def matches(peer: Peer, pattern: str) -> bool:
        return fnmatch.fnmatch(peer.name.lower(), pattern.lower())

    for pattern in patterns:
        if not any(matches(peer, pattern) for peer in on_device):
            raise InputError(f"no peer is called {pattern!r}; known: {', '.join(peer.name for peer in on_device)}")
    matching = [peer for peer in on_device if not patterns or any(matches(peer, pattern) for pattern in patterns)]
    devices = {peer.device for peer in matching}
    bases = [peer for peer in on_device if peer.name == BASES[peer.device] and peer.device in devices]
    return [*bases, *(peer for peer in matching if peer not in bases)]


def race(case: Case, peers: Sequence[Peer], settings: Settings, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Prepare all peers one by one, run the rounds, and sum up.

    A peer that can't run or fails has a row with the reason; the race goes on without it.

    Args:
        case: the generator, already written.
        peers: who takes part; the base of each device among them.
        settings: how long.
        progress: called with the phase, the steps done and the number of all steps.

    Returns:
        JSON-ready: ``network_gmac``, ``limits``, ``rows`` and ``first_in_class``.
    """
    missing: dict[str, str | None] = {peer.name: peer.unavailable() for peer in peers}
    limits = _limits(case, {peer.device for peer in peers if not missing[peer.name]}, missing)
    makers: dict[str, Callable[[], Any]] = {**limits, **{peer.name: partial(Timed, peer, case) for peer in peers}}
    workers = {
        name: Worker(name, make, case.folder / f"worker-{number}.log")
        for number, (name, make) in enumerate(makers.items())
        if not missing[name]
    }
    try:
        for number, worker in enumerate(workers.values()):
            progress(f"preparing {worker.name}", number, len(workers))
            worker.prepare()
        turns = {name: partial(worker.turn, settings.calls) for name, worker in workers.items()}
        measured = in_turns(turns, settings.rounds, seed=settings.seed, progress=partial(progress, "rounds"))
    finally:
        for worker in workers.values():
            worker.close()
    reasons = missing | {name: worker.failure for name, worker in workers.items()}
    rates = {key: _rates(workers[key], measured[key]) for key in limits if not reasons[key]}
    ms = {peer.name: medians(measured[peer.name]) for peer in peers if not reasons[peer.name]}
    master, gmac = case.master(), case.gmac()
    rows = []
    for peer in peers:
        if reason := reasons[peer.name]:
            rows.append({**about(peer), "not_measured": reason})
            continue
        worker = workers[peer.name]
        base, (_, limit_rates) = (
            ms.get(BASES[peer.device]),
            rates.get(f"{peer.device} {worker.facts['precision']}", ("", None)),
        )
        rows.append(row(peer, worker, ms[peer.name], gmac, master, base, limit_rates))
    return {
        "network_gmac": round(gmac, 3),
        "limits": {
            key: {"gmac_per_s": estimate(rates[key][1], 1), "by": rates[key][0]}
            if key in rates
            else {"not_measured": reasons[key]}
            for key in limits
        },
        "rows": rows,
        "first_in_class": _first_in_class(rows, ms),
    }


def about(peer: Peer) -> Row:
    """Begin a row: which peer it is."""
    return {"name": peer.name, "device": peer.device, "class": peer.precision, "ours": peer.ours}


def medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    """Return the median ms of each round."""
    return [float(np.median(times)) for times in rounds]


def row(
    peer: Peer,
    worker: Worker,
    ms: list[float],
    gmac: float,
    master: Pixels,
    base: list[float] | None = None,
    rates: list[float] | None = None,
) -> Row:
    """Make a peer's row.

    Args:
        peer: who was measured.
        worker: its process.
        ms: median of each round.
        gmac: multiplications of the network, in 1e9.
        master: float32 images, uint8 ``(n, H, W, 3)``.
        base: ms of each round of the peer that speeds are compared with.
        rates: GMAC/s of each round of the fastest chain of this precision.
    """
    quality = psnr(worker.facts["images"], master)
    notes = [worker.facts["note"]] if worker.facts["note"] else []
    if worker.idle_share > IDLE:
        notes.append(f"used {worker.idle_share:.0%} of a core while others had their turns")
    return {
        **about(peer),
        "class": worker.facts["precision"],
        "ms": estimate(ms, 3),
        "times_base": ratio(base, ms, 3) if base else None,
        # GMAC/s of a round over the limit measured in the same round.
        "share_of_limit": ratio([gmac / t * 1e3 for t in ms], rates, 3) if rates else None,
        "psnr_db": round(quality, 2) if np.isfinite(quality) else None,  # None: the same images
        "prepare_s": round(worker.prepare_s, 1),
        "idle_share": round(worker.idle_share, 4),
        "rounds_ms": [round(value, 3) for value in ms],
        "note": "; ".join(notes),
    }


def below_budget(row: Mapping[str, Any]) -> bool:
    """Whether the images are further from the master's than a build of that class may be."""
    return row["psnr_db"] is not None and row["psnr_db"] < BUDGET_DB[row["class"]]


def _limits(case: Case, devices: set[str], missing: dict[str, str | None]) -> dict[str, Callable[[], Any]]:
    """Return device and precision → what measures its limit; why it can't goes into `missing`."""
    makers: dict[str, Callable[[], Any]] = {}
    for device in sorted(devices):
        reason = NEEDS["openvino" if device == "cpu" else "cuda"]()
        for precision in limit.PRECISIONS[device]:
            on_cpu = partial(limit.OpenVINOLimit, precision, case.threads)
            makers[f"{device} {precision}"] = on_cpu if device == "cpu" else partial(limit.TorchLimit, precision)
            missing[f"{device} {precision}"] = reason
    return makers


def _rates(worker: Worker, rounds: list[dict[str, float]]) -> tuple[str, list[float]]:
    """Return the fastest chain of a precision, and its GMAC/s by round."""
    rates = {name: [count / 1e6 / turn[name] for turn in rounds] for name, count in worker.facts["macs"].items()}
    return max(rates.items(), key=lambda item: float(np.median(item[1])))


def _first_in_class(rows: list[Row], ms: Mapping[str, list[float]]) -> dict[str, Any]:
    """By device and class: the fastest within the budget, and how far ahead of the other side's fastest it is.

    The other side's fastest counts even if its images are below the budget.
    """
    result = {}
    for device in BASES:
        for precision in PRECISIONS:
            ranked = [row for row in rows if row["device"] == device and row["class"] == precision and "ms" in row]
            ranked.sort(key=lambda row: row["ms"]["median"])
            first = next((row for row in ranked if not below_budget(row)), None)
            if first is None:
                continue
            rivals = [row["name"] for row in ranked if row["ours"] != first["ours"]][:1]
            result[f"{device} {precision}"] = {
                "first": first["name"],
                "ahead_of": {name: ratio(ms[name], ms[first["name"]], 3) for name in rivals},
                "faster_but_below_budget": [row["name"] for row in ranked[: ranked.index(first)]],
            }
    return result
