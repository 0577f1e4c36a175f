"""The losses of the paper (section 3.1, equations 1 to 8)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def classification_loss(logits: Tensor, label: Tensor, one_of_k: bool = False, smoothing: float = 0.0) -> Tensor:
    """How far the classifier is from the label (equations 2 and 3), averaged over the batch.

    Args:
        logits: ``(n, c)``.
        label: ``(n, c)`` of zeros and ones.
        one_of_k: cross-entropy over the labels, one of which is set; else binary cross-entropy, summed.
        smoothing: share of the label that is taken from it and spread evenly over what it could have been.
    """
    if one_of_k:
        return F.cross_entropy(logits.float(), label.argmax(dim=1), label_smoothing=smoothing)
    smooth = label * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits.float(), smooth, reduction="sum") / len(label)


def reconstruction_loss(image: Tensor, reconstructed: Tensor) -> Tensor:
    """Mean absolute difference (equation 4)."""
    return (image - reconstructed.float()).abs().mean()


def gradient_penalty(score_gradient: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """How far the critic's gradient norm is from 1 between real and fake images (equation 8).

    Args:
        score_gradient: images → gradient of their scores by them, such as `Discriminator.score_gradient`.
        real, fake: ``(n, 3, h, w)``.
        mix: ``(n, 1, 1, 1)`` in [0, 1], the share of `real`.
    """
    gradient = score_gradient(mix * real + (1 - mix) * fake)
    return ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
