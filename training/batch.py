"""The inputs of one training step, and the random numbers they are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.config import TrainConfig
from training.data.dataset import Dataset
from training.targets import Part, draw_targets


@dataclass(frozen=True)
class Batch:
    """Images of one data set with their labels and target labels.

    Attributes:
        part: the data set's share of the label vector.
        one_of_k: whether exactly one label is set in every image.
        real: images, float ``(n, 3, h, w)`` in [-1, 1].
        label, expected: labels of the images, and labels that their translations should show; ``(n, c)`` of `part`.
        source, target: the label vectors for translating back and for translating, ``(n, dim)``.
        mix: share of the real image in the interpolates of the gradient penalty, ``(n, 1, 1, 1)``.
        noise: added to the discriminator's input, ``(2 n, 3, h, w)``: real images first; None without noise.
        mask: 0 where the discriminator's input is hidden, 1 elsewhere, ``(2 n, 1, h, w)``; None without cutout.
    """

    part: Part
    one_of_k: bool
    real: Tensor
    label: Tensor
    expected: Tensor
    source: Tensor
    target: Tensor
    mix: Tensor
    noise: Tensor | None = None
    mask: Tensor | None = None

    @classmethod
    def draw(cls, data: Dataset, part: Part, config: TrainConfig, random: torch.Generator, device: str) -> Batch:
        """Draw `config.batch_size` images and their targets, and move them to `device`."""
        real, label = data.batch(config.batch_size, random)
        given, expected = draw_targets(label, part.unit, config.partial_targets, random)
        mix = torch.rand(len(real), 1, 1, 1, generator=random)
        noise = mask = None
        if config.noise:
            strength = config.noise * torch.rand(2 * len(real), 1, 1, 1, generator=random)
            noise = (strength * torch.randn(2 * len(real), *real.shape[1:], generator=random)).to(device)
        if config.cutout:
            mask = cutout_masks(2 * len(real), real.shape[2:], config.cutout, random).to(device)
        source, target = part.vector(label), part.vector(given)
        real, label, expected, source, target, mix = (
            tensor.to(device, non_blocking=True) for tensor in (real, label, expected, source, target, mix)
        )
        return cls(part, data.one_of_k, real, label, expected, source, target, mix, noise, mask)

    def seen(self, images: Tensor) -> Tensor:
        """Add the noise and apply the cutout mask: the discriminator's input.

        Args:
            images: the fake images, ``(n, 3, h, w)``, or the real ones followed by the fake ones, ``(2 n, 3, h, w)``.
        """
        if self.noise is not None:
            images = images + self.noise[-len(images) :]
        if self.mask is not None:
            images = images * self.mask[-len(images) :]
        return images


def cutout_masks(count: int, size: Sequence[int], share: float, random: torch.Generator) -> Tensor:
    """Return masks that are 0 in a rectangle at a random place and 1 elsewhere.

    Args:
        count: number of masks.
        size: height and width in pixels.
        share: sides of the rectangle as a share of height and width.
        random: source of the places; up to half of a rectangle may lie outside the image.

    Returns:
        Float ``(count, 1, h, w)``.
    """
    inside = torch.ones(count, 1, 1, 1, dtype=torch.bool)
    for axis, length in enumerate(size, start=2):
        place = torch.arange(length).view([-1 if dim == axis else 1 for dim in range(4)])
        middle = length * torch.rand(count, 1, 1, 1, generator=random)
        inside = inside & ((place - middle).abs() < share * length / 2)
    return 1.0 - inside.float()


def step_random(seed: int, iteration: int, rank: int) -> torch.Generator:
    """Return the random number generator of one iteration in one process.

    It depends on nothing else, so a resumed run draws the same numbers as an uninterrupted one.
    """
    mixed = np.random.SeedSequence([seed, iteration, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
