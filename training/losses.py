"""The losses of the paper (arXiv 1711.09020, section 3.1, equations 1 to 8), and their sum for the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from training.batch import Batch
from training.config import TrainConfig
from training.teacher import Teacher


def classification_loss(logits: Tensor, label: Tensor, one_of_k: bool = False, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy between logits and labels (equations 2 and 3), averaged over the batch.

    Args:
        logits: ``(n, c)``.
        label: ``(n, c)`` of zeros and ones.
        one_of_k: whether exactly one label is set, so that softmax cross-entropy is used; otherwise binary
            cross-entropy, summed over the labels.
        smoothing: label smoothing, in [0, 1): the share of a label that is spread evenly over its alternatives.
    """
    if one_of_k:
        return F.cross_entropy(logits.float(), label.argmax(dim=1), label_smoothing=smoothing)
    smooth = label * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits.float(), smooth, reduction="sum") / len(label)


def reconstruction_loss(image: Tensor, reconstructed: Tensor) -> Tensor:
    """Return the mean absolute difference (equation 4)."""
    return (image - reconstructed.float()).abs().mean()


def gradient_penalty(score_gradient: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return the WGAN-GP gradient penalty on interpolates of real and fake images (equation 8).

    Args:
        score_gradient: maps images to the gradient of their scores by the images, such as
            `Discriminator.score_gradient`.
        real, fake: ``(n, 3, h, w)``.
        mix: ``(n, 1, 1, 1)`` in [0, 1], the share of `real` in the interpolates.
    """
    gradient = score_gradient(mix * real + (1 - mix) * fake)
    norm: Tensor = gradient.flatten(1).norm(2, dim=1)
    return ((norm - 1) ** 2).mean()


FOCUS = 8.0
"""By how much a pixel that the label changes weighs more than one that it does not."""
GRAIN, CHANGED = 0.06, 0.4
"""Mean change around a pixel, in [0, 2], up to which it counts as grain, and above that, at which it weighs in full."""


def distillation_loss(image: Tensor, expected: Tensor, output: Tensor) -> Tensor:
    """Return how far a student's translations are from the teacher's.

    Pixels weigh more where the teacher changed the image, since a new brow covers few of them. Most of the loss is the
    squared difference: the absolute one would be spent on the teacher's grain. The differences between neighbouring
    pixels, and those at a quarter of the size, are added.

    Args:
        image, expected, output: the source, the teacher's and the student's translation, ``(n, 3, h, w)`` in [-1, 1].
    """
    difference = output.float() - expected
    change = F.avg_pool2d((expected - image).abs().mean(dim=1, keepdim=True), 5, 1, 2, count_include_pad=False)
    weight = 1 + FOCUS * ((change - GRAIN) / CHANGED).clamp(0, 1)
    weight = weight / weight.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (weight * (5 * difference.square() + 0.3 * difference.abs())).mean()
    across = weight[..., 1:] * difference.diff(dim=3).square()
    down = weight[..., 1:, :] * difference.diff(dim=2).square()
    coarse = F.avg_pool2d(difference, 4).square().mean()
    return pixels + across.mean() + down.mean() + 3 * coarse


def generator_loss(
    generator: Callable[[Tensor, Tensor], Tensor],
    discriminator: Callable[[Tensor], tuple[Tensor, Tensor]],
    batch: Batch,
    config: TrainConfig,
    teacher: Teacher | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the generator's weighted loss (equation 6) and its unweighted terms by name.

    With a teacher, the difference from the teacher's translations is added.
    """
    fake = generator(batch.real, batch.target).float()
    score, logits = discriminator(batch.seen(fake))
    back = generator(fake, batch.source)
    adv = -score.float().mean()
    cls = classification_loss(logits[:, batch.part.where], batch.expected, batch.one_of_k, config.label_smoothing)
    rec = reconstruction_loss(batch.real, back)
    total, terms = adv + config.lambda_cls * cls + config.lambda_rec * rec, {"G/adv": adv, "G/cls": cls, "G/rec": rec}
    if teacher:
        terms["G/teacher"] = teacher.loss(batch.real, batch.target, fake)
        total = total + config.lambda_teacher * terms["G/teacher"]
    return total, terms
