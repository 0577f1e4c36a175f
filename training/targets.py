"""Target labels of a training step."""

from __future__ import annotations

import torch
from torch import Tensor

from stargan_rt.labels import LabelSpace

UNSPECIFIED = 0.5
"""What a generator trained with partial targets reads as "keep this as it is in the image"."""


def units(space: LabelSpace) -> Tensor:
    """Which labels are specified together: int ``(c,)``, equal for the members of a group."""
    owner = {name: group for group, members in space.groups.items() for name in members}
    keys = [owner.get(name, name) for name in space.names]
    order = list(dict.fromkeys(keys))
    return torch.tensor([order.index(key) for key in keys])


def draw_targets(label: Tensor, unit: Tensor, share: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Targets for a batch: the labels of other images of it, as in the authors' code.

    A `share` of them is partial: a random part of the units is left unspecified, and wanted as it
    is in the source. So the generator learns to change what is named and to keep the rest.

    Args:
        label: ``(n, c)``, the labels of the images.
        unit: ``(c,)``, from `units`.
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


def single_changes(label: Tensor, space: LabelSpace) -> Tensor:
    """For every image a target per label that changes only that one: ``(c, n, c)``.

    A member of a group is chosen instead of the others. A label of its own is set where only it is
    named (partial targets) and toggled otherwise, as in the paper's figures.
    """
    unit = units(space)
    targets = torch.full_like(label, UNSPECIFIED) if space.unspecified else label
    targets = targets.repeat(len(space.names), 1, 1)
    for index in range(len(space.names)):
        together = unit == unit[index]
        alone = together.sum() == 1 and not space.unspecified
        targets[index][:, together] = 0.0
        targets[index][:, index] = 1.0 - label[:, index] if alone else 1.0
    return targets
