"""A trained generator of a smaller size that shows a larger one what labels mean."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan_rt.errors import InputError
from stargan_rt.labels import LabelSpace
from training.checkpoint import trained_generator
from training.config import TrainConfig


class Teacher:
    """Translates at its own, smaller size.

    Args:
        generator: in evaluation mode.
        size: side of its images in pixels.
    """

    def __init__(self, generator: nn.Module, size: int) -> None:
        self.generator, self.size = generator, size

    @classmethod
    def of(cls, config: TrainConfig, space: LabelSpace, device: str) -> Teacher | None:
        """The teacher that a run asks for, if any.

        Raises:
            InputError: no such checkpoint, other labels, or a size that does not divide the run's.
        """
        if not config.teacher:
            return None
        path, mend = Path(config.teacher), "name another by --teacher, or go on without by --teacher ''"
        if not path.is_file():
            raise InputError(f"no teacher at {path}: {mend}")
        generator, known, taught, _ = trained_generator(path, device=device)
        if known != space:
            raise InputError(
                f"the teacher {path} has the labels {dict(known.datasets)}, the run {dict(space.datasets)}: "
                f"which must be the same, --partial-targets included: {mend}"
            )
        if config.image_size % taught.image_size:
            raise InputError(
                f"the teacher {path} was trained at {taught.image_size}, which does not divide the run's "
                f"{config.image_size}: {mend}"
            )
        return cls(generator, taught.image_size)

    def loss(self, real: Tensor, target: Tensor, fake: Tensor) -> Tensor:
        """Mean squared difference, at the teacher's size, of its translations and these.

        Squared, so that what stands out, a beard or the eyes, counts more than the grain all over.

        Args:
            real, fake: images and their translations, ``(n, 3, h, w)`` in [-1, 1].
            target: what both generators are told, ``(n, dim)``.
        """
        with torch.no_grad():
            wanted = self.generator(self._small(real), target)
        return F.mse_loss(self._small(fake), wanted.float())

    def _small(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, images.shape[-1] // self.size)
