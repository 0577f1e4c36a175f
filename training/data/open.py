"""From a `DataSpec` to a `Dataset`."""

from __future__ import annotations

import numpy as np

from stargan_rt.errors import InputError
from training.data.dataset import Dataset
from training.data.spec import DataSpec

CROP = 178
"""CelebA's images are cropped to 178x178 before they are resized (paper, section 5.2)."""


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


def _open_avatars(spec: DataSpec, image_size: int) -> Dataset:
    from training.data.avatars import STYLES, avatars

    style = spec.options.get("style", "avataaars")
    images, labels = avatars(spec.number("count", 12_000), image_size, spec.number("seed", 0), style)
    there = STYLES[style].labels
    names = spec.labels or there
    if missing := [name for name in names if name not in there]:
        raise InputError(f"avatars have no label {', '.join(missing)}; they have: {', '.join(there)}")
    groups = {
        group: kept
        for group, members in STYLES[style].label_space.groups.items()
        if len(kept := tuple(m for m in members if m in names)) > 1
    }
    labels = labels[:, [there.index(name) for name in names]]
    one_of_k = list(groups.values()) == [tuple(names)] and bool(np.all(labels.sum(1) == 1))
    return Dataset(spec.name, images, labels, names, groups, one_of_k)
