"""The search for the width and depth of a lite generator: quality and measured latency of every candidate.

One parent with nested widths and depths is distilled from the teacher. Each candidate is then cut out of it, judged,
and timed as an engine of the target. Everything that was computed is kept in the folder of the search, so that a search
can be stopped and continued.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.table import Table

from stargan_rt import Engine
from stargan_rt.builder import BuildConfig, build
from stargan_rt.errors import ExportError, InputError
from stargan_rt.files import written_whole
from stargan_rt.models import bundled_samples
from stargan_rt.timing import measure_latency
from training.batch import step_random
from training.checkpoint import TrainState
from training.config import EvalConfig, TrainConfig
from training.data.dataset import to_network
from training.data.spec import DataSpec
from training.distillation import for_teacher
from training.lite import LiteGenerator
from training.nested import child
from training.run import LATEST, run
from training.subject import Subject
from training.targets import draw_requests
from training.teacher import Teacher

JUDGED = 64
"""Images that are compared with the teacher's translations."""
JUDGING_RANK = 2**31 + 2
"""Takes the place of a process's rank, so that judging draws other images than any training step."""
Latency = Callable[[Path], float]
"""Checkpoint of a candidate → ms for one translation on the target."""


@dataclass(frozen=True)
class Candidate:
    """A width and depth, and what was measured of it.

    Attributes:
        conv_dim, blocks: of the generator.
        psnr_db: of its translations to the teacher's, with the weights that it shares with the parent.
        recognised: share of its translations to a label that a classifier recognises, the mean over the labels; None if
            the images have no labels.
        latency_ms: of one translation on the target.
    """

    conv_dim: int
    blocks: int
    psnr_db: float
    recognised: float | None
    latency_ms: float

    @property
    def quality(self) -> float:
        """What candidates are ranked by: the recognised share, or else the PSNR."""
        return self.psnr_db if self.recognised is None else self.recognised


def pareto_front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates that no other one beats in both quality and latency, the fastest first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.latency_ms, -c.quality)):
        if not front or candidate.quality > front[-1].quality:
            front.append(candidate)
    return front


def choose(
    candidates: list[Candidate], max_latency_ms: float | None = None, max_accuracy_drop: float | None = None
) -> Candidate:
    """Return the best candidate within a latency, or the fastest within a loss of accuracy.

    Args:
        candidates: all that were measured; the whole parent is among them.
        max_latency_ms: limit of the latency; the best quality within it wins.
        max_accuracy_drop: how much of the recognised share of the best candidate may be lost, in [0, 1]; the fastest
            within it wins.

    Raises:
        InputError: not exactly one limit is given, no candidate keeps it, or the accuracy is unknown.
    """
    if (max_latency_ms is None) == (max_accuracy_drop is None):
        raise InputError("give either --max-latency-ms or --max-accuracy-drop")
    if max_latency_ms is not None:
        fast = [candidate for candidate in candidates if candidate.latency_ms <= max_latency_ms]
        if not fast:
            fastest = min(candidate.latency_ms for candidate in candidates)
            raise InputError(f"no candidate takes at most {max_latency_ms:g} ms; the fastest takes {fastest:.2f} ms")
        return max(fast, key=lambda candidate: candidate.quality)
    if any(candidate.recognised is None for candidate in candidates):
        raise InputError("--max-accuracy-drop needs images with the teacher's labels; give such --data")
    best = max(candidate.quality for candidate in candidates)
    good = [candidate for candidate in candidates if candidate.quality >= best - (max_accuracy_drop or 0.0)]
    return min(good, key=lambda candidate: candidate.latency_ms)


