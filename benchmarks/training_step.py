"""Training speed, compared with a plain loop: `python -m benchmarks training-step`.

The plain loop is what one writes from the paper with PyTorch alone: float32, default memory format,
`nn.InstanceNorm2d`, gradients kept through the generator in the discriminator step, and a loader that decodes, crops,
resizes and normalises image by image. Ours reads its cache and computes as configured. Both take turns in one
process, on the same data and with the same threads.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import click
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from benchmarks import results
from stargan_rt.timing import in_turns
from training.checkpoint import TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space
from training.data.open import open_dataset
from training.distributed import Processes
from training.trainer import iterate


class PlainLoop:
    """The paper's loop, written the straightforward way."""

    def __init__(self, state: TrainState) -> None:
        """Start from the weights of `state`, with copies of its networks."""
        config = state.config
        fresh = TrainState.fresh(config, state.space)
        self.config, self.iteration = config, 0
        self.generator, self.discriminator = fresh.generator, fresh.discriminator
        self.generator.load_state_dict(state.generator.state_dict())
        self.discriminator.load_state_dict(state.discriminator.state_dict())
        for parent in list(self.generator.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.InstanceNorm2d):
                    norm = nn.InstanceNorm2d(child.num_features, affine=True)
                    norm.load_state_dict(child.state_dict())
                    setattr(parent, name, norm)
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        betas = (config.beta1, config.beta2)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), config.g_lr, betas, foreach=False)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), config.d_lr, betas, foreach=False)

    def step(self, real: Tensor, label: Tensor, target: Tensor, mix: Tensor) -> dict[str, float]:
        """Make a discriminator step and, after every `n_critic` of them, a generator step."""
        config = self.config
        real = real.contiguous()
        score, logits = self.discriminator(real)
        d_real = -score.mean()
        d_cls = F.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(label)
        fake = self.generator(real, target)
        score, _ = self.discriminator(fake.detach())
        d_fake = score.mean()
        between = (mix * real + (1 - mix) * fake.detach()).requires_grad_(True)
        score, _ = self.discriminator(between)
        (gradient,) = torch.autograd.grad(score, between, torch.ones_like(score), retain_graph=True, create_graph=True)
        d_gp = ((gradient.view(len(real), -1).pow(2).sum(1).sqrt() - 1) ** 2).mean()
        self.d_optimizer.zero_grad()
        (d_real + d_fake + config.lambda_cls * d_cls + config.lambda_gp * d_gp).backward()
        self.d_optimizer.step()
        losses = {"D/adv": (d_real + d_fake).item(), "D/cls": d_cls.item(), "D/gp": d_gp.item()}
        self.iteration += 1
        if self.iteration % config.n_critic == 0:
            fake = self.generator(real, target)
            score, logits = self.discriminator(fake)
            g_adv = -score.mean()
            g_cls = F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / len(target)
            g_rec = (real - self.generator(fake, label)).abs().mean()
            self.g_optimizer.zero_grad()
            (g_adv + config.lambda_cls * g_cls + config.lambda_rec * g_rec).backward()
            self.g_optimizer.step()
            losses |= {"G/adv": g_adv.item(), "G/cls": g_cls.item(), "G/rec": g_rec.item()}
        return losses


def plain_loader(data: Dataset, size: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of files that are decoded, cropped, resized and normalised one by one.

    The files are JPEGs in memory, of the size of CelebA's images (178x218), so no disk is measured.
    """
    files = []
    for picture in data.images[:256]:
        framed = cv2.resize(picture, (178, 218))
        files.append(cv2.imencode(".jpg", cv2.cvtColor(framed, cv2.COLOR_RGB2BGR))[1].tobytes())
    random = np.random.default_rng(0)
    while True:
        images, index = [], random.integers(0, len(files), batch_size)
        for i in index:
            image = Image.open(io.BytesIO(files[i])).convert("RGB")
            image = ImageOps.mirror(image) if random.random() < 0.5 else image
            image = image.crop((0, 20, 178, 198)).resize((size, size), Image.Resampling.BILINEAR)
            images.append((torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5)
        yield torch.stack(images), torch.from_numpy(data.labels[index])


@click.command()
@click.option("--rounds", default=6, help="Number of turns of each loop.")
@click.option("--iterations", default=10, help="Iterations a turn; a multiple of n_critic.")
@click.option("--conv-dim", default=64, help="First channels of both networks; the paper's is 64.")
@click.option("--image-size", default=128, help="Side of the images in pixels.")
@click.option("--batch-size", default=16, help="Images a step.")
@click.option("--precision", default="bfloat16", help="Precision of our loop.")
@click.option("--compile/--no-compile", default=True, help="Run our loop with torch.compile.")
@results.output_option
def main(
    rounds: int,
    iterations: int,
    conv_dim: int,
    image_size: int,
    batch_size: int,
    precision: str,
    compile: bool,
    output: Path | None,
) -> None:
    """Iterations a second of our loop and of a plain one, and their ratio."""
    config = TrainConfig(
        data=("avatars?count=256",),
        precision=precision,
        compile=compile,
        image_size=image_size,
        conv_dim=conv_dim,
        d_conv_dim=conv_dim,
        batch_size=batch_size,
    )
    measured = measure(config, rounds, iterations)
    about = {"machine": results.describe(torch.get_num_threads()), "settings": asdict(config)}
    result = {**about, "rounds": rounds, "iterations": iterations, **measured}
    click.echo(json.dumps(result, indent=2))
    results.write(output, result)


def measure(config: TrainConfig, rounds: int, iterations: int) -> dict[str, float]:
    """Run both loops in turns; the first round warms up: compilation and allocation.

    Args:
        config: of both loops; precision, compilation and device are those of ours, the plain loop runs on the CPU.
        rounds: number of turns that count.
        iterations: discriminator steps a turn.
    """
    data = open_dataset(config.data[0], config.image_size)
    state = TrainState.fresh(config, joint_space([data]))
    plain, loader = PlainLoop(state), plain_loader(data, config.image_size, config.batch_size)
    ours = iterate(state, [data], Processes(0, 1, "cpu"))

    def plain_iteration() -> None:
        real, label = next(loader)
        plain.step(real, label, label[torch.randperm(len(label))], torch.rand(len(real), 1, 1, 1))

    def turn(iteration: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(iterations):
            iteration()
        return iterations / (time.perf_counter() - start)

    turns = {"plain": partial(turn, plain_iteration), "ours": partial(turn, partial(next, ours))}
    speeds = in_turns(turns, rounds, warm_up=1)
    ratios = np.divide(speeds["ours"], speeds["plain"])
    return {
        "plain_it_per_s": round(median(speeds["plain"]), 3),
        "ours_it_per_s": round(median(speeds["ours"]), 3),
        "ratio": round(float(np.median(ratios)), 2),
        "ratio_min": round(float(ratios.min()), 2),
        "ratio_max": round(float(ratios.max()), 2),
    }
