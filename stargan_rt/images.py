"""Decoding, encoding and resizing of images, with errors that name the image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

import cv2
import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError
from stargan_rt.files import written_whole

if TYPE_CHECKING:
    import PIL.Image

Color: TypeAlias = Literal["rgb", "bgr"]
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""uint8 ``(H, W, 3)``, values in [0, 255]."""
Image: TypeAlias = "Pixels | str | os.PathLike[str] | PIL.Image.Image"
"""One image, as callers may pass it."""
Images: TypeAlias = Sequence[Image] | Pixels
"""Several images: a sequence of them, or an array ``(n, H, W, 3)``."""

MIN_SIDE = 16
MAX_PIXELS = 1 << 26  # stargan_rt.cli.terminal sets the same limit for OpenCV
"""8192 x 8192 pixels. Larger images are refused before they are decoded."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def is_one_image(image: Image | Images) -> TypeGuard[Image]:
    """Return whether the argument is one image rather than several; `as_pixels` checks whether it is valid."""
    if isinstance(image, np.ndarray):
        return image.ndim != 4
    return isinstance(image, (str, os.PathLike)) or not isinstance(image, Sequence)


def as_pixels(image: Image, color: Color = "rgb") -> Pixels:
    """Return an image as uint8 ``(H, W, 3)`` RGB; arrays in RGB order are not copied.

    Args:
        image: A uint8 array ``(H, W, 3)`` in the channel order of `color`, a path, or a PIL image.
        color: Channel order of an array: ``"rgb"`` or ``"bgr"``.

    Raises:
        InputError: Not an image, wrong dtype or shape, a side below 16 pixels, or more than 2**26 pixels in all.
    """
    if color not in ("rgb", "bgr"):
        raise InputError(f"color must be 'rgb' or 'bgr'; got {color!r}")
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if isinstance(image, np.ndarray):
        pixels = _checked(image, "the image")
        return pixels if color == "rgb" else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
    if _is_pil(image):
        return _from_pil(image)
    raise InputError(
        f"an image is a uint8 array (H, W, 3), a path or a PIL image; got {type(image).__module__}."
        f"{type(image).__qualname__}"
    )


def _from_pil(image: PIL.Image.Image) -> Pixels:
    from PIL import ImageOps

    width, height = image.size  # known before PIL decodes the pixels
    _check_size(height, width, "the PIL image")
    if image.mode.startswith(("I", "F")):
        raise InputError(f"the PIL image has mode {image.mode}, of more than 8 bits; convert it to 'RGB' first")
    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"the PIL image can't be decoded: {error}") from None


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Read an image file as uint8 ``(H, W, 3)`` RGB. The EXIF orientation is applied; alpha is dropped.

    Raises:
        InputError: The file does not exist, is not an image, or has an unusable size.
    """
    return _decoded(_contents(path), path)


def fitted(image: Image, size: tuple[int, int], color: Color = "rgb") -> tuple[Pixels, tuple[int, int]]:
    """Return an image resized to (height, width), and the height and width that it had before.

    A JPEG file of at least four times `size` is decoded at half or a quarter of its resolution, which takes as little
    as half the time. Its subsampled colours lose nothing by it: a full decode would enlarge them first.

    Args:
        image: As for `as_pixels`.
        size: (height, width) of the result in pixels.
        color: As for `as_pixels`.

    Returns:
        uint8 ``(*size, 3)`` RGB, and (height, width) of the original.

    Raises:
        InputError: As for `as_pixels`.
    """
    if isinstance(image, (str, os.PathLike)) and color in ("rgb", "bgr"):
        data = _contents(image)
        if found := _decoded_small(data, image, size):
            pixels, shape = found
        else:
            pixels = _decoded(data, image)
            shape = (pixels.shape[0], pixels.shape[1])
    else:
        pixels = as_pixels(image, color)
        shape = (pixels.shape[0], pixels.shape[1])
    return resize(pixels, size), shape


