"""Target labels of a training step, and their place in the label vector of a joint model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stargan_rt.labels import LabelSpace

UNSPECIFIED = 0.5
"""What a generator trained with partial targets reads as "keep this as it is in the image"."""


@dataclass(frozen=True)
class Part:
    """One data set's share of the label vector.

    Attributes:
        where: its labels among all labels.
        unit: which of its labels are specified together, int ``(c,)``; equal for the members of a group.
        mask: the mask behind the labels, one-hot; empty for a single data set (paper, section 3.2).
        total: number of labels of all data sets.
        unspecified: value of the labels that are not its own.
    """

    where: slice
    unit: Tensor
    mask: Tensor
    total: int
    unspecified: float

    def vector(self, label: Tensor) -> Tensor:
        """``(n, c)`` of this data set → ``(n, dim)``, what the generator takes: [c1, …, cn, mask]."""
        labels = label.new_full((len(label), self.total), self.unspecified)
        labels[:, self.where] = label
        return torch.cat([labels, self.mask.to(label).expand(len(label), -1)], dim=1)


def parts(space: LabelSpace) -> list[Part]:
    """The parts of a label space, one a data set."""
    owner = {name: group for group, members in space.groups.items() for name in members}
    masks = torch.eye(len(space.datasets)) if len(space.datasets) > 1 else torch.zeros(1, 0)
    found, start = [], 0
    for mask, labels in zip(masks, space.datasets.values(), strict=True):
        where = slice(start, start + len(labels))
        keys = [owner.get(name, name) for name in space.names[where]]
        order = list(dict.fromkeys(keys))
        unit = torch.tensor([order.index(key) for key in keys])
        found.append(Part(where, unit, mask, len(space.names), space.unspecified))
        start = where.stop
    return found


def draw_targets(label: Tensor, unit: Tensor, share: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Targets for a batch: the labels of other images of it, as in the authors' code.

    A `share` of them is partial: a random part of the units is left unspecified, and wanted as it
    is in the source. So the generator learns to change what is named and to keep the rest.

    Args:
        label: ``(n, c)``, the labels of the images.
        unit: ``(c,)``, see `Part`.
        share: of partial targets, in [0, 1].

    Returns:
        What the generator is told and what the classifier should see, each ``(n, c)``.
    """
    n = len(label)
    wanted = label[torch.randperm(n, generator=random)]
    partial = torch.rand(n, 1, generator=random) < share
    rate = torch.rand(n, 1, generator=random)
    kept = (torch.rand(n, int(unit.max()) + 1, generator=random) < rate) & partial
    kept = kept[:, unit]
    return torch.where(kept, UNSPECIFIED, wanted), torch.where(kept, label, wanted)


def single_changes(label: Tensor, part: Part) -> Tensor:
    """For every image a target per label of its data set that changes only that one: ``(c, n, c)``.

    A member of a group is chosen instead of the others. A label of its own is set where only it is
    named (partial targets) and toggled otherwise, as in the paper's figures.
    """
    targets = torch.full_like(label, UNSPECIFIED) if part.unspecified else label
    targets = targets.repeat(label.shape[1], 1, 1)
    for index in range(label.shape[1]):
        together = part.unit == part.unit[index]
        alone = together.sum() == 1 and not part.unspecified
        targets[index][:, together] = 0.0
        targets[index][:, index] = 1.0 - label[:, index] if alone else 1.0
    return targets
