"""The result of an evaluation: scores by label, and by label and skin tone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from training.classifier import NAME


@dataclass(frozen=True)
class Group:
    """Translations of the images of one skin tone to one label.

    Attributes:
        images: number of images that must change.
        changed: share of them in which the classifier recognises the target; None if there are none.
        psnr_db: mean PSNR to the ground truth; None if there are none.
        flat_rms: root mean square difference from the ground truth in its flat areas, in levels of 255.
    """

    images: int
    changed: float | None
    psnr_db: float | None
    flat_rms: float | None


@dataclass(frozen=True)
class Score:
    """Translations of all images to one label.

    Attributes:
        real_accuracy: share of real images of the label that the classifier recognises.
        accuracy: the same for translated images.
        changed: the same for the translated images whose source does not show the target; None if all do.
        kept: share of the other attributes that the classifier recognises as in the source.
        psnr_db, ssim: mean similarity to the ground truth of images that must change; None without ground truth.
        flat_rms: root mean square difference from the ground truth of these images in its flat areas, where it has
            one colour, in levels of 255.
        untouched_db: mean PSNR of the source images themselves to the ground truth.
        tones: the images by skin tone; empty if the data set does not tell.
    """

    real_accuracy: float
    accuracy: float
    changed: float | None
    kept: float
    psnr_db: float | None = None
    ssim: float | None = None
    flat_rms: float | None = None
    untouched_db: float | None = None
    tones: dict[str, Group] = field(default_factory=dict)

    @property
    def relative_accuracy(self) -> float:
        """Accuracy on translated images divided by that on real ones."""
        return self.accuracy / self.real_accuracy if self.real_accuracy else float("nan")


@dataclass(frozen=True)
class Report:
    """The scores of a generator on one data set.

    Attributes:
        data: name of the data set whose images were translated.
        images: number of images, each translated to every label.
        scores: score of each label.
        reconstruction_levels: mean absolute difference of G(G(x, target), source) from x, in levels of 255.
        frechet: Fréchet distance between real and translated images in the classifier's features.
        features: the network that computes the features.
    """

    data: str
    images: int
    scores: dict[str, Score]
    reconstruction_levels: float
    frechet: float
    features: str = NAME

    def mean(self, name: str) -> float | None:
        """Return the mean of an attribute of `Score` over the labels that have it; None if none has."""
        values = [value for score in self.scores.values() if (value := getattr(score, name)) is not None]
        return float(np.mean(values)) if values else None

    def worst(self, name: str) -> tuple[str, str, float] | None:
        """Return label, skin tone and value of the group with the lowest `changed` or `psnr_db`."""
        values = [
            (label, tone, value) for label, tone, group in self._groups() if (value := getattr(group, name)) is not None
        ]
        return min(values, key=lambda entry: entry[2]) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report ready for JSON."""
        scores = {n: asdict(s) | {"relative_accuracy": s.relative_accuracy} for n, s in self.scores.items()}
        means = {name: self.mean(name) for name in ("accuracy", "changed", "kept", "psnr_db", "ssim", "flat_rms")}
        worst = {name: self.worst(name) for name in ("changed", "psnr_db")}
        return asdict(self) | {"scores": scores, "means": means, "worst": worst}

    def table(self) -> Table:
        """Return the scores by label."""
        caption = (
            f"reconstruction {self.reconstruction_levels:.2f} levels of 255; "
            f"Fréchet distance {self.frechet:.2f} ({self.features})"
        )
        title = f"{self.images} unseen images of {self.data}, each translated to every label"
        table = Table(title=title, caption=caption, box=None, padding=(0, 2, 0, 0))  # nine columns fit in 80 characters
        headings = ("real", "trans-\nlated", "changed", "kept", "PSNR\ndB", "SSIM", "flat\nRMS", "un-\ntouched\ndB")
        table.add_column("label", no_wrap=True)
        for heading in headings:
            table.add_column(heading, justify="right")
        shares, truth = (
            ("real_accuracy", "accuracy", "changed", "kept"),
            ("psnr_db", "ssim", "flat_rms", "untouched_db"),
        )
        forms = [(name, "{:.1%}") for name in shares] + [(name, "{:.2f}") for name in truth]
        for label, score in self.scores.items():
            table.add_row(label, *(_cell(form, getattr(score, name)) for name, form in forms))
        table.add_section()
        table.add_row("mean", *(_cell(form, self.mean(name)) for name, form in forms))
        return table

    def tone_table(self) -> Table | None:
        """Return `changed` and PSNR by label and skin tone; None if the data set has no skin tones."""
        tones = list(dict.fromkeys(tone for _, tone, _ in self._groups()))
        if not tones:
            return None
        worst = [_worst(words, form, self.worst(name)) for name, words, form in _WORST]
        title = "recognised of those that must change, and PSNR in dB, by skin tone"
        table = Table(title=title, caption="worst: " + "; ".join(worst), box=None, padding=(0, 2, 0, 0))
        table.add_column("label", no_wrap=True)
        for tone in tones:
            table.add_column(tone, justify="right")
        for label, score in self.scores.items():
            groups = [score.tones.get(tone, Group(0, None, None, None)) for tone in tones]
            table.add_row(label, *(f"{_cell('{:.0%}', g.changed)} {_cell('{:.1f}', g.psnr_db)}" for g in groups))
        return table

    def _groups(self) -> Iterator[tuple[str, str, Group]]:
        for label, score in self.scores.items():
            for tone, group in score.tones.items():
                yield label, tone, group


_WORST = (("changed", "recognised", "{:.1%}"), ("psnr_db", "PSNR", "{:.1f} dB"))


def _cell(form: str, value: float | None) -> str:
    return "–" if value is None else form.format(value)


def _worst(words: str, form: str, entry: tuple[str, str, float] | None) -> str:
    return f"{words} {form.format(entry[2])} ({entry[0]}, {entry[1]})" if entry else f"{words} –"
