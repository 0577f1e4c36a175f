"""The training loop (paper, section 3.1 and appendix 7.2), on one multi-label data set."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from stargan_rt.errors import StarGANError
from stargan_rt.files import written_whole
from training.checkpoint import TrainState
from training.data.dataset import Dataset, to_network, to_pictures
from training.losses import classification_loss, gradient_penalty, reconstruction_loss
from training.targets import draw_targets, single_changes, units

LOG_EVERY = 10
SAMPLED = 8


def train(state: TrainState, data: Dataset, out: Path) -> None:
    """Trains until `state.config.iterations`, writing to the folder `out`.

    `out/latest.pt` is the newest checkpoint, `out/samples/` has a picture per sampling, and
    `out/log.jsonl` a line of losses every 10 steps. Ctrl-C saves before it leaves.
    """
    config = state.config
    autocast = torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bfloat16")
    generate: Callable[[Tensor, Tensor], Tensor] = state.generator
    judge: Callable[[Tensor], tuple[Tensor, Tensor]] = state.discriminator
    if config.compile:
        generate, judge = torch.compile(generate), torch.compile(judge)
    unit = units(state.space)
    losses: dict[str, float] = {}

    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]} it/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    ) as progress:
        bar = progress.add_task("", total=config.iterations, completed=state.iteration, speed="–", losses="")
        marked = time.perf_counter()
        try:
            while state.iteration < config.iterations:
                factor = config.learning_rate_factor(state.iteration)
                _set_learning_rate(state.g_optimizer, config.g_lr * factor)
                _set_learning_rate(state.d_optimizer, config.d_lr * factor)

                real, label = data.batch(config.batch_size, state.random)
                told, wanted = draw_targets(label, unit, config.partial_targets, state.random)
                mix = torch.rand(len(real), 1, 1, 1, generator=state.random)
                real, label, told, wanted, mix = (t.to(config.device) for t in (real, label, told, wanted, mix))

                # Critic: real images score high and are classified, fake ones score low (equations 5 and 8).
                with autocast:
                    with torch.no_grad():
                        fake = generate(real, told).float()
                    real_score, real_logits = judge(real)
                    fake_score, _ = judge(fake)
                d_adv = fake_score.float().mean() - real_score.float().mean()
                d_cls = classification_loss(real_logits, label)
                d_gp = gradient_penalty(lambda x: state.discriminator(x)[0], real, fake, mix)
                d_loss = d_adv + config.lambda_cls * d_cls + config.lambda_gp * d_gp
                _step(state.d_optimizer, d_loss)
                losses |= {"D/adv": d_adv.item(), "D/cls": d_cls.item(), "D/gp": d_gp.item()}

                # Generator: fakes score high, show the target, and lead back to the image (equation 6).
                if (state.iteration + 1) % config.n_critic == 0:
                    with autocast:
                        fake = generate(real, told).float()
                        fake_score, fake_logits = judge(fake)
                        back = generate(fake, label)
                    g_adv = -fake_score.float().mean()
                    g_cls = classification_loss(fake_logits, wanted)
                    g_rec = reconstruction_loss(real, back)
                    g_loss = g_adv + config.lambda_cls * g_cls + config.lambda_rec * g_rec
                    _step(state.g_optimizer, g_loss)
                    _average(state)
                    losses |= {"G/adv": g_adv.item(), "G/cls": g_cls.item(), "G/rec": g_rec.item()}

                state.iteration += 1
                if not all(map(math.isfinite, losses.values())):
                    raise StarGANError(
                        f"a loss is no longer finite at step {state.iteration}: {losses}; {out / 'latest.pt'} is the "
                        "last good checkpoint: resume it with a lower --g-lr and --d-lr"
                    )
                if state.iteration % LOG_EVERY == 0:
                    now = time.perf_counter()
                    speed, marked = LOG_EVERY / (now - marked), now
                    _log(out, state.iteration, speed, losses)
                    shown = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
                    progress.update(bar, completed=state.iteration, speed=f"{speed:.2f}", losses=shown)
                if state.iteration % config.sample_every == 0:
                    write_samples(state, data, out / "samples" / f"{state.iteration:06d}.png")
                if state.iteration % config.save_every == 0:
                    state.save(out / "latest.pt")
        finally:
            # Also on Ctrl-C; but never over the last good checkpoint with weights that diverged.
            if all(map(math.isfinite, losses.values())):
                state.save(out / "latest.pt")
    write_samples(state, data, out / "samples" / f"{state.iteration:06d}.png")


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _average(state: TrainState) -> None:
    # A young average follows faster, so that the random start is soon forgotten.
    steps = (state.iteration + 1) // state.config.n_critic
    decay = min(state.config.ema, (1 + steps) / (10 + steps))
    for average, new in zip(state.averaged.parameters(), state.generator.parameters(), strict=True):
        average.lerp_(new, 1 - decay)


def _log(out: Path, iteration: int, speed: float, losses: dict[str, float]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": iteration, "it_per_s": round(speed, 3), **losses}) + "\n")


@torch.no_grad()
def write_samples(state: TrainState, data: Dataset, path: Path) -> None:
    """A picture: the first people of the data set, one a row, then each with one label changed."""
    images = to_network(data.images[:SAMPLED]).to(state.config.device)
    targets = single_changes(torch.from_numpy(data.labels[:SAMPLED]), state.space).to(state.config.device)
    columns = [to_pictures(images), *(to_pictures(state.averaged(images, target)) for target in targets)]
    grid = np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)
    with written_whole(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))
