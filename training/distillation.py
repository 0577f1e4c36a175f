"""Settings and images of `python -m training distill`, as far as they follow from the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stargan_rt.errors import InputError
from stargan_rt.labels import LabelSpace
from training.config import TrainConfig
from training.data.dataset import Dataset
from training.data.open import open_images
from training.data.spec import DataSpec
from training.run import labelled
from training.targets import UNSPECIFIED
from training.teacher import Teacher


def distill_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the settings of a distillation with what follows from its teacher.

    Args:
        given: settings of the user over those of a preset; ``teacher`` is required.

    Raises:
        InputError: there is no teacher, or it can't be loaded.
    """
    if not given.get("teacher"):
        raise InputError("distill needs a teacher: --teacher CHECKPOINT, an ONNX file, an engine, or avatars")
    teacher = Teacher.open(given["teacher"])
    settings: dict[str, Any] = {
        "image_size": teacher.size,
        "partial_targets": UNSPECIFIED if teacher.space.unspecified else 0.0,
        "d_layers": min(6, (teacher.size & -teacher.size).bit_length() - 1),
        "distill_iterations": given["iterations"],
    }
    if teacher.config:  # an adversarial finish starts from the teacher's discriminator
        settings |= {name: getattr(teacher.config, name) for name in ("data", "d_conv_dim", "d_layers")}
    return {**given, **settings, **{name: given[name] for name in settings if name in given and name != "d_conv_dim"}}


def resumed_settings(stored: TrainConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the changes to a run that is resumed: without adversarial iterations, a longer one has none either."""
    pure = stored.distill_iterations == stored.iterations
    longer = {"distill_iterations": changes["iterations"]} if pure and "iterations" in changes else {}
    return {**longer, **changes}


def for_teacher(config: TrainConfig) -> tuple[list[Dataset], LabelSpace]:
    """Open the images of a distillation, with the teacher's label space.

    Data sets that have the teacher's labels are opened with them; of any others only the images are used.

    Raises:
        InputError: the run has adversarial iterations, which need the teacher's labels, and the images lack them.
    """
    space = Teacher.open(config.teacher).space
    if all(DataSpec.parse(text).kind != "images" for text in config.data):
        datasets, own = labelled(config)
        if own == space:
            return datasets, space
        images = [data.images for data in datasets]
    else:
        images = [open_images(text, config.image_size) for text in config.data]
    if config.iterations > config.distill_iterations:
        raise InputError(
            f"the last {config.iterations - config.distill_iterations} iterations are adversarial and need images with "
            f"the teacher's labels, {dict(space.datasets)}; leave out --distill-iterations, or give such --data"
        )
    return _unlabelled(images, space), space


def _unlabelled(images: Sequence[np.ndarray], space: LabelSpace) -> list[Dataset]:
    """Return one data set for each of the space's, with labels of zeros."""
    if len(images) > len(space.datasets):
        images = [np.concatenate(images)]
    return [
        Dataset(name, pixels := images[number % len(images)], np.zeros((len(pixels), len(names)), np.float32), names)
        for number, (name, names) in enumerate(space.datasets.items())
    ]
