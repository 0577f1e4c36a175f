"""The paper's claim, reproduced at a small scale: `python -m benchmarks one-generator`.

One generator for all domains of two data sets, trained with mask vectors, is compared with

- the same without masks: one label vector, in which unknown labels count as absent;
- a model for every ordered pair of domains of a data set, k(k-1) for each, as GANs between two domains need (paper,
  section 1 and figure 2). Each is a two-domain StarGAN used in one direction.

All schemes get the same number of discriminator steps in total, the same networks, data and settings. A classifier of
real images judges translations of faces that no scheme has seen.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from benchmarks import results
from benchmarks.markdown import Column, Row, table, text
from training.architectures import AnyGenerator
from training.checkpoint import TrainState
from training.classifier import Classifier, classify, trained_classifier
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space, to_network, to_pictures
from training.data.open import held_out, open_dataset
from training.distributed import Processes
from training.targets import parts
from training.trainer import iterate

DATA = (
    "avatars?name=looks&count=6000&labels=Black_Hair,Blond_Hair,Gray_Hair",
    "avatars?name=faces&count=6000&seed=1&labels=angry,happy,surprised",
)
SETTINGS: dict[str, Any] = {
    **{"blocks": 3, "d_layers": 4, "n_critic": 2, "g_lr": 2e-4, "d_lr": 2e-4},
    **{"ema": 0.99, "decay_iterations": 0, "precision": "bfloat16"},
}
Translate: TypeAlias = Callable[[np.ndarray, int, int, int], np.ndarray]
"""Images uint8 ``(n, h, w, 3)``, index of the data set that has the labels, domain shown, domain wanted → images."""


class Contest:
    """Data, classifiers and settings that all schemes share."""

    def __init__(self, config: TrainConfig, classifier_steps: int) -> None:
        self.config = config
        self.seen = [open_dataset(text, config.image_size) for text in config.data]
        self.unseen = [open_dataset(held_out(text), config.image_size) for text in config.data]
        self.classifiers = [trained_classifier(data, classifier_steps) for data in self.seen]

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Yield the index of a data set and two of its domains, in every order."""
        for number, data in enumerate(self.seen):
            for source, target in itertools.permutations(range(len(data.names)), 2):
                yield number, source, target

    def train(self, datasets: Sequence[Dataset], iterations: int, name: str) -> TrainState:
        """Train one model."""
        state = TrainState.fresh(replace(self.config, iterations=iterations), joint_space(datasets))
        for _ in track(iterate(state, datasets, Processes(0, 1, "cpu")), name, total=iterations):
            pass
        return state

    def one_generator(self) -> tuple[list[TrainState], Translate]:
        """Train jointly, with mask vectors (section 3.2 of the paper)."""
        state = self.train(self.seen, self.config.iterations, "one generator, with masks")
        layout = parts(state.space)
        return [state], lambda images, number, _, wanted: _translate(
            state.averaged, images, layout[number].vector(_one_hot(wanted, len(self.seen[number].names)))
        )

    def without_masks(self) -> tuple[list[TrainState], Translate]:
        """Train on both data sets as if labels that are not known were absent."""
        names = tuple(name for data in self.seen for name in data.names)
        starts = np.cumsum([0, *(len(data.names) for data in self.seen)])
        labels = np.zeros((sum(len(data.images) for data in self.seen), len(names)), np.float32)
        row = 0
        for data, start in zip(self.seen, starts, strict=False):
            labels[row : row + len(data.images), start : start + len(data.names)] = data.labels
            row += len(data.images)
        both = Dataset("both", np.concatenate([data.images for data in self.seen]), labels, names)
        state = self.train([both], len(self.seen) * self.config.iterations, "one generator, without masks")
        return [state], lambda images, number, _, wanted: _translate(
            state.averaged, images, _one_hot(int(starts[number]) + wanted, len(names))
        )

    def a_model_a_pair(self) -> tuple[list[TrainState], Translate]:
        """Train a model for every ordered pair of domains."""
        pairs = list(self.pairs())
        share = len(self.seen) * self.config.iterations // len(pairs)
        states = {}
        for number, source, target in pairs:
            data = self.seen[number]
            names = (data.names[source], data.names[target])
            rows = data.labels[:, [source, target]].any(axis=1)
            two = Dataset(
                data.name, data.images[rows], data.labels[rows][:, [source, target]], names, {"pair": names}, True
            )
            states[number, source, target] = self.train([two], share, f"{names[0]} to {names[1]}")
        return list(states.values()), lambda images, number, shown, wanted: _translate(
            states[number, shown, wanted].averaged, images, _one_hot(1, 2)
        )

    def errors(self, translate: Translate) -> dict[str, float]:
        """Return the classification error by data set, and on the faces of the other set, which lack those labels."""
        found: dict[str, list[float]] = {}
        for on, unseen in enumerate(self.unseen):
            for number, shown, wanted in self.pairs():
                # Pair models need the domain that a face shows; on the other set only the classifier can tell.
                shows = unseen.labels if on == number else _seen(self.classifiers[number], unseen.images)
                images = unseen.images[shows[:, shown] > 0.5]
                if len(images):
                    got = _seen(self.classifiers[number], translate(images, number, shown, wanted))
                    key = f"{self.seen[number].name} on {unseen.name}"
                    found.setdefault(key, []).append(1.0 - float(got[:, wanted].mean()))
        return {key: float(np.mean(errors)) for key, errors in found.items()}

    def real(self) -> dict[str, float]:
        """Return the classifiers' own errors, on images that show one of the domains."""
        found = {}
        for data, classifier in zip(self.unseen, self.classifiers, strict=True):
            rows = data.labels.any(axis=1)
            right = (_seen(classifier, data.images[rows]) * data.labels[rows]).sum(axis=1)
            found[f"{data.name} on {data.name}"] = 1.0 - float(right.mean())
        return found


