"""The race: every contestant in turns, and what its rounds say."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx

from benchmarks.case import Case
from benchmarks.limit import CPU_PRECISIONS, GPU_PRECISIONS, OpenVINOLimit, TorchLimit, macs
from benchmarks.peers import BASES, NEEDS, PEERS, PRECISIONS, Peer, Timed
from benchmarks.statistics import estimate, ratio
from benchmarks.workers import Worker
from stargan_rt.builder import BUDGET_DB
from stargan_rt.errors import InputError
from stargan_rt.quality import psnr

Progress = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""
IDLE = 0.05
"""Share of a core above which a waiting contestant is said to disturb the others."""


@dataclass(frozen=True)
class Settings:
    """Of a run.

    Attributes:
        rounds: turns of every contestant.
        calls: that a turn counts.
        seed: of the order within the rounds.
    """

    rounds: int
    calls: int
    seed: int = 0


def chosen(patterns: Sequence[str], device: str, peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """Peers whose name matches one of the shell patterns, and the bases they are compared with.

    Raises:
        InputError: a pattern that matches nobody.
    """
    on_device = [peer for peer in peers if device in ("all", peer.device)]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(peer.name.lower(), pattern.lower()) for peer in on_device):
            raise InputError(f"no peer is called {pattern!r}; known: {', '.join(peer.name for peer in on_device)}")
    found = [
        peer
        for peer in on_device
        if not patterns or any(fnmatch.fnmatch(peer.name.lower(), pattern.lower()) for pattern in patterns)
    ]
    devices = {peer.device for peer in found}
    bases = [peer for peer in on_device if peer.name == BASES[peer.device] and peer.device in devices]
    return [*bases, *(peer for peer in found if peer not in bases)]


def race(case: Case, peers: Sequence[Peer], settings: Settings, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Prepares everybody one by one, runs the rounds, and sums up.

    A contestant that can't run or fails has a row with its reason; the race goes on without it.

    Args:
        case: written already.
        peers: who competes; the base of each device among them.
        settings: how long.
        progress: is told how far it is.

    Returns:
        JSON-ready: ``network_gmac``, ``limits``, ``rows`` and ``first_in_class``.
    """
    reasons = {peer.name: peer.unavailable() for peer in peers}
    limits = _limits(case, {peer.device for peer in peers if not reasons[peer.name]})
    makers: dict[str, Callable[[], Any]] = {
        **{key: make for key, (make, reason) in limits.items() if not reason},
        **{peer.name: partial(Timed, peer, case) for peer in peers if not reasons[peer.name]},
    }
    logs = {name: case.folder / f"worker-{number}.log" for number, name in enumerate(makers)}
    workers = {name: Worker(name, make, logs[name]) for name, make in makers.items()}
    try:
        for number, worker in enumerate(workers.values()):
            progress(f"preparing {worker.name}", number, len(workers))
            worker.prepare()
        rounds = _rounds(list(workers.values()), settings, progress)
    finally:
        for worker in workers.values():
            worker.close()
    return _Summary(case, peers, reasons, limits, workers, rounds).to_dict()


def _limits(case: Case, devices: set[str]) -> dict[str, tuple[Callable[[], Any], str | None]]:
    """Device and precision → what measures the limit, and why it can't be."""
    found: dict[str, tuple[Callable[[], Any], str | None]] = {}
    if "cpu" in devices:
        no_openvino = NEEDS["openvino"]()
        for precision in CPU_PRECISIONS:
            found[f"cpu {precision}"] = (partial(OpenVINOLimit, precision, case.threads), no_openvino)
    if "gpu" in devices:
        for precision in GPU_PRECISIONS:
            found[f"gpu {precision}"] = (partial(TorchLimit, precision), NEEDS["cuda"]())
    return found


def _rounds(workers: list[Worker], settings: Settings, progress: Progress) -> dict[str, list[Any]]:
    """Name → what each round measured. The order changes, so that nobody always follows the same neighbour."""
    shuffle = random.Random(settings.seed).shuffle
    found: dict[str, list[Any]] = {worker.name: [] for worker in workers}
    for number in range(settings.rounds):
        progress("rounds", number, settings.rounds)
        order = list(workers)
        shuffle(order)
        for worker in order:
            found[worker.name].append(worker.turn(settings.calls))
    progress("rounds", settings.rounds, settings.rounds)
    return found