def measured_latency(backend: str, precision: str) -> Latency:
    """Return a function that exports, builds and times a candidate on this machine.

    The weights do not matter for the time, so the quality gate of the build is open.
    """

    def measure(checkpoint: Path) -> float:
        with tempfile.TemporaryDirectory(prefix="stargan-rt-search-") as folder:
            onnx = Path(folder) / "candidate.onnx"
            # A program of its own, since training does not import export.
            line = [sys.executable, "-m", "export", f"--checkpoint={checkpoint.resolve()}", f"--output={onnx}"]
            done = subprocess.run(line, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
            if done.returncode:
                raise ExportError(f"a candidate could not be exported: {done.stderr.strip()}")
            calib = "avatars" if precision == "int8" else None
            made = build(onnx, BuildConfig(backend, precision, calib=calib, calib_count=8, min_psnr=0.0), force=True)
            with Engine.load(made.path) as engine:
                image, label = str(bundled_samples()[0]), engine.labels.names[0]
                pixels = engine.translate(image, label)  # of the network's size
                return measure_latency(lambda: engine.translate(pixels, label)).p50_ms

    return measure


def search(
    config: TrainConfig,
    out: Path,
    latency: Latency,
    table: Mapping[str, float] | None = None,
    classifier_steps: int = 1500,
    report: Callable[[str], object] = print,
) -> list[Candidate]:
    """Train the parent, then judge and time every candidate; what is in the folder already is not repeated.

    Args:
        config: of the parent, with `nested_widths` and `nested_depths`.
        out: folder of the search: ``parent/``, ``candidates.json`` and, while one is timed, ``candidate.pt``.
        latency: times a candidate.
        table: latencies in ms that were measured before, by ``"CONV_DIMxBLOCKS"``; they replace the measurement.
        classifier_steps: of the evaluator.
        report: receives messages for the user.

    Raises:
        InputError: the folder belongs to another search.
    """
    parent, latest, kept = out / "parent", out / "parent" / LATEST, out / "candidates.json"
    resume = latest.exists()
    if resume and TrainState.stored_config(latest, {}) != config:
        raise InputError(f"{parent} was trained with other settings; choose another --out, or delete the folder")
    state = run(config, parent, resume=resume, open_data=for_teacher, report=report)
    found = {(c.conv_dim, c.blocks): c for c in _read(kept)}
    for width in config.nested_widths:
        for depth in config.nested_depths:
            if (width, depth) in found:
                continue
            report(f"candidate: conv {width}, {depth} blocks")
            whole = state.averaged
            assert isinstance(whole, LiteGenerator)  # the config says so
            small = child(whole, width, depth).eval()
            start = child_checkpoint(config, state, width, depth, out / "candidate.pt")
            measured = (table or {}).get(f"{width}x{depth}")
            quality = _quality(small, config, state, classifier_steps)
            found[width, depth] = Candidate(width, depth, *quality, latency(start) if measured is None else measured)
            start.unlink()
            with written_whole(kept) as temporary:
                temporary.write_text(json.dumps([asdict(c) for c in found.values()], indent=2) + "\n")
    return list(found.values())


def child_checkpoint(config: TrainConfig, state: TrainState, width: int, depth: int, path: Path) -> Path:
    """Write a checkpoint of one candidate, with the weights of its parent, from which it can be trained further."""
    own = TrainState.fresh(child_config(config, width, depth), state.space, "cpu")
    for kept, source in ((own.generator, state.generator), (own.averaged, state.averaged)):
        assert isinstance(source, LiteGenerator)
        kept.load_state_dict(child(source, width, depth).state_dict())
    own.discriminator.load_state_dict(state.discriminator.state_dict())
    own.save(path)
    return path


def child_config(config: TrainConfig, width: int, depth: int) -> TrainConfig:
    """Return the settings of a candidate that is trained on its own."""
    return replace(config, conv_dim=width, blocks=depth, nested_widths=(), nested_depths=())


def table_of(candidates: list[Candidate]) -> Table:
    """Return the candidates for the terminal, the fastest first; those of the Pareto front are marked."""
    front = pareto_front(candidates)
    table = Table(box=None, padding=(0, 2, 0, 0), caption="* no other candidate is both better and faster")
    for heading in ("conv", "blocks", "ms", "PSNR to the teacher", "recognised", ""):
        table.add_column(heading, justify="right")
    for c in sorted(candidates, key=lambda c: c.latency_ms):
        share = "–" if c.recognised is None else f"{c.recognised:.1%}"
        row = (str(c.conv_dim), str(c.blocks), f"{c.latency_ms:.2f}", f"{c.psnr_db:.2f} dB", share)
        table.add_row(*row, "*" if c in front else "")
    return table


def plot(candidates: list[Candidate], path: Path) -> None:
    """Write a plot of the candidates and their Pareto front: .png, .svg or .pdf."""
    from stargan_rt.bench.report import figure_class

    axes = figure_class()(figsize=(6, 4), layout="constrained").add_subplot()
    front = pareto_front(candidates)
    axes.plot([c.latency_ms for c in front], [c.quality for c in front], color="tab:blue")
    axes.scatter([c.latency_ms for c in candidates], [c.quality for c in candidates], color="tab:blue")
    for c in candidates:
        axes.annotate(f" {c.conv_dim}x{c.blocks}", (c.latency_ms, c.quality))
    axes.set_xlabel("ms for one translation")
    axes.set_ylabel("recognised" if front[0].recognised is not None else "PSNR to the teacher in dB")
    with written_whole(path) as temporary:
        axes.figure.savefig(temporary)


def _read(path: Path) -> list[Candidate]:
    return [Candidate(**values) for values in json.loads(path.read_text())] if path.exists() else []


@torch.no_grad()
def _quality(
    small: LiteGenerator, config: TrainConfig, state: TrainState, classifier_steps: int
) -> tuple[float, float | None]:
    """Return the PSNR to the teacher's translations, and the recognised share where the images have labels."""
    teacher, (datasets, space) = Teacher.open(config.teacher), for_teacher(config)
    random = step_random(config.seed, 0, rank=JUDGING_RANK)
    squares = []
    for start in range(0, JUDGED, config.batch_size):
        index = torch.randint(len(datasets[0].images), (min(config.batch_size, JUDGED - start),), generator=random)
        images = to_network(datasets[0].images[index.numpy()])
        requests = draw_requests(space, len(images), random)
        difference = small(images, requests) - teacher.translate(images, requests)
        squares.append(difference.square().flatten(1).mean(dim=1))
    psnr_db = float(10 * torch.log10(4 / torch.cat(squares).clamp(min=1e-9)).mean())
    if any(not data.labels.any() for data in datasets) or any(
        DataSpec.parse(text).kind in ("folder", "table", "images") for text in config.data
    ):
        return psnr_db, None
    subject = Subject(small, space, config.image_size, "cpu", config.data, {})
    scores = subject.evaluate(EvalConfig(classifier_steps=classifier_steps))[0].scores.values()
    return psnr_db, sum(score.accuracy for score in scores) / len(scores)