def _seen(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    logits, _ = classify(classifier, images)
    return np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)]


def _one_hot(index: int, length: int) -> Tensor:
    return torch.eye(length)[index : index + 1]


@torch.no_grad()
def _translate(generator: AnyGenerator, images: np.ndarray, vector: Tensor) -> np.ndarray:
    batches = np.array_split(images, -(-len(images) // 64))
    return np.concatenate([to_pictures(generator(to_network(b), vector.expand(len(b), -1))) for b in batches])


@click.command()
@click.option("--iterations", default=1200, help="Steps on each data set; the other schemes get as many in total.")
@click.option("--image-size", default=48, help="Side of the images in pixels.")
@click.option("--conv-dim", default=16, help="First channels of both networks.")
@click.option("--classifier-steps", default=300, help="Training steps of the classifiers that judge.")
@results.output_option
def main(iterations: int, image_size: int, conv_dim: int, classifier_steps: int, output: Path | None) -> None:
    """One generator, compared with one without masks and with a model for every pair of domains."""
    sizes = {"image_size": image_size, "conv_dim": conv_dim, "d_conv_dim": conv_dim, "iterations": iterations}
    config = TrainConfig(data=DATA, **{**SETTINGS, **sizes})
    contest = Contest(config, classifier_steps)
    schemes = []
    for scheme, train in (
        ("one generator, with masks", contest.one_generator),
        ("one generator, without masks", contest.without_masks),
        ("a model for every pair", contest.a_model_a_pair),
    ):
        start = time.perf_counter()
        states, translate = train()
        took = time.perf_counter() - start
        networks = [network for state in states for network in (state.generator, state.discriminator)]
        parameters = sum(p.numel() for network in networks for p in network.parameters())
        about = {"scheme": scheme, "models": len(states), "parameters": parameters, "training_s": round(took, 1)}
        schemes.append({**about, "error": contest.errors(translate)})
    result = {
        "machine": results.describe(torch.get_num_threads()),
        "settings": asdict(config),
        "real": contest.real(),
        "results": schemes,
    }
    click.echo(markdown(result))
    results.write(output, result)


def markdown(result: dict[str, Any]) -> str:
    """Return the classification errors of all schemes as a table."""
    columns = [
        Column("scheme", text("scheme"), words=True),
        Column("models", text("models")),
        Column("parameters", lambda row: f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else ""),
        Column("training", lambda row: f"{row['training_s']:.0f} s" if row["training_s"] else ""),
        *(Column(key, partial(_error, key)) for key in result["results"][0]["error"]),
    ]
    real = {"scheme": "real images", "models": "", "parameters": 0, "training_s": 0, "error": result["real"]}
    return table(columns, [real, *result["results"]])


def _error(key: str, row: Row) -> str:
    return f"{row['error'][key]:.1%}" if key in row["error"] else ""
