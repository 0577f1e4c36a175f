"""Alignment: the part of a picture that shows a face as the faces of a training set are shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from stargan_rt.errors import InputError
from stargan_rt.faces.face import Array, Face
from stargan_rt.faces.regions import Region, Size
from stargan_rt.faces.windows import upright_square

BOX_MARGIN = 1.8
"""The side of a `box` crop, in sides of the detector's box, which reaches from the brows to the chin."""
TEMPLATES: Mapping[str, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        # CelebA's aligned images, 178x218, have the eyes at (69.5, 111) and (107.5, 111), the nose at (88, 135.5) and
        # the mouth at (88, 152); the paper crops the 178x178 in the middle (section 5.2).
        "celeba": ((0.391, 0.511), (0.604, 0.511), (0.494, 0.649), (0.494, 0.742)),
        # Means of BlazeFace's keypoints in the drawn avatars of `training.data.avatars`.
        "avatars": ((0.380, 0.437), (0.620, 0.437), (0.500, 0.563), (0.500, 0.685)),
    }
)
"""Alignment → where the right eye, left eye, nose and mouth are in the picture, from (0, 0) to (1, 1)."""
ALIGNMENTS = (*TEMPLATES, "box", "none")
"""How the faces of a training set lie in their pictures.

``celeba``: as in CelebA's aligned images, cropped as the paper does. ``avatars``: as in the drawn avatars. ``box``: the
face's box in the middle, with a margin, and the eyes level. ``none``: nothing is known, and ``box`` is used.
"""


def checked_alignment(alignment: str) -> str:
    """Return the alignment as given.

    Raises:
        InputError: it is not one of `ALIGNMENTS`.
    """
    if alignment not in ALIGNMENTS:
        raise InputError(f"unknown alignment {alignment!r}; known: {', '.join(ALIGNMENTS)}")
    return alignment


def aligned_region(face: Face, alignment: str, size: Size) -> Region:
    """Return the part of an image that shows a face as the training set does.

    Args:
        face: of the image.
        alignment: one of `ALIGNMENTS`.
        size: (height, width) of the network's images. Where it is not square, the alignment holds for the square in
            its middle whose side is the height.

    Raises:
        InputError: an unknown alignment.
    """
    template = TEMPLATES.get(checked_alignment(alignment))
    if template is None:
        matrix = np.array(upright_square(face, BOX_MARGIN).matrix)
    else:
        matrix = similarity(np.array(template), face.points)
    height, width = size
    ratio = width / height
    wide = np.array([[ratio, 0, (1 - ratio) / 2], [0, 1, 0], [0, 0, 1]])
    return Region((matrix @ wide).tolist())


def misalignment(face: Face, alignment: str, size: Size) -> tuple[float, float, float]:
    """Say how far a picture is from showing its face as the training set does.

    Args:
        face: found in the picture.
        alignment: one of `ALIGNMENTS`.
        size: (height, width) of the picture.

    Returns:
        The factor by which the face is too large, its angle in degrees clockwise, and the distance of its middle from
        where it should be, as a part of the picture's height.
    """
    height, width = size
    (xx, xy, x0), (yx, yy, y0) = aligned_region(face, alignment, size).matrix
    centre = np.array([(xx + xy) / 2 + x0 - width / 2, (yx + yy) / 2 + y0 - height / 2])
    return height / float(np.hypot(xy, yy)), float(np.degrees(np.arctan2(yx, xx))), float(np.hypot(*centre)) / height


def similarity(source: Array, target: Array) -> Array:
    """Return the rotation, scale and shift that take points closest to others in the sense of least squares.

    Args:
        source: float64 ``(n, 2)``.
        target: likewise.

    Returns:
        2x3. Mirror images are never matched (Umeyama 1991 without reflection).
    """
    # As complex numbers, a similarity is z -> a z + b.
    z, w = source @ (1, 1j), target @ (1, 1j)
    z_mean, w_mean = z.mean(), w.mean()
    a = np.vdot(z - z_mean, w - w_mean) / max(np.vdot(z - z_mean, z - z_mean).real, 1e-12)
    b = w_mean - a * z_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
