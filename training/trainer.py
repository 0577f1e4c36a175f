"""The training loop (paper, section 3.1 and appendix 7.2), on one data set or several with mask vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stargan_rt.errors import InputError
from training.batch import Batch, step_random
from training.checkpoint import TrainState
from training.data.dataset import Dataset
from training.distributed import Processes
from training.int8 import Int8Generator, calibrate
from training.losses import classification_loss, distillation_loss, generator_loss, gradient_penalty
from training.nested import NestedGenerator
from training.pairs import Pairs
from training.targets import draw_requests, parts
from training.teacher import Teacher
from training.transfer import transfer_discriminator
from training.watch import Watch

CALIBRATION_RANK = 2**31 + 1
"""Takes the place of a process's rank, so that calibration draws other images than any training step."""


def train(state: TrainState, datasets: Sequence[Dataset], out: Path, processes: Processes) -> None:
    """Train until `state.config.iterations`, writing to the folder `out`.

    `out/latest.pt` is the newest checkpoint, `out/samples/` has a picture per sampling, and
    `out/log.jsonl` has a line of losses for every 10 iterations. Ctrl-C saves a checkpoint before it exits.
    """
    config = state.config
    teacher, pairs = Teacher.from_config(config, state.space, processes.device), None
    if teacher and state.iteration < config.distill_iterations:
        with processes.first_one_first():  # the first process fills the cache
            pairs = teacher.pairs([data.images for data in datasets], config.pairs, config.seed, processes.device)
        fits = teacher.discriminator and transfer_discriminator(teacher.discriminator.state_dict(), state.discriminator)
        if fits and state.iteration == 0:  # for the adversarial iterations that may follow
            state.discriminator.load_state_dict(fits)
    with Watch(state, datasets, out, processes, teacher, pairs) as watch:
        for losses in iterate(state, datasets, processes, teacher, pairs):
            watch.after_iteration(losses)


def iterate(
    state: TrainState,
    datasets: Sequence[Dataset],
    processes: Processes,
    teacher: Teacher | None = None,
    pairs: Pairs | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Run the iterations one by one, yielding the detached losses of each after its weight updates.

    An iteration is a discriminator step on each data set in turn and, in every `n_critic`-th iteration, a
    generator step. The generator's losses are repeated until its next step. With several data sets, the
    names of the losses start with the name of the data set.

    The first `distill_iterations` are generator steps on `pairs` instead. In the last `int8_iterations` the generator
    computes through int8 grids.
    """
    config, device = state.config, processes.device
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.precision)
    autocast = torch.autocast(device.partition(":")[0], dtype, enabled=dtype is not None)
    int8 = config.int8_iterations == 0
    if not int8 and processes.count > 1:
        raise InputError("int8_iterations run in one process; train without them first, and resume without torchrun")
    if config.nested_widths and processes.count > 1:
        raise InputError("nested generators are trained in one process; run without torchrun")
    trained: Any = state.generator
    if config.nested_widths:
        trained = NestedGenerator(trained, config.nested_widths, config.nested_depths, config.seed + state.iteration)
    generator: Any = processes.parallel(trained)
    discriminator: Any = processes.parallel(state.discriminator)
    if config.compile:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)
    layout = parts(state.space)
    losses: dict[str, Tensor] = {}

    while state.iteration < config.iterations:
        if not int8 and state.iteration >= config.iterations - config.int8_iterations:
            # The products of bfloat16 are coarser than int8's grids, so these iterations compute in float32.
            generator, int8 = _through_int8(state, datasets, device), True
            autocast = torch.autocast(device.partition(":")[0], enabled=False)
        random = step_random(config.seed, state.iteration, processes.rank)
        factor = config.learning_rate_factor(state.iteration)
        _set_learning_rate(state.g_optimizer, config.g_lr * factor)
        _set_learning_rate(state.d_optimizer, config.d_lr * factor)

        if teacher and pairs and state.iteration < config.distill_iterations:
            image, target, expected = (t.to(device) for t in pairs.batch(config.batch_size, random))
            with autocast:
                output = generator(image, target).float()
                g_pairs = distillation_loss(image, expected, output)
                g_features = teacher.feature_loss(expected, output)
            _optimize(state.g_optimizer, state.g_scaler, g_pairs + config.lambda_features * g_features)
            _update_average(state)
            state.iteration += 1
            yield {"G/pairs": g_pairs.detach(), "G/features": g_features.detach()}
            continue

        for data, part in zip(datasets, layout, strict=True):
            batch = Batch.draw(data, part, config, random, device)

            # Discriminator step: raise the scores of real images, lower those of fake ones, and classify the
            # real ones (equations 5 and 8). One pass over both halves is faster than two.
            with autocast:
                with torch.no_grad():
                    fake = generator(batch.real, batch.target).float()
                score, logits = discriminator(batch.seen(torch.cat([batch.real, fake])))
            real_score, fake_score = score.float().chunk(2)
            d_adv = fake_score.mean() - real_score.mean()
            real_logits = logits[: len(fake), part.where]
            d_cls = classification_loss(real_logits, batch.label, data.one_of_k, config.label_smoothing)
            d_gp = gradient_penalty(state.discriminator.score_gradient, batch.real, fake, batch.mix)
            d_loss = d_adv + config.lambda_cls * d_cls + config.lambda_gp * d_gp
            _optimize(state.d_optimizer, state.d_scaler, d_loss)
            terms = {"D/adv": d_adv, "D/cls": d_cls, "D/gp": d_gp}

            # Generator step, followed by an update of its moving average.
            if state.iteration >= config.warm_up and (state.iteration + 1) % config.n_critic == 0:
                with autocast:
                    g_loss, g_terms = generator_loss(generator, discriminator, batch, config, teacher)
                _optimize(state.g_optimizer, state.g_scaler, g_loss)
                _update_average(state)
                terms |= g_terms

            prefix = f"{data.name}/" if len(datasets) > 1 else ""
            losses |= {prefix + name: loss.detach() for name, loss in terms.items()}

        state.iteration += 1
        yield losses


def _through_int8(state: TrainState, datasets: Sequence[Dataset], device: str) -> Int8Generator:
    """Make the generator compute through int8 grids, which are chosen once and kept in the checkpoint."""
    if not state.int8_grids:
        batches = []
        for number, part in enumerate(parts(state.space)):
            random = step_random(state.config.seed, number, rank=CALIBRATION_RANK)
            batch = Batch.draw(datasets[number], part, state.config, random, device)
            requests = draw_requests(state.space, len(batch.real), random).to(device)
            batches += [(batch.real, batch.target), (batch.real, requests)]
        state.int8_grids = calibrate(state.averaged, batches, state.config.int8_signed)
    return Int8Generator(state.generator, state.int8_grids)


def _set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _optimize(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()


@torch.no_grad()
def _update_average(state: TrainState) -> None:
    # Warm up the EMA decay to discount the random initialisation.
    steps = (state.iteration + 1) // state.config.n_critic
    decay = min(state.config.ema, (1 + steps) / (10 + steps))
    for average, new in zip(state.averaged.parameters(), state.generator.parameters(), strict=True):
        average.lerp_(new, 1 - decay)
