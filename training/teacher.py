"""A trained generator whose translations another one learns to match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stargan_rt import Engine
from stargan_rt.errors import InputError
from stargan_rt.files import sha256
from stargan_rt.labels import LabelSpace
from stargan_rt.models import BUNDLED, bundled_model
from training.checkpoint import is_own, read_checkpoint, trained_discriminator, trained_generator
from training.config import TrainConfig
from training.data.dataset import to_network, to_pictures
from training.model import Discriminator
from training.pairs import Pairs, cached_pairs

FIX = "name another by --teacher, or train without one: --teacher ''"


class Teacher:
    """A frozen generator that translates at its own image size.

    Args:
        generator: maps images ``(n, 3, size, size)`` in [-1, 1] and label vectors ``(n, dim)`` to translations.
        size: side of its images in pixels.
        space: its labels.
        key: identifies it in the cache of its translations.
        config: settings of the run that trained it, if it is a checkpoint.
        discriminator: of a checkpoint; its features compare translations.
    """

    def __init__(
        self,
        generator: Callable[[Tensor, Tensor], Tensor],
        size: int,
        space: LabelSpace,
        key: str,
        config: TrainConfig | None = None,
        discriminator: Discriminator | None = None,
    ) -> None:
        self.generator, self.size, self.space = generator, size, space
        self.key, self.config, self.discriminator = key, config, discriminator

    @classmethod
    def open(cls, text: str, device: str = "cpu") -> Teacher:
        """Load a teacher.

        Args:
            text: a checkpoint of this trainer, or an engine: an ONNX file, a plan, or the name of a bundled model.
            device: device of a checkpoint's networks; engines choose theirs.

        Raises:
            InputError: there is no such file, or it can't serve as a teacher.
            EngineLoadError: it is not an engine.
        """
        path = bundled_model(text) if text in BUNDLED else Path(text)
        if not path.is_file():
            raise InputError(f"no teacher at {path}: {FIX}")
        if path.suffix in (".onnx", ".engine", ".plan"):
            return cls._of_engine(path)
        if not is_own(read_checkpoint(path)):
            raise InputError(
                f"{path} is a bare state dict; export it and name the ONNX file as the teacher: "
                f"python -m export --checkpoint {path} --labels A,B,… --output teacher.onnx"
            )
        generator, space, config, _ = trained_generator(path, device=device)
        generator.requires_grad_(False)
        discriminator = trained_discriminator(path, device)
        return cls(generator, config.image_size, space, sha256(path), config, discriminator)

    @classmethod
    def _of_engine(cls, path: Path) -> Teacher:
        engine = Engine.load(path)
        if engine.size[0] != engine.size[1]:
            raise InputError(f"training images are square; the teacher {path} takes {engine.size[1]}x{engine.size[0]}")

        def generator(image: Tensor, label: Tensor) -> Tensor:
            return to_network(engine.translate(to_pictures(image), label.cpu().numpy())).to(image.device)

        return cls(generator, engine.size[0], engine.labels, sha256(path))

    @classmethod
    def from_config(cls, config: TrainConfig, space: LabelSpace, device: str) -> Teacher | None:
        """Load the teacher of a run, or return None if `config.teacher` is empty.

        Raises:
            InputError: the teacher does not exist, has other labels, or a size that does not divide the run's.
        """
        if not config.teacher:
            return None
        teacher = cls.open(config.teacher, device)
        if teacher.space != space:
            raise InputError(
                f"the teacher {config.teacher} has the labels {dict(teacher.space.datasets)}, the run "
                f"{dict(space.datasets)}: they must be equal, and so must --partial-targets (0 or not): {FIX}"
            )
        if config.image_size % teacher.size:
            raise InputError(
                f"the teacher {config.teacher} was trained at image size {teacher.size}, which does not divide the "
                f"run's {config.image_size}: {FIX}"
            )
        if config.distill_iterations and config.image_size != teacher.size:
            raise InputError(
                f"the teacher {config.teacher} translates images of {teacher.size} pixels, and distillation needs the "
                f"same size: --image-size {teacher.size}"
            )
        return teacher

    @torch.no_grad()
    def translate(self, images: Tensor, target: Tensor) -> Tensor:
        """Translate images of the teacher's size, ``(n, 3, size, size)`` in [-1, 1]."""
        return self.generator(images, target).float()

    def pairs(self, images: Sequence[np.ndarray], count: int, seed: int, device: str = "cpu") -> Pairs:
        """Return translations of `count` images drawn at random, from the cache if it has them.

        Args:
            images: of the data sets, uint8 ``(n, size, size, 3)`` each.
            count: number of pairs.
            seed: of the draws.
            device: device of the teacher's networks.
        """

        def translate(pictures: np.ndarray, labels: np.ndarray) -> np.ndarray:
            inputs = to_network(pictures).to(device), torch.from_numpy(labels).to(device)
            return to_pictures(self.translate(*inputs))

        return cached_pairs(translate, self.key, images, self.space, count, seed)

    def loss(self, real: Tensor, target: Tensor, fake: Tensor) -> Tensor:
        """Return the mean squared difference between the teacher's translations and `fake`, at the teacher's size.

        The difference is squared so that large differences, such as a missing beard, count more than grain.

        Args:
            real, fake: images and their translations, float ``(n, 3, h, w)`` in [-1, 1].
            target: label vectors, ``(n, dim)``.
        """
        return F.mse_loss(self._small(fake), self.translate(self._small(real), target))

    def feature_loss(self, expected: Tensor, output: Tensor) -> Tensor:
        """Return the mean squared difference in the discriminator's features, each layer relative to its variance.

        Args:
            expected, output: the teacher's translations and the student's, ``(n, 3, size, size)``.

        Returns:
            A scalar; 0 for a teacher without a discriminator.
        """
        total = output.new_zeros(())
        if self.discriminator is None:
            return total
        wanted, found = expected, output
        for layer in self.discriminator.main:
            with torch.no_grad():
                wanted = layer(wanted)
            found = layer(found)
            if isinstance(layer, torch.nn.LeakyReLU):
                total = total + (found - wanted).float().square().mean() / (wanted.float().var() + 1e-3)
        return total

    def _small(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, images.shape[-1] // self.size)
