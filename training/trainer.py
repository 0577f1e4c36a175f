"""The training loop (paper, section 3.1 and appendix 7.2), on one data set or several with mask vectors."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from stargan_rt.errors import MissingDependencyError, StarGANError
from stargan_rt.files import written_whole
from training.checkpoint import WEIGHTS, TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, to_network, to_pictures
from training.distributed import Processes
from training.losses import classification_loss, gradient_penalty, reconstruction_loss
from training.targets import Part, draw_targets, parts, single_changes
from training.teacher import Teacher

LOG_EVERY = 10
SAMPLED = 8
SCORED = 32
"""Images of each data set that decide which copy of the weights is better."""
SCORING = 2**31
"""In place of a process's rank: draws that no step makes."""
MIN_EFFECT = 0.5
"""Levels of 255 below which outputs are said not to depend on the label."""


def train(state: TrainState, datasets: Sequence[Dataset], out: Path, processes: Processes) -> None:
    """Trains until `state.config.iterations`, writing to the folder `out`.

    `out/latest.pt` is the newest checkpoint, `out/samples/` has a picture per sampling, and
    `out/log.jsonl` a line of losses every 10 iterations. Ctrl-C saves before it leaves.
    """
    teacher = Teacher.of(state.config, state.space, processes.device)
    with Watch(state, datasets, out, processes, teacher) as watch:
        for losses in iterate(state, datasets, processes, teacher):
            watch.after_iteration(losses)


def iterate(
    state: TrainState, datasets: Sequence[Dataset], processes: Processes, teacher: Teacher | None = None
) -> Iterator[dict[str, Tensor]]:
    """The iterations of a run: each gives its losses, detached, once the weights have changed.

    An iteration is a critic step on each data set in turn and, every `n_critic` of them, a generator
    step. Losses of the generator stay until its next step; those of several data sets bear their names.
    """
    config, device = state.config, processes.device
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.precision)
    autocast = torch.autocast(device.partition(":")[0], kind, enabled=kind is not None)
    generate: Any = processes.parallel(state.generator)
    judge: Any = processes.parallel(state.discriminator)
    if config.compile:
        generate, judge = torch.compile(generate), torch.compile(judge)
    layout = parts(state.space)
    losses: dict[str, Tensor] = {}

    while state.iteration < config.iterations:
        random = step_random(config.seed, state.iteration, processes.rank)
        factor = config.learning_rate_factor(state.iteration)
        _set_learning_rate(state.g_optimizer, config.g_lr * factor)
        _set_learning_rate(state.d_optimizer, config.d_lr * factor)

        for data, part in zip(datasets, layout, strict=True):
            batch = Batch.draw(data, part, config, random, device)

            # Critic: real images score high and are classified, fake ones score low (equations 5 and 8).
            with autocast:
                with torch.no_grad():
                    fake = generate(batch.real, batch.target).float()
                score, logits = judge(batch.seen(torch.cat([batch.real, fake])))  # one pass is faster than two
            real_score, fake_score = score.float().chunk(2)
            d_adv = fake_score.mean() - real_score.mean()
            real_logits = logits[: len(fake), part.where]
            d_cls = classification_loss(real_logits, batch.label, data.one_of_k, config.label_smoothing)
            d_gp = gradient_penalty(state.discriminator.score_gradient, batch.real, fake, batch.mix)
            d_loss = d_adv + config.lambda_cls * d_cls + config.lambda_gp * d_gp
            _step(state.d_optimizer, state.d_scaler, d_loss)
            prefix = f"{data.name}/" if len(datasets) > 1 else ""
            found = {"D/adv": d_adv, "D/cls": d_cls, "D/gp": d_gp}

            if state.iteration >= config.warm_up and (state.iteration + 1) % config.n_critic == 0:
                with autocast:
                    g_loss, g_parts = generator_loss(generate, judge, batch, config, teacher)
                _step(state.g_optimizer, state.g_scaler, g_loss)
                _average(state)
                found |= g_parts
            losses |= {prefix + name: loss.detach() for name, loss in found.items()}

        state.iteration += 1
        yield losses


