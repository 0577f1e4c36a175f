"""`Dataset`: images in memory with their labels, and the label space of several data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from stargan_rt.errors import InputError
from stargan_rt.labels import LabelSpace


@dataclass(frozen=True)
class Dataset:
    """Images of one size with their labels.

    Attributes:
        name: prefix that qualifies its labels in a joint model.
        images: uint8 ``(n, size, size, 3)`` RGB, possibly memory-mapped.
        labels: float32 ``(n, c)`` of zeros and ones.
        names: names of the c labels.
        groups: labels of which at most one is set, by the name of the group.
        one_of_k: whether exactly one label is set in every image; training then uses softmax cross-entropy.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    one_of_k: bool = False

    def batch(self, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw images at random and mirror half of them: float ``(size, 3, h, w)`` in [-1, 1]; labels ``(size, c)``."""
        index = torch.randint(len(self.images), (size,), generator=random).numpy()
        images = to_network(self.images[index])
        flip = torch.rand(size, generator=random) < 0.5
        images[flip] = images[flip].flip(3)
        return images, torch.from_numpy(self.labels[index])


def joint_space(datasets: Sequence[Dataset], unspecified: float = 0.0) -> LabelSpace:
    """Return the label space of a generator trained on these data sets, in this order.

    Args:
        datasets: the data sets.
        unspecified: value of the labels that a request does not name.

    Raises:
        InputError: two data sets have the same name.
    """
    if len({data.name for data in datasets}) < len(datasets):
        names = ", ".join(data.name for data in datasets)
        raise InputError(f"data sets must have different names; got {names}: add ?name=… (or &name=…) to --data")
    labels = {data.name: data.names for data in datasets}
    return LabelSpace.joint(labels, {data.name: data.groups for data in datasets}, unspecified)


def to_network(images: np.ndarray) -> Tensor:
    """Convert uint8 ``(n, h, w, 3)`` to float ``(n, 3, h, w)`` in [-1, 1], channels-last in memory."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_pictures(images: Tensor) -> np.ndarray:
    """Convert float ``(n, 3, h, w)`` in [-1, 1] to uint8 ``(n, h, w, 3)``, rounded and clipped."""
    levels = images.float().add(1.0).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
