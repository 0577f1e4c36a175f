"""From a `DataSpec` to a `Dataset`."""

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
"""Label name and its value for each image → what the translations should be, uint8 ``(n, h, w, 3)``."""

CROP = 178
"""CelebA's images are cropped to 178x178 before they are resized (paper, section 5.2)."""


COUNT = 12_000
"""Avatars drawn where none is said."""


def open_dataset(text: str, image_size: int) -> Dataset:
    """Opens a data set, drawing or decoding it where the cache does not hold it yet.

    Args:
        text: see `training.data.spec`.
        image_size: side of the images in pixels.

    Raises:
        InputError: the line can't be read, or the data can't be used.
    """
    spec = DataSpec.parse(text)
    if spec.kind == "avatars":
        return _open_avatars(spec, image_size)
    from training.data.files import LISTINGS, decode

    listing = LISTINGS[spec.kind](spec)
    images, labels = decode(listing, image_size, spec.number("crop", CROP if spec.kind == "celeba" else 0))
    return Dataset(spec.name, images, labels, listing.names, listing.groups, listing.one_of_k)


HELD_OUT_SEED = 1_000_000
"""Added to the seed of avatars for people that were not trained on."""


def held_out(text: str) -> str:
    """The line of images that a generator trained on `text` has not seen.

    Raises:
        InputError: the data set does not tell.
    """
    spec = DataSpec.parse(text)
    if spec.kind == "avatars":
        changes = {"seed": str(spec.number("seed", 0) + HELD_OUT_SEED), "count": "200"}
    elif spec.kind == "celeba":
        changes = {"split": "test"}
    else:
        raise InputError(f"which images of {text!r} were not trained on is not known; name unseen ones by --data")
    return str(replace(spec, options=spec.options | changes))


def truth_of(text: str, image_size: int) -> Truth | None:
    """Draws what the translations of a data set should be; None where only the world knows."""
    spec = DataSpec.parse(text)
    if spec.kind != "avatars":
        return None
    from training.data.avatars import truth

    return partial(truth, spec.number("count", COUNT), spec.number("seed", 0), _style(spec), image_size)


def _style(spec: DataSpec) -> str:
    return spec.options.get("style", "avataaars")


def _open_avatars(spec: DataSpec, image_size: int) -> Dataset:
    from training.data.avatars import STYLES, avatars

    style = _style(spec)
    if style not in STYLES:
        raise InputError(f"unknown avatar style {style!r}; known: {', '.join(STYLES)}")
    there = STYLES[style].labels
    names = spec.labels or there
    if missing := [name for name in names if name not in there]:
        raise InputError(f"avatars have no label {', '.join(missing)}; they have: {', '.join(there)}")
    images, labels = avatars(spec.number("count", COUNT), image_size, spec.number("seed", 0), style)
    groups = {
        group: kept
        for group, members in STYLES[style].label_space.groups.items()
        if len(kept := tuple(m for m in members if m in names)) > 1
    }
    labels = labels[:, [there.index(name) for name in names]]
    one_of_k = list(groups.values()) == [tuple(names)] and bool(np.all(labels.sum(1) == 1))
    return Dataset(spec.name, images, labels, names, groups, one_of_k)
