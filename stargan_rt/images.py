"""Images in and out: decode, encode, resize, colour order, with errors that name the image."""

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
"""What a caller may give as one image."""
Images: TypeAlias = Sequence[Image] | Pixels
"""What a caller may give as several: a sequence, or an array ``(n, H, W, 3)``."""

MIN_SIDE = 16
MAX_PIXELS = 1 << 26  # as in stargan_rt.cli.terminal, where OpenCV is told
"""8192 x 8192; a larger picture is more likely an accident or an attack than a face."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def is_one_image(image: Image | Images) -> TypeGuard[Image]:
    """Whether a caller means one image: an array of a wrong shape is one that `as_pixels` refuses."""
    if isinstance(image, np.ndarray):
        return image.ndim != 4
    return isinstance(image, (str, os.PathLike)) or not isinstance(image, Sequence)


def as_pixels(image: Image, color: Color = "rgb") -> Pixels:
    """One image as uint8 ``(H, W, 3)`` RGB; arrays in RGB order are not copied.

    Args:
        image: uint8 array ``(H, W, 3)`` in the order of `color`, a path, or a PIL image.
        color: order of the channels of an array.

    Raises:
        InputError: not an image, wrong dtype or shape, below 16 pixels a side or above 2**26 in all.
    """
    if color not in ("rgb", "bgr"):
        raise InputError(f"color is 'rgb' or 'bgr'; got {color!r}")
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

    width, height = image.size  # before decoding: PIL is lazy
    _check_size(height, width, "the PIL image")
    if image.mode.startswith(("I", "F")):
        raise InputError(f"the PIL image has mode {image.mode}, of more than 8 bits; convert it to 'RGB' first")
    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"the PIL image can't be decoded: {error}") from None


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Reads an image file, uint8 ``(H, W, 3)`` RGB, turned upright as its EXIF says; alpha is dropped.

    Raises:
        InputError: no such file, not an image, or one of an unusable size.
    """
    return _decoded(_contents(path), path)


def fitted(image: Image, size: tuple[int, int], color: Color = "rgb") -> tuple[Pixels, tuple[int, int]]:
    """One image as `as_pixels` gives it, resized to (height, width), and the height and width it had.

    A JPEG file of at least four times that size is decoded at half of its own, or a quarter, which takes as little
    as half the time. The result is no worse: decoded in full, its subsampled colours are enlarged first, only to be
    made smaller again.

    Raises:
        InputError: as for `as_pixels`.
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
    """A JPEG decoded at a part of its size, still twice `size` or more, and its own size; None where that won't do."""
    header = _jpeg_size(data)
    if header is None:
        return None
    _check_size(*header, str(path))
    for part, flag in ((4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2)):
        height, width = (-(-side // part) for side in header)
        if min(header) < 2 * part * max(size) or (height == width and header[0] != header[1]):
            continue  # the second: nobody could tell whether it was turned
        pixels = _decoded(data, path, flag)
        if pixels.shape[:2] in ((height, width), (width, height)):
            return pixels, header if pixels.shape[:2] == (height, width) else header[::-1]
        return None  # the header lied
    return None


def _jpeg_size(data: Pixels) -> tuple[int, int] | None:
    """Height and width in the header of a JPEG, before EXIF turns it; None for anything else."""
    view = data.data
    if bytes(view[:3]) != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 9 <= len(view) and view[at] == 0xFF:
        marker = view[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame, whatever the coding
            return int.from_bytes(view[at + 5 : at + 7], "big"), int.from_bytes(view[at + 7 : at + 9], "big")
        # A marker may be led by any number of 0xFF; else its segment's length follows.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(view[at + 2 : at + 4], "big")
    return None


def _contents(path: str | os.PathLike[str]) -> Pixels:
    try:
        return np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise InputError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from None


def _decoded(data: Pixels, path: str | os.PathLike[str], flag: int = cv2.IMREAD_COLOR) -> Pixels:
    try:
        pixels = cv2.imdecode(data, flag) if data.size else None
    except cv2.error:  # OpenCV's own bound on the number of pixels
        raise InputError(f"can't decode {path}: it has more pixels than OpenCV takes ({MAX_PIXELS} here)") from None
    if pixels is None:
        raise InputError(f"{path} is not an image that can be decoded, or is damaged; give a PNG, JPEG, WebP or BMP")
    height, width = pixels.shape[:2]
    _check_size(height, width, str(path))
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)  # type: ignore[return-value]


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted; hidden ones are passed over.

    Raises:
        InputError: no such folder, or no image in it.
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
    """Writes uint8 ``(H, W, 3)`` RGB, whole or not at all; the format follows from the suffix.

    Raises:
        InputError: an unknown suffix, or a folder that can't be written to.
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
    """Resizes to (height, width): by area where it shrinks, else bilinear; as it is where it fits."""
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
            f"{what} is {width}x{height}; at most {MAX_PIXELS} pixels are taken (8192x8192): crop the face first"
        )


def _is_pil(image: object) -> bool:
    # By name, so that PIL is neither needed nor imported.
    return any(cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(image).__mro__)
