"""How good a generator is, measured on images that it never saw.

As in the paper (section 5.4), a classifier trained on real images judges translated ones. Beside it
stand the reconstruction error, what should have stayed and did, a Fréchet distance in the
classifier's features, and on avatars the distance to the ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from stargan_rt import Engine
from stargan_rt.grid import captioned_grid
from stargan_rt.labels import LabelSpace
from stargan_rt.quality import psnr, ssim
from training.classifier import NAME, Classifier, classify
from training.data.dataset import Dataset, to_network, to_pictures
from training.data.open import Truth
from training.targets import Part, parts, single_changes

Translator: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Images float ``(n, 3, h, w)`` in [-1, 1] and labels ``(n, dim)`` → images; a `Generator`, or `of_engine`."""
BATCH = 16
SHOWN = 6


@dataclass(frozen=True)
class Score:
    """How well images are translated to one label.

    Attributes:
        real_accuracy: share of real images of the label that the classifier recognises.
        accuracy: the same for translated images.
        changed: the same for those of them whose source does not show the target; None where all do.
        kept: share of the other attributes that the classifier sees as it saw them in the source.
        psnr_db, ssim: means, to the ground truth, over images that must change; None where there is none.
        untouched_db: mean PSNR of those images themselves to the ground truth: what doing nothing gives.
    """

    real_accuracy: float
    accuracy: float
    changed: float | None
    kept: float
    psnr_db: float | None = None
    ssim: float | None = None
    untouched_db: float | None = None

    @property
    def relative_accuracy(self) -> float:
        """How often the target is recognised, as a share of how often it is in real images."""
        return self.accuracy / self.real_accuracy if self.real_accuracy else float("nan")


@dataclass(frozen=True)
class Report:
    """Of one generator on one data set.

    Attributes:
        data: name of the data set whose images were translated.
        images: how many, each to every label.
        scores: label → score.
        reconstruction_levels: mean absolute difference of G(G(x, target), source) to x, in levels of 255.
        frechet: Fréchet distance between real and translated images in `features`.
        features: the feature network.
    """

    data: str
    images: int
    scores: dict[str, Score]
    reconstruction_levels: float
    frechet: float
    features: str = NAME

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        scores = {n: asdict(s) | {"relative_accuracy": s.relative_accuracy} for n, s in self.scores.items()}
        return asdict(self) | {"scores": scores}

    def table(self) -> Table:
        """For the terminal."""
        caption = (
            f"reconstruction {self.reconstruction_levels:.2f} levels of 255; "
            f"Fréchet distance {self.frechet:.2f} ({self.features})"
        )
        title = f"{self.images} unseen images of {self.data}, each to every label"
        table = Table(title=title, caption=caption, box=None, padding=(0, 2, 0, 0))  # nine columns fit in 80 characters
        headings = ("real", "trans-\nlated", "rela-\ntive", "changed", "kept", "PSNR\ndB", "SSIM", "un-\ntouched\ndB")
        table.add_column("label", no_wrap=True)
        for heading in headings:
            table.add_column(heading, justify="right")
        for name, s in self.scores.items():
            shares = (s.real_accuracy, s.accuracy, s.relative_accuracy, s.changed, s.kept)
            truth = (s.psnr_db, s.ssim, s.untouched_db)
            cells = [("{:.1%}", v) for v in shares] + [("{:.2f}", v) for v in truth]
            table.add_row(name, *("–" if value is None else form.format(value) for form, value in cells))
        return table


