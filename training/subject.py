"""The subject of an evaluation: a checkpoint, an engine or a bundled model, with the data it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stargan_rt import Engine
from stargan_rt.errors import InputError
from stargan_rt.labels import LabelSpace
from stargan_rt.models import is_bundled
from training.checkpoint import trained_generator
from training.classifier import trained_classifier
from training.config import PRESETS, EvalConfig, TrainConfig
from training.data.dataset import to_network, to_pictures
from training.data.open import held_out, open_dataset, tones, truth_of
from training.evaluate import Translator, evaluate
from training.report import Report

BUNDLED_DATA = "avatars-128"
"""The preset whose data sets the bundled models were trained on."""


@dataclass(frozen=True)
class Subject:
    """A generator that is evaluated.

    Attributes:
        translate: the generator.
        space: its labels.
        size: side of its images in pixels.
        device: device of the tensors that `translate` takes.
        seen: data sets that it was trained on; empty if unknown.
        about: what it is, for the report.
    """

    translate: Translator
    space: LabelSpace
    size: int
    device: str
    seen: tuple[str, ...]
    about: dict[str, Any]

    @classmethod
    def from_checkpoint(cls, path: Path, weights: str = "best", device: str = "cpu") -> Subject:
        """Load the generator of a checkpoint.

        Raises:
            InputError: the file is not a checkpoint of this trainer.
        """
        generator, space, config, iteration = trained_generator(path, weights, device)
        about = {"checkpoint": path.name, "iteration": iteration, "weights": weights}
        return cls(generator, space, config.image_size, device, config.data, about)

    @classmethod
    def from_engine(cls, name: str) -> Subject:
        """Load an engine, an ONNX file or a bundled model.

        Raises:
            InputError: its images are not square.
            EngineLoadError: it can't be loaded.
        """
        engine = Engine.load(name)
        height, width = engine.size
        if height != width:
            raise InputError(f"data sets have square images; {name} takes {width}x{height}: export it at another size")
        seen = tuple(TrainConfig.read(PRESETS[BUNDLED_DATA])["data"]) if is_bundled(name) else ()
        about = {"engine": Path(name).name, "precision": engine.precision, "backend": engine.backend}
        return cls(
            lambda image, label: to_network(engine.translate(to_pictures(image), label.numpy())),
            engine.labels,
            height,
            "cpu",
            seen,
            about,
        )

    def evaluate(self, config: EvalConfig) -> tuple[Report, np.ndarray, dict[str, Any]]:
        """Train the classifiers, if they are not in the cache, and evaluate the generator.

        Returns:
            The report, a picture of some translations, uint8 ``(H, W, 3)`` RGB, and the report as JSON with what was
            evaluated on which data.

        Raises:
            InputError: the data sets do not fit the labels of the generator.
        """
        seen = config.seen or self.seen
        if not seen:
            raise InputError("the data that an engine was trained on is unknown: name each data set with --seen")
        unseen = config.data or tuple(held_out(text) for text in seen)
        names = dict(self.space.datasets)
        if not len(seen) == len(unseen) == len(names) > config.on:
            raise InputError(
                f"the model has {len(names)} data set(s), {', '.join(names)}: give --seen and --data once for each, "
                f"and --on below {len(names)}; got {len(seen)}, {len(unseen)} and {config.on}"
            )
        known = [open_dataset(text, self.size) for text in seen]
        others = [open_dataset(text, self.size) for text in unseen]
        if any(a.names != tuple(b) for a, b in zip([*known, *others], [*names.values()] * 2, strict=True)):
            raise InputError(f"the data sets have other labels than the model, {names}: choose them with ?labels=…")
        classifiers = [trained_classifier(data, config.classifier_steps, self.device) for data in known]
        source = unseen[config.on]
        truth = truth_of(source, self.size)
        report, grid = evaluate(
            self.translate, self.space, others, classifiers, config.on, truth, self.device, tones(source)
        )
        return report, grid, {**self.about, "unseen": unseen, **report.to_dict()}