@dataclass(frozen=True)
class Batch:
    """What one step sees of a data set.

    Attributes:
        real: images, float ``(n, 3, h, w)`` in [-1, 1].
        label, wanted: the images' labels and those their translations should show, ``(n, c)`` of `part`.
        source, target: what the generator is told on the way back and on the way there, ``(n, dim)``.
        mix: for the gradient penalty.
        noise: added to what the critic sees, real and fake images alike, ``(2 n, 3, h, w)``, or 0.
        shown: 0 where the critic sees nothing, 1 elsewhere, ``(2 n, 1, h, w)``, or 1.
    """

    part: Part
    one_of_k: bool
    real: Tensor
    label: Tensor
    wanted: Tensor
    source: Tensor
    target: Tensor
    mix: Tensor
    noise: Tensor
    shown: Tensor

    @classmethod
    def draw(cls, data: Dataset, part: Part, config: TrainConfig, random: torch.Generator, device: str) -> Batch:
        real, label = data.batch(config.batch_size, random)
        told, wanted = draw_targets(label, part.unit, config.partial_targets, random)
        mix = torch.rand(len(real), 1, 1, 1, generator=random)
        noise = torch.zeros(1)
        if config.noise:
            strength = config.noise * torch.rand(2 * len(real), 1, 1, 1, generator=random)
            noise = strength * torch.randn(2 * len(real), *real.shape[1:], generator=random)
        shown = torch.ones(1)
        if config.cutout:
            shown = cut_out(2 * len(real), real.shape[2:], config.cutout, random)
        tensors = (real, label, wanted, part.vector(label), part.vector(told), mix, noise, shown)
        return cls(part, data.one_of_k, *(t.to(device, non_blocking=True) for t in tensors))

    def seen(self, images: Tensor) -> Tensor:
        """What the critic sees of the fake images, or of the real ones and then the fake ones."""
        return (images + self.noise[-len(images) :]) * self.shown[-len(images) :]


def cut_out(count: int, size: Sequence[int], share: float, random: torch.Generator) -> Tensor:
    """Masks ``(count, 1, h, w)`` that are 0 in a rectangle of `share` of the sides, anywhere, and 1 elsewhere."""
    inside = torch.ones(count, 1, 1, 1, dtype=torch.bool)
    for axis, length in enumerate(size, start=2):
        place = torch.arange(length).view([-1 if dim == axis else 1 for dim in range(4)])
        middle = length * torch.rand(count, 1, 1, 1, generator=random)
        inside = inside & ((place - middle).abs() < share * length / 2)
    return 1.0 - inside.float()


