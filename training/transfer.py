"""Weights for a new run from the networks of another run, whose labels or image size may differ."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from stargan_rt.labels import LabelSpace
from training.model import LEAK, Discriminator

FIRST = "main.0.weight"
"""The first convolution of both networks. The generator's input channels are RGB and the label vector."""
LABEL = "label.weight"
"""In a lite generator, the weights of the label vector."""

Weights = dict[str, Tensor]


def transfer_generator(old: Weights, known: LabelSpace, space: LabelSpace, growth: float) -> Weights:
    """Return the generator's state dict fitted to the labels of `space`.

    Labels are matched by name; the weights of new labels are zero. In the paper's generator the label weights are
    multiplied by `growth`: a label is a constant plane, and instance normalisation removes all of it except the effect
    of the zero padding along the border, whose share of the image falls as the image grows.

    Args:
        old: state dict of the generator.
        known: its labels.
        space: labels of the new run.
        growth: the new image size divided by the old one.
    """
    if LABEL in old:
        weight = old[LABEL].new_zeros(len(old[LABEL]), space.dim)
        if known == space:
            weight.copy_(old[LABEL])
        for index, name in enumerate(space.names):
            if name in known.names:
                weight[:, index] = old[LABEL][:, known.names.index(name)]
        return {**old, LABEL: weight}
    weight = old[FIRST]
    first = weight.new_zeros(len(weight), 3 + space.dim, *weight.shape[2:])
    first[:, :3] = weight[:, :3]
    if known == space:
        first[:, 3:] = growth * weight[:, 3:]
    for index, name in enumerate(space.names):
        if name in known.names:
            first[:, 3 + index] = growth * weight[:, 3 + known.names.index(name)]
    return {**old, FIRST: first}


def transfer_discriminator(old: Weights, new: Discriminator) -> Weights | None:
    """Return the discriminator's state dict for `new`, or None if it does not fit.

    It fits if all shapes are equal. It also fits at twice the image size if `new` has one layer more and half the
    width (at least 6 channels): a layer that halves the image is then added below.
    """
    shapes = {name: weight.shape for name, weight in new.state_dict().items()}
    candidates = [old, _enlarged(old)] if len(old[FIRST]) >= 2 * 6 else [old]
    for candidate in candidates:
        if shapes == {name: weight.shape for name, weight in candidate.items()}:
            return candidate
    return None


def _enlarged(old: Weights) -> Weights:
    """Return a discriminator that gives the same label logits for an image scaled to twice the size.

    Its scores are doubled: their gradient is spread over four pixels for each pixel of the smaller image, and
    doubling restores the norm that the gradient penalty asks for. The remaining channels of the new layer start
    with random weights and without effect on the output.
    """
    width = len(old[FIRST])
    halving = nn.Conv2d(3, width // 2, 4, 2, 1).state_dict()
    mean = torch.zeros(3, 3, 4, 4)
    mean[range(3), range(3), 1:3, 1:3] = 1 / 4
    second = torch.zeros(width, width // 2, 4, 4)
    # A leaky ReLU f of slope a passes x unchanged in the difference f(x) - f(-x) = (1 + a) x.
    halving["weight"][:6] = torch.cat([mean, -mean])
    halving["bias"][:6] = 0
    second[:, :6] = torch.cat([old[FIRST], -old[FIRST]], dim=1) / (1 + LEAK)
    moved = {re.sub(r"(?<=main\.)\d+", lambda index: str(int(index[0]) + 2), name): old[name] for name in old}
    below = {f"main.0.{name}": weight for name, weight in halving.items()}
    return {**below, **moved, "main.2.weight": second, "conv1.weight": 2 * old["conv1.weight"]}
