"""A trained generator of a smaller image size, whose translations a larger one learns to match."""

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
    """A frozen generator that translates at its own image size.

    Args:
        generator: in evaluation mode.
        size: side of its images in pixels; it divides the side of the student's images.
    """

    def __init__(self, generator: nn.Module, size: int) -> None:
        self.generator, self.size = generator, size

    @classmethod
    def from_config(cls, config: TrainConfig, space: LabelSpace, device: str) -> Teacher | None:
        """Load the teacher of a run, or return None if `config.teacher` is empty.

        Raises:
            InputError: the checkpoint does not exist, has other labels, or a size that does not divide the run's.
        """
        if not config.teacher:
            return None
        path, fix = Path(config.teacher), "name another by --teacher, or train without one: --teacher ''"
        if not path.is_file():
            raise InputError(f"no teacher at {path}: {fix}")
        generator, known, trained, _ = trained_generator(path, device=device)
        if known != space:
            raise InputError(
                f"the teacher {path} has the labels {dict(known.datasets)}, the run {dict(space.datasets)}: "
                f"they must be equal, and so must --partial-targets (0 or not): {fix}"
            )
        if config.image_size % trained.image_size:
            raise InputError(
                f"the teacher {path} was trained at image size {trained.image_size}, which does not divide the run's "
                f"{config.image_size}: {fix}"
            )
        return cls(generator, trained.image_size)

    def loss(self, real: Tensor, target: Tensor, fake: Tensor) -> Tensor:
        """Return the mean squared difference between the teacher's translations and `fake`, at the teacher's size.

        The difference is squared so that large differences, such as a missing beard, count more than grain.

        Args:
            real, fake: images and their translations, float ``(n, 3, h, w)`` in [-1, 1].
            target: label vectors, ``(n, dim)``.
        """
        with torch.no_grad():
            expected = self.generator(self._small(real), target)
        return F.mse_loss(self._small(fake), expected.float())

    def _small(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, images.shape[-1] // self.size)
