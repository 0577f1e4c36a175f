"""Everything around the training loop: progress, log, TensorBoard, sample pictures, checkpoints and checks."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from stargan_rt.errors import MissingDependencyError, StarGANError
from stargan_rt.images import write_image
from training.batch import Batch, step_random
from training.checkpoint import WEIGHTS, TrainState
from training.data.dataset import Dataset, to_network, to_pictures
from training.distributed import Processes
from training.losses import distillation_loss, generator_loss
from training.pairs import Pairs
from training.targets import parts, single_changes
from training.teacher import Teacher

LOG_EVERY = 10
"""Iterations between two lines of the log."""
SAMPLED = 8
"""Images of each data set in a sample picture."""
SCORED = 32
"""Images of each data set on which the two copies of the generator's weights are compared."""
SCORING_RANK = 2**31
"""Takes the place of a process's rank, so that scoring draws other images than any training step."""
MIN_EFFECT = 0.5
"""Mean difference between outputs for different labels, in levels of 255, below which a warning is printed."""


class Watch:
    """Reports on a run and saves it; a context manager around the loop.

    Args:
        state: the run; `state.config` says how often to log, sample and save.
        datasets: its data sets, in the order of `state.space`.
        out: folder for `latest.pt`, `log.jsonl`, `samples/` and `tensorboard/`; it must exist.
        processes: only the first process prints and writes.
        teacher: the run's teacher, if any; its loss counts in the scores of the weights.
        pairs: the teacher's translations that the first iterations are trained on.
    """

    def __init__(
        self,
        state: TrainState,
        datasets: Sequence[Dataset],
        out: Path,
        processes: Processes,
        teacher: Teacher | None = None,
        pairs: Pairs | None = None,
    ) -> None:
        self.state, self.datasets, self.out, self.processes = state, datasets, out, processes
        self.teacher, self.pairs = teacher, pairs
        self.progress = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]} it/s"), TimeRemainingColumn()
        )
        self.bar = self.progress.add_task("", total=state.config.iterations, completed=state.iteration, speed="–")
        self.line = Text(no_wrap=True, overflow="ellipsis")
        self.live = Live(Group(self.progress, self.line))
        self.marked = time.perf_counter()
        self.saved = state.iteration
        self.losses: dict[str, Tensor] = {}
        self.board = _tensorboard(out) if state.config.tensorboard and processes.first else None

    def __enter__(self) -> Watch:
        if self.processes.first:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Save the last iteration, also after Ctrl-C, unless a loss or weight is no longer finite."""
        try:
            if kind is None:
                self._check_finite()
            if self.processes.first and self.saved < self.state.iteration and self._finite():
                # An interrupted run must end quickly, so it keeps the scores of the previous checkpoint.
                self._save(scored=kind is None)
                self._sample()
        finally:
            self.progress.update(self.bar, completed=self.state.iteration)
            self.live.stop()
            if self.board:
                self.board.close()

    def after_iteration(self, losses: dict[str, Tensor]) -> None:
        """Log, sample and save where the iteration is due.

        Raises:
            StarGANError: a loss or weight is not finite; the previous checkpoint is kept.
        """
        self.losses = losses
        iteration, config = self.state.iteration, self.state.config
        logs, samples, saves = (iteration % every == 0 for every in (LOG_EVERY, config.sample_every, config.save_every))
        if not (logs or samples or saves):
            return  # reading a loss would wait for the device
        self._check_finite()
        if not self.processes.first:
            return
        if logs:
            self._log()
        if samples:
            self._sample()
        if saves:
            self._save()

    def _values(self) -> dict[str, float]:
        return {name: loss.item() for name, loss in self.losses.items()}

    def _finite(self) -> bool:
        networks = (self.state.generator, self.state.discriminator)
        weights = itertools.chain.from_iterable(network.parameters() for network in networks)
        return all(map(math.isfinite, self._values().values())) and all(bool(w.isfinite().all()) for w in weights)

    def _check_finite(self) -> None:
        if not self._finite():
            raise StarGANError(
                f"a loss or weight is no longer finite at iteration {self.state.iteration}: {self._values()}; "
                f"{self.out / 'latest.pt'} is the last good checkpoint: resume it with a lower --g-lr and --d-lr"
            )

    def _log(self) -> None:
        iteration, values = self.state.iteration, self._values()
        now = time.perf_counter()
        speed, self.marked = LOG_EVERY / (now - self.marked), now
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps({"iteration": iteration, "it_per_s": round(speed, 3), **values}) + "\n")
        self.line.plain = "  ".join(f"{name} {value:.2f}" for name, value in values.items())
        self.progress.update(self.bar, completed=iteration, speed=f"{speed:.2f}")
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, iteration)

    def _save(self, scored: bool = True) -> None:
        if scored:
            distilling = self.pairs is not None and self.state.iteration <= self.state.config.distill_iterations
            device, pairs = self.processes.device, self.pairs if distilling else None
            self.state.scores = score(self.state, self.datasets, device, self.teacher, pairs)
        self.state.save(self.out / "latest.pt")
        self.saved = self.state.iteration

    @torch.no_grad()
    def _sample(self) -> None:
        """Write a picture for each data set: a row for each image, the input followed by each single change."""
        for data, part in zip(self.datasets, parts(self.state.space), strict=True):
            images = to_network(data.images[:SAMPLED]).to(self.processes.device)
            changes = single_changes(torch.from_numpy(data.labels[:SAMPLED]), part)
            outputs = np.stack(
                [to_pictures(self.state.averaged(images, part.vector(c).to(self.processes.device))) for c in changes]
            )
            if len(outputs) > 1 and np.ptp(outputs.astype(np.float32), axis=0).mean() < MIN_EFFECT:
                self.live.console.print(f"[red]outputs on {data.name} do not depend on the label[/red]")
            grid = np.concatenate([np.concatenate(list(c)) for c in (to_pictures(images), *outputs)], axis=1)
            prefix = f"{data.name}-" if len(self.datasets) > 1 else ""
            write_image(self.out / "samples" / f"{prefix}{self.state.iteration:06d}.png", grid)
            if self.board:
                self.board.add_image(data.name, grid, self.state.iteration, dataformats="HWC")


@torch.no_grad()
def score(
    state: TrainState,
    datasets: Sequence[Dataset],
    device: str,
    teacher: Teacher | None = None,
    pairs: Pairs | None = None,
) -> dict[str, float]:
    """Return the generator's loss on the same images for both copies of its weights; lower is better.

    With `pairs` it is the difference from the teacher's translations alone.
    """
    config, totals = state.config, dict.fromkeys(WEIGHTS, 0.0)
    networks = {"averaged": state.averaged, "last": state.generator}
    if pairs:
        random = step_random(config.seed, 0, rank=SCORING_RANK)
        image, target, expected = (tensor.to(device) for tensor in pairs.batch(SCORED, random))
        return {name: float(distillation_loss(image, expected, net(image, target))) for name, net in networks.items()}
    for number in range(SCORED // config.batch_size + 1):
        for data, part in zip(datasets, parts(state.space), strict=True):
            batch = Batch.draw(data, part, config, step_random(config.seed, number, rank=SCORING_RANK), device)
            for weights in WEIGHTS:
                totals[weights] += generator_loss(networks[weights], state.discriminator, batch, config, teacher)[
                    0
                ].item()
    return totals


def _tensorboard(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependencyError("--tensorboard needs the tensorboard package: pip install tensorboard") from None
    return SummaryWriter(out / "tensorboard")