def generator_loss(
    generate: Any, judge: Any, batch: Batch, config: TrainConfig, teacher: Teacher | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Fakes score high, show the target, and lead back to the image (equation 6); the sum and its parts.

    Where there is a teacher, they also look like its own.
    """
    fake = generate(batch.real, batch.target).float()
    score, logits = judge(batch.seen(fake))
    back = generate(fake, batch.source)
    adv = -score.float().mean()
    cls = classification_loss(logits[:, batch.part.where], batch.wanted, batch.one_of_k, config.label_smoothing)
    rec = reconstruction_loss(batch.real, back)
    total, found = adv + config.lambda_cls * cls + config.lambda_rec * rec, {"G/adv": adv, "G/cls": cls, "G/rec": rec}
    if teacher:
        found["G/teacher"] = teacher.loss(batch.real, batch.target, fake)
        total = total + config.lambda_teacher * found["G/teacher"]
    return total, found


@torch.no_grad()
def score(
    state: TrainState, datasets: Sequence[Dataset], device: str, teacher: Teacher | None = None
) -> dict[str, float]:
    """The generator's loss on the same images for both copies of its weights; less is better."""
    config, totals = state.config, dict.fromkeys(WEIGHTS, 0.0)
    for number in range(SCORED // config.batch_size + 1):
        for data, part in zip(datasets, parts(state.space), strict=True):
            batch = Batch.draw(data, part, config, step_random(config.seed, number, rank=SCORING), device)
            for weights in WEIGHTS:
                network = state.averaged if weights == "averaged" else state.generator
                totals[weights] += generator_loss(network, state.discriminator, batch, config, teacher)[0].item()
    return totals


def step_random(seed: int, iteration: int, rank: int) -> torch.Generator:
    """The random numbers of one iteration in one process.

    They depend on nothing else, so a resumed run draws what an uninterrupted one would have drawn.
    """
    mixed = np.random.SeedSequence([seed, iteration, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _step(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@torch.no_grad()
def _average(state: TrainState) -> None:
    # A young average follows faster, so that the random start is soon forgotten.
    steps = (state.iteration + 1) // state.config.n_critic
    decay = min(state.config.ema, (1 + steps) / (10 + steps))
    for average, new in zip(state.averaged.parameters(), state.generator.parameters(), strict=True):
        average.lerp_(new, 1 - decay)


class Watch:
    """What a run shows and keeps: progress, log, TensorBoard, samples, checkpoints, alarms."""

    def __init__(
        self,
        state: TrainState,
        datasets: Sequence[Dataset],
        out: Path,
        processes: Processes,
        teacher: Teacher | None = None,
    ) -> None:
        self.state, self.datasets, self.out, self.processes, self.teacher = state, datasets, out, processes, teacher
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
        """Saves what was reached, also on Ctrl-C; but never weights that diverged over the last good ones."""
        try:
            if kind is None:
                self._check_finite()
            if self.processes.first and self.saved < self.state.iteration and self._finite():
                # Whoever takes the machine back gives no time to score; the last score stands.
                self._save(scored=kind is None)
                self._sample()
        finally:
            self.progress.update(self.bar, completed=self.state.iteration)
            self.live.stop()
            if self.board:
                self.board.close()

    def after_iteration(self, losses: dict[str, Tensor]) -> None:
        self.losses = losses
        iteration, config = self.state.iteration, self.state.config
        saves = iteration % config.save_every == 0
        if iteration % LOG_EVERY and not saves and iteration % config.sample_every:
            return  # reading a loss waits for the device
        self._check_finite()
        if not self.processes.first:
            return
        if iteration % LOG_EVERY == 0:
            self._log()
        if iteration % config.sample_every == 0:
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
            self.state.scores = score(self.state, self.datasets, self.processes.device, self.teacher)
        self.state.save(self.out / "latest.pt")
        self.saved = self.state.iteration

    @torch.no_grad()
    def _sample(self) -> None:
        """A picture a data set: its first people, one a row, then each with one label changed."""
        for data, part in zip(self.datasets, parts(self.state.space), strict=True):
            images = to_network(data.images[:SAMPLED]).to(self.processes.device)
            changes = single_changes(torch.from_numpy(data.labels[:SAMPLED]), part)
            outputs = np.stack(
                [to_pictures(self.state.averaged(images, part.vector(c).to(self.processes.device))) for c in changes]
            )
            if len(outputs) > 1 and np.ptp(outputs.astype(np.float32), axis=0).mean() < MIN_EFFECT:
                self.live.console.print(f"[red]outputs on {data.name} do not depend on the label[/red]")
            grid = np.concatenate([np.concatenate(list(c)) for c in (to_pictures(images), *outputs)], axis=1)
            name = f"{data.name}-{self.state.iteration:06d}.png" if len(self.datasets) > 1 else None
            with written_whole(self.out / "samples" / (name or f"{self.state.iteration:06d}.png")) as temporary:
                cv2.imwrite(str(temporary), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))
            if self.board:
                self.board.add_image(data.name, grid, self.state.iteration, dataformats="HWC")


def _tensorboard(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependencyError("--tensorboard needs the package: pip install tensorboard") from None
    return SummaryWriter(out / "tensorboard")
