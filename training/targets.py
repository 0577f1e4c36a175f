"""Target labels of a training step, and their position in the label vector of a joint model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stargan_rt.labels import LabelSpace

UNSPECIFIED = 0.5
"""Label value with which a generator trained with partial targets keeps an attribute as it is in the image."""


@dataclass(frozen=True)
class Part:
    """One data set's share of the label vector.

    Attributes:
        where: position of its labels among the labels of all data sets.
        unit: number of the unit of each label, int ``(c,)``; the members of a group form one unit, specified together.
        mask: the one-hot mask that follows the labels; empty for a single data set (paper, section 3.2).
        total: number of labels of all data sets.
        unspecified: value of the labels of the other data sets.
    """

    where: slice
    unit: Tensor
    mask: Tensor
    total: int
    unspecified: float

    def vector(self, label: Tensor) -> Tensor:
        """Return label vectors [c1, …, cn, mask], ``(n, dim)``, for labels ``(n, c)`` of this data set."""
        labels = label.new_full((len(label), self.total), self.unspecified)
        labels[:, self.where] = label
        return torch.cat([labels, self.mask.to(label).expand(len(label), -1)], dim=1)


def parts(space: LabelSpace) -> list[Part]:
    """Return the parts of a label space, one for each data set."""
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
    """Draw the targets of a batch: the labels of its images in random order, as in the authors' code.

    A `share` of the targets is partial: a random selection of their units is left unspecified, and expected as
    in the source image. From these the generator learns to change only the labels that are specified.

    Args:
        label: ``(n, c)``, the labels of the images.
        unit: ``(c,)``, see `Part`.
        share: share of partial targets, in [0, 1].
        random: source of all draws.

    Returns:
        The labels given to the generator, and the labels that its output is expected to show, each ``(n, c)``.
    """
    n = len(label)
    expected = label[torch.randperm(n, generator=random)]
    partial = torch.rand(n, 1, generator=random) < share
    rate = torch.rand(n, 1, generator=random)
    kept = (torch.rand(n, int(unit.max()) + 1, generator=random) < rate) & partial
    kept = kept[:, unit]
    return torch.where(kept, UNSPECIFIED, expected), torch.where(kept, label, expected)


def single_changes(label: Tensor, part: Part) -> Tensor:
    """Return targets that change one label only, for every label and image: ``(c, n, c)``.

    A member of a group replaces the other members. A label outside a group is set if the model was trained
    with partial targets, which leave the other labels unspecified, and toggled otherwise, as in the paper's figures.
    """
    targets = torch.full_like(label, UNSPECIFIED) if part.unspecified else label
    targets = targets.repeat(label.shape[1], 1, 1)
    for index in range(label.shape[1]):
        together = part.unit == part.unit[index]
        alone = together.sum() == 1 and not part.unspecified
        targets[index][:, together] = 0.0
        targets[index][:, index] = 1.0 - label[:, index] if alone else 1.0
    return targets


SINGLE = 0.6
"""Share of `draw_requests` that name one label, where the generator understands partial targets."""


def draw_requests(space: LabelSpace, count: int, random: torch.Generator) -> Tensor:
    """Draw label vectors as users ask for them, independent of any image: float ``(count, dim)``.

    Of an exclusive group one label is set; any other label is set or not with equal probability. If the generator
    understands partial targets, most requests name a single label, and the others leave a random part unspecified.
    """
    found = torch.empty(count, space.dim)
    layout = parts(space)
    owner = torch.randint(len(layout), (count,), generator=random)
    for number, part in enumerate(layout):
        (rows,) = torch.nonzero(owner == number, as_tuple=True)
        label = torch.zeros(len(rows), len(part.unit))
        for unit in part.unit.unique():
            (members,) = torch.nonzero(part.unit == unit, as_tuple=True)
            choices = len(members) if len(members) > 1 else 2
            chosen = torch.randint(choices, (len(rows),), generator=random)
            label[:, members] = torch.eye(choices)[chosen][:, : len(members)]
        if part.unspecified:
            partial, _ = draw_targets(label, part.unit, 1.0, random)
            names = torch.randint(len(part.unit), (len(rows),), generator=random)
            single = torch.full_like(label, UNSPECIFIED)
            single[part.unit == part.unit[names][:, None]] = 0.0
            single[torch.arange(len(rows)), names] = 1.0
            alone = torch.rand(len(rows), 1, generator=random) < SINGLE
            label = torch.where(alone, single, partial)
        found[rows] = part.vector(label)
    return found
