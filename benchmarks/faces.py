"""`python -m benchmarks faces`: faces found in drawn scenes, and whether their translations are recognised."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from rich.progress import track

from benchmarks import results
from benchmarks.scenes import COUNT, scene
from stargan_rt import Engine
from stargan_rt.faces import FaceDetector, aligned_region
from stargan_rt.faces.blend import cut
from training.classifier import classify, trained_classifier
from training.data.open import open_dataset

SHARE_FOUND, SHARE_RECOGNISED = 0.95, 0.95
TRAINED_ON = "avatars?seed=0&count=3000"
"""What the classifier that judges the translations is trained on."""


@dataclass(frozen=True)
class Result:
    """What `python -m benchmarks faces` measures.

    Attributes:
        scenes: number of scenes.
        faces: avatars in them.
        found: avatars that the detector found.
        false: other places where it found a face.
        min_score: setting of the detector.
        recognised: share of the faces, each translated to one label that it does not show and put back, in which the
            classifier recognises that label when it sees them framed as in its training.
        recognised_plain: the same of translations of the avatars as they were drawn, cut out at their known places.
        size_error, angle_error, place_error: median and 95th percentile of the aligned crops' relative size error,
            angle error in degrees, and distance from the true place as a part of the crop's side.
    """

    scenes: int
    faces: int
    found: int
    false: int
    min_score: float
    recognised: float
    recognised_plain: float
    size_error: tuple[float, float]
    angle_error: tuple[float, float]
    place_error: tuple[float, float]

    @property
    def passed(self) -> bool:
        """Whether the shares are as high as promised."""
        return self.found >= SHARE_FOUND * self.faces and self.recognised >= SHARE_RECOGNISED * self.recognised_plain


def measure(engine: Engine, detector: FaceDetector, scenes: int, min_score: float, steps: int) -> Result:
    """Run the benchmark.

    Args:
        engine: with the labels of the avatars.
        detector: finds the faces.
        scenes: number of scenes.
        min_score: setting of the detector, for the record.
        steps: training steps of the classifier.
    """
    data = open_dataset(TRAINED_ON, engine.size[0])
    judge = trained_classifier(data, steps)
    put_in, plain, errors, false = [], [], [], 0
    wanted: list[int] = []
    for number in track(range(scenes), "Translating the faces in scenes"):
        picture, placed = scene(number)
        faces = detector.find(picture)
        hits = [(avatar, face) for avatar in placed if (face := avatar.find(faces)) is not None]
        false += len(faces) - len({id(face) for _, face in hits})
        # Of the labels that a face does not show, another one for each face.
        absent = [np.flatnonzero(avatar.who.label == 0) for avatar, _ in hits]
        chosen = [int(rows[(len(wanted) + i) % len(rows)]) for i, rows in enumerate(absent)]
        labels = [data.names[index] for index in chosen]
        wanted += chosen
        result = engine.translate_faces(picture, labels, [face for _, face in hits])
        crops = [cut(picture, avatar.region, engine.size) for avatar, _ in hits]
        plain += list(engine.translate(crops, labels))
        for avatar, face in hits:
            put_in.append(cut(result, avatar.region, engine.size))
            region = aligned_region(face, engine.manifest.alignment, engine.size)
            errors.append(_errors(np.array(region.matrix), np.array(avatar.region.matrix)))
    rows = np.arange(len(wanted))
    shares = [float((classify(judge, np.stack(crops))[0][rows, wanted] > 0).mean()) for crops in (put_in, plain)]
    low, high = (np.quantile(np.array(errors), q, axis=0).round(4).tolist() for q in (0.5, 0.95))
    spans = list(zip(low, high, strict=True))
    return Result(
        scenes,
        scenes * COUNT,
        len(wanted),
        false,
        min_score,
        round(shares[0], 4),
        round(shares[1], 4),
        spans[0],
        spans[1],
        spans[2],
    )


def _errors(found: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """Return the relative error in size, the error in degrees and the distance of the middles, by the side."""
    side = float(np.hypot(*true[:, 0]))
    a, b = (complex(*matrix[:, 0]) for matrix in (found, true))
    middle = (0.5, 0.5, 1)
    distance = float(np.hypot(*(found @ middle - true @ middle))) / side
    return abs(abs(a / b) - 1), abs(float(np.degrees(np.angle(a / b)))), distance


@click.command("faces")
@click.option("--scenes", type=click.IntRange(1), default=300, help="Number of scenes.")
@click.option("--min-score", type=float, default=0.5, help="Of the detector; drawn faces score lower than photographs.")
@click.option("--classifier-steps", type=click.IntRange(1), default=900, help="Training steps of the classifier.")
@click.option("--engine", default="avatars", help="A model with the labels of the avatars.")
@results.output_option
def main(scenes: int, min_score: float, classifier_steps: int, engine: str, output: Path | None) -> None:
    """Find the faces in drawn scenes, and judge their translations next to those of plain crops.

    The exit code is 1 if fewer than 95 % of the faces are found, or if fewer than 95 % as many translations are
    recognised as of plain crops.
    """
    with Engine.load(engine) as loaded:
        found = measure(loaded, FaceDetector.load(min_score=min_score), scenes, min_score, classifier_steps)
    results.write(output, {"machine": results.describe(), **asdict(found), "passed": found.passed})
    click.echo(
        f"found {found.found} of {found.faces} faces ({found.found / found.faces:.1%}), {found.false} false ones"
    )
    click.echo(
        f"recognised {found.recognised:.1%} of the translations, {found.recognised_plain:.1%} of those of plain crops "
        f"({found.recognised / found.recognised_plain:.1%} as many)"
    )
    for name in ("size", "angle", "place"):
        median, high = getattr(found, f"{name}_error")
        click.echo(f"{name} error of the crops: median {median}, 95th percentile {high}")
    raise SystemExit(0 if found.passed else 1)
