"""Translating the faces in a picture, and nothing else of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from stargan_rt.errors import InputError
from stargan_rt.faces import Face, FaceDetector, Region, Size, aligned_region
from stargan_rt.faces.blend import cut, put_back
from stargan_rt.images import Pixels

Faces: TypeAlias = "Literal['all', 'largest'] | Sequence[Face]"
"""Which faces of a picture to translate."""
Translate: TypeAlias = Callable[[list[Pixels]], Pixels]
"""Crops of the network's size, uint8 ``(H, W, 3)`` each → their translations, uint8 ``(n, H, W, 3)``."""


def chosen_faces(image: Pixels, faces: Faces, detector: FaceDetector | None) -> list[Face]:
    """Return the faces of an image that are to be translated.

    Args:
        image: uint8 ``(H, W, 3)``, RGB.
        faces: ``"all"``, ``"largest"``, or the faces themselves.
        detector: what finds them; by default the installed one.

    Raises:
        InputError: no face was found, or `faces` is something else.
        MissingDependencyError: no detector is installed.
    """
    if not isinstance(faces, str):
        return list(faces)
    if faces not in ("all", "largest"):
        raise InputError(f"faces is 'all', 'largest' or a sequence of faces; got {faces!r}")
    found = (detector or FaceDetector.load()).find(image)
    if not found:
        raise InputError("no face was found in the image; name another detector, or give faces= yourself")
    return found if faces == "all" else found[:1]


def translate_regions(image: Pixels, regions: Sequence[Region], size: Size, translate: Translate) -> None:
    """Translate parts of a picture in one batch, in place.

    Args:
        image: uint8 ``(H, W, 3)``, RGB, writeable.
        regions: the parts, as the network wants to see them.
        size: (height, width) of the network's images.
        translate: runs the network.
    """
    if not regions:
        return
    crops = [cut(image, region, size) for region in regions]
    for before, after, region in zip(crops, translate(crops), regions, strict=True):
        put_back(image, before, after, region)


def face_regions(faces: Sequence[Face], alignment: str, size: Size) -> list[Region]:
    """Return the region of each face, aligned as in the training set."""
    return list(map(aligned_region, faces, itertools.repeat(alignment), itertools.repeat(size)))