class _Summary:
    """Rounds to rows."""

    def __init__(
        self,
        case: Case,
        peers: Sequence[Peer],
        reasons: dict[str, str | None],
        limits: dict[str, tuple[Callable[[], Any], str | None]],
        workers: dict[str, Worker],
        rounds: dict[str, list[Any]],
    ) -> None:
        self.case, self.peers, self.reasons, self.limits, self.workers = case, peers, reasons, limits, workers
        self.rounds = rounds
        self.master = case.master()
        self.gmac = macs(onnx.load(case.exported)) / 1e9
        self.ms = {
            peer.name: [float(np.median(times)) for times in rounds[peer.name]]
            for peer in peers
            if peer.name in workers and not workers[peer.name].failure
        }
        self.rates = {key: self._rates(key) for key in limits}

    def to_dict(self) -> dict[str, Any]:
        rows = [self._row(peer) for peer in self.peers]
        return {
            "network_gmac": round(self.gmac, 3),
            "limits": {key: self._limit(key) for key in self.limits},
            "rows": rows,
            "first_in_class": self._first(rows),
        }

    def _rates(self, key: str) -> tuple[str, list[float]] | None:
        """The fastest chain of a precision, and its GMAC/s by round."""
        worker = self.workers.get(key)
        if worker is None or worker.failure:
            return None
        rates = {
            name: [count / 1e6 / turn[name] for turn in self.rounds[key]]
            for name, count in worker.facts["macs"].items()
        }
        return max(rates.items(), key=lambda item: float(np.median(item[1])))

    def _limit(self, key: str) -> dict[str, Any]:
        rates = self.rates[key]
        if rates is None:
            return {"not_measured": self.limits[key][1] or self.workers[key].failure}
        return {"gmac_per_s": estimate(rates[1]).to_dict(1), "by": rates[0]}

    def _row(self, peer: Peer) -> dict[str, Any]:
        about: dict[str, Any] = {"name": peer.name, "device": peer.device, "class": peer.precision, "ours": peer.ours}
        if peer.name not in self.ms:
            return {**about, "not_measured": self.reasons[peer.name] or self.workers[peer.name].failure}
        worker, ms = self.workers[peer.name], self.ms[peer.name]
        precision = worker.facts["precision"]
        base, rates = self.ms.get(BASES[peer.device]), self.rates.get(f"{peer.device} {precision}")
        quality = psnr(worker.facts["pictures"], self.master)
        row = {
            **about,
            "class": precision,
            "ms": estimate(ms).to_dict(3),
            "times_base": ratio(base, ms).to_dict(3) if base else None,
            # One round's GMAC/s over the limit that the same round measured.
            "share_of_limit": ratio([self.gmac / t * 1e3 for t in ms], rates[1]).to_dict(3) if rates else None,
            "psnr_db": round(quality, 2) if np.isfinite(quality) else None,  # None: the same pictures
            "prepare_s": round(worker.prepare_s, 1),
            "idle_share": round(worker.idle_share, 4),
            "rounds_ms": [round(value, 3) for value in ms],
        }
        notes = [worker.facts["note"]] if worker.facts["note"] else []
        if worker.idle_share > IDLE:
            notes.append(f"used {worker.idle_share:.0%} of a core while others had their turns")
        return {**row, "note": "; ".join(notes)}

    def _first(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """By device and class: who is fastest of those within the class's budget, and how far ahead of the other side.

        The other side's fastest counts whatever its pictures are.
        """
        found = {}
        for device in BASES:
            for precision in PRECISIONS:
                raced = [row for row in rows if row["device"] == device and row["class"] == precision and "ms" in row]
                raced.sort(key=lambda row: row["ms"]["median"])
                right = [row for row in raced if not below_budget(row)]
                if not right:
                    continue
                first = right[0]["name"]
                faster = raced[: raced.index(right[0])]
                rivals = [row["name"] for row in raced if row["ours"] != right[0]["ours"]][:1]
                found[f"{device} {precision}"] = {
                    "first": first,
                    "ahead_of": {name: ratio(self.ms[name], self.ms[first]).to_dict(3) for name in rivals},
                    "faster_but_below_budget": [row["name"] for row in faster],
                }
        return found


def below_budget(row: dict[str, Any]) -> bool:
    """Its pictures are further from the master's than a build of that class may be."""
    return row["psnr_db"] is not None and row["psnr_db"] < BUDGET_DB[row["class"]]


def settings_dict(case: Case, settings: Settings) -> dict[str, Any]:
    """What a result says of its run."""
    return {"conv_dim": case.conv_dim, "blocks": case.blocks, "image_size": case.image_size, **asdict(settings)}
