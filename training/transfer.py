"""What a new run takes over from the networks of another, whose labels or image size may differ."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from stargan_rt.labels import LabelSpace
from training.model import LEAK, Discriminator

FIRST = "main.0.weight"
"""The first convolution of either network; the generator's: three colours, then a channel a label and a mask."""

Weights = dict[str, Tensor]


def carried_generator(old: Weights, known: LabelSpace, space: LabelSpace, growth: float) -> Weights:
    """A generator for the labels of `space` out of one for those of `known`.

    What it knows of a label goes to the label of that name; new labels start without effect. A label is
    a constant plane, of which instance normalisation leaves only what the padding makes of it along the
    border. The border's share of the image falls with the size, so labels are made as much stronger.

    Args:
        old: state dict of the generator.
        known: its labels.
        space: the new run's.
        growth: new image size by old one.
    """
    weight = old[FIRST]
    first = weight.new_zeros(len(weight), 3 + space.dim, *weight.shape[2:])
    first[:, :3] = weight[:, :3]
    if known == space:
        first[:, 3:] = growth * weight[:, 3:]
    for index, name in enumerate(space.names):
        if name in known.names:
            first[:, 3 + index] = growth * weight[:, 3 + known.names.index(name)]
    return {**old, FIRST: first}


def carried_critic(old: Weights, new: Discriminator) -> Weights | None:
    """The critic's state dict for `new`, or None where it can't serve there.

    It serves where all shapes are equal, and at twice the image size where `new` has one layer more and
    half the width, 6 channels at least: then it is grown at the bottom by a layer that halves the image.
    """
    shapes = {name: weight.shape for name, weight in new.state_dict().items()}
    candidates = [old, _grown(old)] if len(old[FIRST]) >= 2 * 6 else [old]
    for candidate in candidates:
        if shapes == {name: weight.shape for name, weight in candidate.items()}:
            return candidate
    return None


def _grown(old: Weights) -> Weights:
    """A critic that sees in an image of twice the size what `old` sees in its half.

    The logits are equal. The scores are doubled, so that their gradient, which is spread over four
    pixels each, keeps the length that the penalty asks for. What the new layer has beside the halved
    image starts at random and without effect.
    """
    width = len(old[FIRST])
    halving = nn.Conv2d(3, width // 2, 4, 2, 1).state_dict()
    mean = torch.zeros(3, 3, 4, 4)
    mean[range(3), range(3), 1:3, 1:3] = 1 / 4
    reading = torch.zeros(width, width // 2, 4, 4)
    # A leaky rectifier f of slope a keeps x whole in the difference f(x) - f(-x) = (1 + a) x.
    halving["weight"][:6] = torch.cat([mean, -mean])
    halving["bias"][:6] = 0
    reading[:, :6] = torch.cat([old[FIRST], -old[FIRST]], dim=1) / (1 + LEAK)
    moved = {re.sub(r"(?<=main\.)\d+", lambda index: str(int(index[0]) + 2), name): old[name] for name in old}
    below = {f"main.0.{name}": weight for name, weight in halving.items()}
    return {**below, **moved, "main.2.weight": reading, "conv1.weight": 2 * old["conv1.weight"]}
