"""Open a data set from the line that describes it, with the images held out of training and the ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from stargan_rt.errors import InputError
from training.data.dataset import Dataset
from training.data.spec import DataSpec

Truth: TypeAlias = Callable[[str, np.ndarray], np.ndarray]
"""Maps a label and its value for each image to the ground truth of the translations, uint8 ``(n, h, w, 3)`` RGB."""

CROP = 178
"""CelebA's images are cropped to 178x178 before they are resized (paper, section 5.2)."""
COUNT = 12_000
"""Number of avatars if the line does not give one."""
HELD_OUT_SEED = 1_000_000
"""Added to the seed of avatars for people that were not in the training data."""


def open_dataset(text: str, image_size: int) -> Dataset:
    """Open a data set; it is drawn or decoded first if it is not in the cache.

    Args:
        text: the line that describes it; see `training.data.spec`.
        image_size: side of the images in pixels.

    Raises:
        InputError: the line or the data is not valid.
    """
    spec = DataSpec.parse(text)
    if spec.kind == "avatars":
        return _open_avatars(spec, image_size)
    if spec.kind == "images":
        raise InputError(
            f"{text} has no labels, so it can only be translated by a teacher: python -m training distill --teacher … "
            f"--data {text}; to train on labels give folder:PATH, table:FILE or celeba:PATH"
        )
    from training.data.files import LISTINGS, decode

    listing = LISTINGS[spec.kind](spec)
    images, labels = decode(listing, image_size, spec.number("crop", CROP if spec.kind == "celeba" else 0))
    return Dataset(spec.name, images, labels, listing.names, listing.groups, listing.one_of_k)


def open_images(text: str, image_size: int) -> np.ndarray:
    """Open the images of a data set, which needs no labels: uint8 ``(n, image_size, image_size, 3)``.

    Arguments and errors are those of `open_dataset`; ``images:FOLDER`` takes all images in a folder.
    """
    spec = DataSpec.parse(text)
    if spec.kind != "images":
        return open_dataset(text, image_size).images
    from training.data.files import decode, list_images

    return decode(list_images(spec), image_size, spec.number("crop", 0))[0]


def held_out(text: str) -> str:
    """Return the line of a data set that a generator trained on `text` has not seen.

    Raises:
        InputError: it can't be derived: the data set has no split.
    """
    spec = DataSpec.parse(text)
    if spec.kind == "avatars":
        changes = {"seed": str(spec.number("seed", 0) + HELD_OUT_SEED), "count": "200"}
    elif spec.kind == "celeba":
        changes = {"split": "test"}
    else:
        raise InputError(f"{text!r} has no test split; name images that the model was not trained on with --data")
    return str(replace(spec, options=spec.options | changes))


def truth_of(text: str, image_size: int) -> Truth | None:
    """Return a function that draws the ground truth of translations; None if the data set is not drawn."""
    spec = DataSpec.parse(text)
    if spec.kind != "avatars":
        return None
    from training.data.avatars import truth

    return partial(truth, spec.number("count", COUNT), spec.number("seed", 0), _style(spec), image_size)


def tones(text: str) -> list[str] | None:
    """Return the skin tone of each image; None if the data set does not tell."""
    spec = DataSpec.parse(text)
    if spec.kind != "avatars":
        return None
    from training.data.avatars import person

    seed, style = spec.number("seed", 0), _style(spec)
    return [person(index, seed, style).tone for index in range(spec.number("count", COUNT))]


def _style(spec: DataSpec) -> str:
    return spec.options.get("style", "avataaars")


def _open_avatars(spec: DataSpec, image_size: int) -> Dataset:
    from training.data.avatars import STYLES, avatars

    style = _style(spec)
    if style not in STYLES:
        raise InputError(f"unknown avatar style {style!r}; known: {', '.join(STYLES)}")
    known = STYLES[style].labels
    names = spec.labels or known
    if missing := [name for name in names if name not in known]:
        raise InputError(f"avatars have no label {', '.join(missing)}; they have: {', '.join(known)}")
    images, labels = avatars(spec.number("count", COUNT), image_size, spec.number("seed", 0), style)
    groups = {
        group: kept
        for group, members in STYLES[style].label_space.groups.items()
        if len(kept := tuple(m for m in members if m in names)) > 1
    }
    labels = labels[:, [known.index(name) for name in names]]
    one_of_k = list(groups.values()) == [tuple(names)] and bool(np.all(labels.sum(1) == 1))
    return Dataset(spec.name, images, labels, names, groups, one_of_k)