def _decoded_small(
    data: Pixels, path: str | os.PathLike[str], size: tuple[int, int]
) -> tuple[Pixels, tuple[int, int]] | None:
    """Decode a JPEG at half or a quarter of its resolution, at least twice `size`; None if that is not possible."""
    header = _jpeg_size(data)
    if header is None:
        return None
    _check_size(*header, str(path))
    for part, flag in ((4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2)):
        height, width = (-(-side // part) for side in header)
        if min(header) < 2 * part * max(size) or (height == width and header[0] != header[1]):
            continue  # a square result would hide whether EXIF rotated it
        pixels = _decoded(data, path, flag)
        if pixels.shape[:2] in ((height, width), (width, height)):
            return pixels, header if pixels.shape[:2] == (height, width) else header[::-1]
        return None  # the header was wrong
    return None


def _jpeg_size(data: Pixels) -> tuple[int, int] | None:
    """Return (height, width) from the header of a JPEG, before EXIF orientation; None for other formats."""
    view = data.data
    if bytes(view[:3]) != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 <= len(view) and view[at] == 0xFF:
        marker = view[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame, any coding process
            return int.from_bytes(view[at + 5 : at + 7], "big"), int.from_bytes(view[at + 7 : at + 9], "big")
        # Any number of 0xFF may precede a marker; otherwise the length of its segment follows.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(view[at + 2 : at + 4], "big")
    return None


def _contents(path: str | os.PathLike[str]) -> Pixels:
    try:
        return np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:  # ValueError: null byte in the path
        raise InputError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from None


def _decoded(data: Pixels, path: str | os.PathLike[str], flag: int = cv2.IMREAD_COLOR) -> Pixels:
    try:
        pixels = cv2.imdecode(data, flag) if data.size else None
    except cv2.error:  # OpenCV's own limit on the number of pixels
        raise InputError(f"can't decode {path}: it has more pixels than the limit of {MAX_PIXELS}") from None
    if pixels is None:
        raise InputError(f"{path} is damaged or not an image; use a PNG, JPEG, WebP or BMP file")
    height, width = pixels.shape[:2]
    _check_size(height, width, str(path))
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)  # type: ignore[return-value]


def image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, sorted, without hidden ones.

    Raises:
        InputError: The folder does not exist or contains no image.
    """
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")

    def counts(path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        return path.suffix.lower() in SUFFIXES and path.is_file() and not hidden

    if found := [path for path in sorted(folder.rglob("*")) if counts(path)]:
        return found
    raise InputError(f"no images in {folder}; looked for {', '.join(sorted(SUFFIXES))}")


def write_image(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Write uint8 ``(H, W, 3)`` RGB to a file, atomically; the suffix selects the format.

    Raises:
        InputError: The suffix is unknown, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"can't tell the format of {path} by its suffix; use one of {', '.join(sorted(SUFFIXES))}")
    ok, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not ok:
        raise InputError(f"can't encode {path} as {suffix}")
    with written_whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize to (height, width): area averaging to shrink, else bilinear. Returns `pixels` if it has that size."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = pixels.shape[0] > height and pixels.shape[1] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=method)  # type: ignore[return-value]


def _checked(pixels: npt.NDArray[Any], what: str) -> Pixels:
    if pixels.dtype != np.uint8:
        raise InputError(
            f"{what} has dtype {pixels.dtype}; expected uint8 with values in [0, 255]"
            + (" — for floats in [0, 1]: (image * 255).round().astype('uint8')" if pixels.dtype.kind == "f" else "")
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"{what} has shape {pixels.shape}; expected (H, W, 3)")
    _check_size(pixels.shape[0], pixels.shape[1], what)
    return pixels


def _check_size(height: int, width: int, what: str) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{what} is {width}x{height}; a side must have at least {MIN_SIDE} pixels")
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{what} is {width}x{height}; at most {MAX_PIXELS} pixels (8192x8192) are accepted: crop the face first"
        )


def _is_pil(image: object) -> bool:
    # Compared by name, so that PIL need not be installed.
    return any(cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(image).__mro__)