def evaluate(
    generator: Translator,
    space: LabelSpace,
    datasets: Sequence[Dataset],
    classifiers: Sequence[Classifier],
    on: int = 0,
    truth: Truth | None = None,
    device: str = "cpu",
) -> tuple[Report, np.ndarray]:
    """Translates the images of one data set into every label of the space, also those of other sets.

    Args:
        generator: in evaluation mode, on `device`.
        space: its labels.
        datasets: unseen images, one a data set of `space`, in its order.
        classifiers: of each data set's labels, trained on other images of it.
        on: number of the data set whose images are translated.
        truth: gives the ground truth of a translation.

    Returns:
        The report, and a captioned picture of some translations, uint8 ``(H, W, 3)``.
    """
    layout, images = parts(space), datasets[on].images
    own = torch.from_numpy(datasets[on].labels)
    source = layout[on].vector(own)
    seen = [_Seen(c, p) for c, p in zip(classifiers, layout, strict=True)]
    before = [judge.predict(images) for judge in seen]
    real_features = classify(classifiers[on], images)[1]

    scores: dict[str, Score] = {}
    columns, features, errors = [images[:SHOWN]], [], []
    for number, part in enumerate(layout):
        # Of another data set's labels nothing is known: name one, leave the rest unspecified.
        known = own if number == on else torch.full((len(images), len(datasets[number].names)), space.unspecified)
        names = space.names[part.where]
        real = seen[number].predict(datasets[number].images) == (datasets[number].labels > 0.5)
        for index, (name, change) in enumerate(zip(names, single_changes(known, part), strict=True)):
            wanted = change[:, index].numpy() > 0.5
            pictures, error = translate(generator, images, part.vector(change), source, device)
            after = [judge.predict(pictures) for judge in seen]
            shares = [
                judge.unchanged(b, a, skip=int(part.unit[index]) if n == number else None)
                for n, (judge, b, a) in enumerate(zip(seen, before, after, strict=True))
            ]
            right, to_change = after[number][:, index] == wanted, before[number][:, index] != wanted
            scores[name] = Score(
                _real_accuracy(real[:, index], datasets[number].labels[:, index] > 0.5, wanted),
                float(right.mean()),
                float(right[to_change].mean()) if to_change.any() else None,
                float(np.mean([share for share in shares if share is not None])) if any(shares) else 1.0,
                **(_against(truth(name, wanted), pictures, images) if truth else {}),
            )
            columns.append(pictures[:SHOWN])
            features.append(classify(classifiers[on], pictures)[1])
            errors.append(error)
    distance = frechet_distance(real_features, np.concatenate(features))
    report = Report(datasets[on].name, len(images), scores, float(np.mean(errors)), distance)
    return report, captioned_grid(list(zip(*columns, strict=True)), ["input", *space.names])


@torch.no_grad()
def translate(
    generator: Translator, images: np.ndarray, target: Tensor, source: Tensor, device: str = "cpu"
) -> tuple[np.ndarray, float]:
    """Translated pictures uint8 ``(n, h, w, 3)``, and the mean error of the way back in levels of 255."""
    pictures, error = [], 0.0
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        x = to_network(images[rows]).to(device)
        fake = generator(x, target[rows].to(device))
        back = generator(fake, source[rows].to(device))
        error += float((x - back).abs().mean() * 127.5) * len(x)
        pictures.append(to_pictures(fake))
    return np.concatenate(pictures), error / len(images)


def of_engine(engine: Engine) -> Translator:
    """What an engine's users get, to be judged like a generator."""
    return lambda image, label: to_network(engine.translate(to_pictures(image), label.numpy()))


class _Seen:
    """What a classifier sees: for every label yes or no, in a group of labels exactly one yes."""

    def __init__(self, classifier: Classifier, part: Part) -> None:
        self.classifier, self.unit = classifier, part.unit.numpy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        logits, _ = classify(self.classifier, images)
        yes = logits > 0
        for unit in np.unique(self.unit):
            (members,) = np.nonzero(self.unit == unit)
            if len(members) > 1:
                yes[:, members] = np.eye(len(members), dtype=bool)[logits[:, members].argmax(axis=1)]
        return yes

    def unchanged(self, before: np.ndarray, after: np.ndarray, skip: int | None) -> float | None:
        """Share of units, but `skip`, that are seen alike."""
        same = [(before == after)[:, self.unit == u].all(axis=1).mean() for u in np.unique(self.unit) if u != skip]
        return float(np.mean(same)) if same else None


def _real_accuracy(right: np.ndarray, has: np.ndarray, wanted: np.ndarray) -> float:
    """Accuracy on real images with the label and without it, in the shares in which either is wanted."""
    share = float(wanted.mean())
    with_it = float(right[has].mean()) if has.any() else float("nan")
    without = float(right[~has].mean()) if not has.all() else float("nan")
    return with_it if share == 1 else without if share == 0 else share * with_it + (1 - share) * without


def _against(truth: np.ndarray, pictures: np.ndarray, images: np.ndarray) -> dict[str, float]:
    # An image that shows the label already needs no translation, and would flatter.
    trios = [(t, p, i) for t, p, i in zip(truth, pictures, images, strict=True) if (t != i).any()]
    if not trios:
        return {}
    return {
        "psnr_db": float(np.mean([psnr(t, p) for t, p, _ in trios])),
        "ssim": float(np.mean([ssim(t, p) for t, p, _ in trios])),
        "untouched_db": float(np.mean([psnr(t, i) for t, _, i in trios])),
    }


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between Gaussians fitted to two sets of features, ``(n, d)`` each (Heusel et al. 2017)."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of cov_a cov_b: their product is similar to a positive semi-definite matrix.
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None))
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())
