"""Measure a generator on images that it has not seen.

As in the paper (section 5.4), a classifier trained on real images is applied to translated ones. The report adds the
reconstruction error, the share of attributes that were kept, a Fréchet distance in the classifier's features, and
for avatars the similarity to the ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor

from stargan_rt.grid import captioned_grid
from stargan_rt.labels import LabelSpace
from stargan_rt.quality import psnr, ssim
from training.classifier import Classifier, classify
from training.data.dataset import Dataset, to_network, to_pictures
from training.data.open import Truth
from training.report import Group, Report, Score
from training.targets import Part, parts, single_changes

Translator: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps images, float ``(n, 3, h, w)`` in [-1, 1], and label vectors ``(n, dim)`` to translations, like a generator."""
BATCH = 16
SHOWN = 6
"""Images in the picture of translations."""
FLAT = 5
"""A pixel of a drawing lies in a flat area if the square of this side around it has one colour."""


def evaluate(
    generator: Translator,
    space: LabelSpace,
    datasets: Sequence[Dataset],
    classifiers: Sequence[Classifier],
    on: int = 0,
    truth: Truth | None = None,
    device: str = "cpu",
    tones: Sequence[str] | None = None,
) -> tuple[Report, np.ndarray]:
    """Translate the images of one data set to every label, also those of the other data sets, and score the results.

    Args:
        generator: in evaluation mode, on `device`.
        space: its labels.
        datasets: unseen images, one data set for each of `space`, in its order.
        classifiers: classifiers of each data set's labels, trained on other images of it.
        on: number of the data set whose images are translated.
        truth: draws the ground truth of translations.
        device: device of the generator.
        tones: skin tone of each image, for scores by skin tone.

    Returns:
        The report, and a picture of some translations with captions, uint8 ``(H, W, 3)`` RGB.
    """
    layout, images = parts(space), datasets[on].images
    own = torch.from_numpy(datasets[on].labels)
    source = layout[on].vector(own)
    recognisers = [_Recogniser(c, p) for c, p in zip(classifiers, layout, strict=True)]
    before = [recogniser.predict(images) for recogniser in recognisers]
    real_features = classify(classifiers[on], images)[1]

    scores: dict[str, Score] = {}
    columns, features, errors = [images[:SHOWN]], [], []
    for number, part in enumerate(layout):
        # The images' labels of another data set are unknown: specify one label and leave the others unspecified.
        known = own if number == on else torch.full((len(images), len(datasets[number].names)), space.unspecified)
        names = space.names[part.where]
        real = recognisers[number].predict(datasets[number].images) == (datasets[number].labels > 0.5)
        for index, (name, change) in enumerate(zip(names, single_changes(known, part), strict=True)):
            target = change[:, index].numpy() > 0.5
            pictures, error = translate(generator, images, part.vector(change), source, device)
            after = [recogniser.predict(pictures) for recogniser in recognisers]
            shares = [
                recogniser.unchanged(b, a, skip=int(part.unit[index]) if n == number else None)
                for n, (recogniser, b, a) in enumerate(zip(recognisers, before, after, strict=True))
            ]
            kept = [share for share in shares if share is not None]
            scores[name] = _score(
                real_accuracy=_real_accuracy(real[:, index], datasets[number].labels[:, index] > 0.5, target),
                right=after[number][:, index] == target,
                differs=before[number][:, index] != target,
                kept=float(np.mean(kept)) if kept else 1.0,
                similarity=_Similarity(truth(name, target), pictures, images) if truth else None,
                tones=tones,
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
    """Return translations, uint8 ``(n, h, w, 3)``, and the mean reconstruction error in levels of 255."""
    pictures, error = [], 0.0
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        x = to_network(images[rows]).to(device)
        fake = generator(x, target[rows].to(device))
        back = generator(fake, source[rows].to(device))
        error += float((x - back).abs().mean() * 127.5) * len(x)
        pictures.append(to_pictures(fake))
    return np.concatenate(pictures), error / len(images)


class _Recogniser:
    """Applies a classifier: yes or no for every label, and exactly one yes in every group of labels."""

    def __init__(self, classifier: Classifier, part: Part) -> None:
        self.classifier, self.unit = classifier, part.unit.numpy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return bool ``(n, c)`` for images, uint8 ``(n, h, w, 3)``."""
        logits, _ = classify(self.classifier, images)
        yes = logits > 0
        for unit in np.unique(self.unit):
            (members,) = np.nonzero(self.unit == unit)
            if len(members) > 1:
                yes[:, members] = np.eye(len(members), dtype=bool)[logits[:, members].argmax(axis=1)]
        return yes

    def unchanged(self, before: np.ndarray, after: np.ndarray, skip: int | None) -> float | None:
        """Return the share of units, except `skip`, with the same prediction; None if there are no others."""
        same = [(before == after)[:, self.unit == u].all(axis=1).mean() for u in np.unique(self.unit) if u != skip]
        return float(np.mean(same)) if same else None


class _Similarity:
    """Similarity of each translation to its ground truth, each ``(n,)``; NaN for images that must not change.

    An image that already shows the label needs no translation and would raise the means.
    """

    def __init__(self, truth: np.ndarray, pictures: np.ndarray, images: np.ndarray) -> None:
        self.changes = np.array([(t != i).any() for t, i in zip(truth, images, strict=True)])
        pairs = [(t, p, i) if c else None for t, p, i, c in zip(truth, pictures, images, self.changes, strict=True)]
        self.psnr_db = np.array([psnr(pair[0], pair[1]) if pair else np.nan for pair in pairs])
        self.ssim = np.array([ssim(pair[0], pair[1]) if pair else np.nan for pair in pairs])
        self.flat_rms = np.array([flat_rms(pair[0], pair[1]) if pair else np.nan for pair in pairs])
        self.untouched_db = np.array([psnr(pair[0], pair[2]) if pair else np.nan for pair in pairs])


def flat_rms(truth: np.ndarray, picture: np.ndarray) -> float:
    """Return the root mean square difference in the flat areas of a drawing, in levels of 255.

    Args:
        truth: the drawing, uint8 ``(h, w, 3)``.
        picture: the picture that is compared with it, of the same shape.

    Returns:
        NaN if the drawing has no flat area.
    """
    square = np.ones((FLAT, FLAT), np.uint8)
    flat = (cv2.dilate(truth, square) == cv2.erode(truth, square)).all(axis=-1)
    return float(np.sqrt(np.mean((picture[flat].astype(float) - truth[flat]) ** 2))) if flat.any() else float("nan")


def _score(
    real_accuracy: float,
    right: np.ndarray,
    differs: np.ndarray,
    kept: float,
    similarity: _Similarity | None,
    tones: Sequence[str] | None,
) -> Score:
    """Summarise the results of one label: `right` and `differs` are bool ``(n,)``."""
    means: dict[str, float | None] = {}
    if similarity:
        means = {name: _mean(getattr(similarity, name)) for name in ("psnr_db", "ssim", "flat_rms", "untouched_db")}
    groups = {}
    for tone in sorted(set(tones or ())):
        members = np.array(tones) == tone
        groups[tone] = Group(
            int((differs & members).sum()),
            _mean(right[differs & members]),
            _mean(similarity.psnr_db[members]) if similarity else None,
            _mean(similarity.flat_rms[members]) if similarity else None,
        )
    return Score(real_accuracy, float(right.mean()), _mean(right[differs]), kept, **means, tones=groups)


def _mean(values: np.ndarray) -> float | None:
    """Return the mean without NaN; None if nothing is left."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


def _real_accuracy(right: np.ndarray, has: np.ndarray, target: np.ndarray) -> float:
    """Return the accuracy on real images, weighted by how often each value of the label is the target."""
    share = float(target.mean())
    with_it = float(right[has].mean()) if has.any() else float("nan")
    without = float(right[~has].mean()) if not has.all() else float("nan")
    return with_it if share == 1 else without if share == 0 else share * with_it + (1 - share) * without


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the distance between Gaussians fitted to two sets of features, ``(n, d)`` each (Heusel et al. 2017)."""
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The roots of the eigenvalues sum to the trace of the root of cov_a cov_b, whose eigenvalues are not negative.
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None))
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())
