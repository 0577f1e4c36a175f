"""What the trainer needs of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stargan_rt.labels import LabelSpace


@dataclass(frozen=True)
class Dataset:
    """Images of one size with their labels.

    Attributes:
        images: uint8 ``(n, size, size, 3)`` RGB, possibly memory-mapped.
        labels: float32 ``(n, c)`` of zeros and ones, in the order of `space`.
    """

    images: np.ndarray
    labels: np.ndarray
    space: LabelSpace

    def batch(self, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images drawn at random, half of them mirrored: float ``(size, 3, h, w)`` in [-1, 1]; labels."""
        index = torch.randint(len(self.images), (size,), generator=random).numpy()
        images = to_network(self.images[index])
        flip = torch.rand(size, generator=random) < 0.5
        images[flip] = images[flip].flip(3)
        return images, torch.from_numpy(self.labels[index])


def to_network(images: np.ndarray) -> Tensor:
    """uint8 ``(n, h, w, 3)`` → float ``(n, 3, h, w)`` in [-1, 1], channels-last in memory."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_pictures(images: Tensor) -> np.ndarray:
    """Float ``(n, 3, h, w)`` in [-1, 1] → uint8 ``(n, h, w, 3)``, rounded and clipped."""
    levels = images.float().add(1.0).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
