"""Regions of frames: crop one for the network, and blend the translated picture back into it, on the CPU.

The kernels in ``stargan_rt/cuda`` compute the same on the GPU, with differences of at most one level of 255. Both take
positions in fixed-point from `fixed_point`. OpenCV gathers pixels and converts colours here but does not interpolate:
its own bilinear sampling rounds positions to 1/32 pixel, which makes differences of up to 8 levels.

Both sample bilinearly, at single places. A region of more than about twice the size of the network's images should be
reduced first, as `stargan_rt.faces.blend.cut` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from stargan_rt.errors import InputError
from stargan_rt.images import Pixels

Layout: TypeAlias = Literal["rgb", "bgr", "nv12"]
"""The memory layout of a frame. RGB and BGR frames have the shape ``(H, W, 3)``. An NV12 frame has the shape
``(H * 3 / 2, W)``: the luma above the interleaved U and V at half the size, in BT.601 with limited range, as OpenCV's
``COLOR_YUV2RGB_NV12`` reads it."""
Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""
Floats: TypeAlias = npt.NDArray[np.float32]
Positions: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""x and y in fixed-point."""

MAX_SIDE = 8192
"""The longest side of a frame and of a picture in pixels."""
_FRACTION_BITS = 32
_MOST = 1 << 15
_SHARPEST = 1 / 1024


@dataclass(frozen=True)
class Region:
    """A part of a frame, as an affine map from the picture that shows it to the frame.

    Attributes:
        matrix: 2x3 matrix from ``(u, v, 1)`` to a place in the frame. u and v run from 0 to 1 over the picture, from
            its top left corner to its bottom right corner, so a region fits pictures of any size. The frame's top left
            corner is (0, 0) and the centre of its first pixel is (0.5, 0.5).

    Raises:
        InputError: the matrix does not have 2x3 finite numbers, or the region is thinner than a pixel, longer than
            32,768 pixels, or as far away from the frame.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]

    def __post_init__(self) -> None:
        try:
            matrix = np.asarray(self.matrix, np.float64)
        except (TypeError, ValueError):
            matrix = np.empty(0)
        if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
            raise InputError(f"a region's matrix must have 2x3 finite numbers; got {self.matrix!r}")
        long, thin = np.linalg.svd(matrix[:, :2], compute_uv=False)
        # With some tolerance, so that a box of exactly one pixel passes after a rotation.
        if not (thin >= 0.999 and long <= _MOST * 1.001 and np.abs(matrix[:, 2]).max() <= _MOST):
            raise InputError(
                f"a region must span 1 to {_MOST} pixels, at most that far from the frame's corner; got one of "
                f"{long:.4g} by {thin:.4g} pixels with its corner at ({matrix[0, 2]:.4g}, {matrix[1, 2]:.4g})"
            )
        x, y = ((float(a), float(b), float(c)) for a, b, c in matrix)
        object.__setattr__(self, "matrix", (x, y))

    @classmethod
    def box(cls, x: float, y: float, width: float, height: float, rotation: float = 0.0) -> Region:
        """Return a rectangular region.

        Args:
            x: the left edge in pixels of the frame; fractions are allowed here and below.
            y: the top edge.
            width: in pixels. The box may extend beyond the frame.
            height: in pixels.
            rotation: in degrees clockwise about the centre of the rectangle.
        """
        cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
        right, down = (width * cosine, width * sine), (-height * sine, height * cosine)
        corner_x = x + (width - right[0] - down[0]) / 2
        corner_y = y + (height - right[1] - down[1]) / 2
        return cls(((right[0], down[0], corner_x), (right[1], down[1], corner_y)))

    @classmethod
    def of_pixels(cls, matrix: npt.ArrayLike, size: Size) -> Region:
        """Return the region of an OpenCV matrix, in which the centre of the first pixel is (0, 0).

        Args:
            matrix: 2x3 matrix from the pixels of a picture to the pixels of the frame.
            size: (height, width) of that picture.
        """
        height, width = checked_size(size)
        array = np.asarray(matrix, np.float64)
        if array.shape != (2, 3):
            raise InputError(f"a matrix of pixels must have 2x3 numbers; got an array of shape {array.shape}")
        (xx, xy, x0), (yx, yy, y0) = array.tolist()
        x0, y0 = x0 + 0.5 - (xx + xy) / 2, y0 + 0.5 - (yx + yy) / 2
        return cls(((xx * width, xy * height, x0), (yx * width, yy * height, y0)))

    def to_frame(self, size: Size) -> npt.NDArray[np.float64]:
        """Return the 2x3 matrix from the pixels of a picture of `size` to the frame's, in OpenCV's convention."""
        height, width = size
        (xx, xy, x0), (yx, yy, y0) = self.matrix
        xx, xy, yx, yy = xx / width, xy / height, yx / width, yy / height
        return np.array([[xx, xy, x0 + (xx + xy - 1) / 2], [yx, yy, y0 + (yx + yy - 1) / 2]])

    def to_picture(self, size: Size) -> npt.NDArray[np.float64]:
        """Return the inverse of `to_frame`."""
        return np.linalg.inv(np.vstack([self.to_frame(size), (0, 0, 1)]))[:2]

    def bounds(self, size: Size, step: Size = (1, 1)) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the part of a frame that holds the region, the last two exclusive.

        Left and top are multiples of `step` (rows, columns); right and bottom are multiples of it or the frame's edge.
        The part is empty if the region is outside the frame.
        """
        corners = np.array(self.matrix) @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
        edges = []
        for places, length, unit in zip(corners, size[::-1], step[::-1], strict=True):
            first = math.floor(places.min() - 0.5) // unit * unit
            last = -(-math.ceil(places.max() + 0.5) // unit) * unit
            edges.append((min(max(first, 0), length), min(max(last, 0), length)))
        return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def crop(frame: Pixels, region: Region, size: Size, layout: Layout = "rgb") -> Pixels:
    """Crop a region of a frame, resampled bilinearly. Beyond the frame's edge its border is replicated.

    Args:
        frame: uint8 array of the shape that `layout` requires; its rows need not be contiguous.
        region: the part to crop.
        size: (height, width) of the result.
        layout: the layout of the frame.

    Returns:
        uint8 ``(height, width, 3)``, RGB.

    Raises:
        InputError: the frame has another dtype or shape, or the size is invalid.
    """
    _frame_size(frame, layout)
    height, width = checked_size(size)
    x, y = _positions(region.to_frame(size), range(width), range(height))
    return np.rint(_sample(frame, x, y, layout)).astype(np.uint8)


def paste(frame: Pixels, picture: Pixels, region: Region, layout: Layout = "rgb", feather: float = 0.1) -> None:
    """Blend a picture into a region of a frame, in place.

    The opacity of the picture falls smoothly to 0 over the outermost `feather` of its sides, with rounded corners; at
    0.5 the visible part is an ellipse. Nothing outside the region is written.

    Args:
        frame: writeable uint8 array of the shape that `layout` requires; its rows need not be contiguous.
        picture: uint8 ``(h, w, 3)``, RGB, of any size.
        region: the part of the frame that the picture covers.
        layout: the layout of the frame. In NV12, 2x2 pixels share their chroma, which is blended with the mean of their
            opacities.
        feather: from 0, a hard edge (as all values below 1/1024), to 0.5.

    Raises:
        InputError: the frame or the picture has another dtype or shape, the frame is read-only, or `feather` is out of
            range.
    """
    frame_size = _frame_size(frame, layout)
    if not frame.flags.writeable:
        raise InputError("the frame is read-only, and paste writes to it; pass a copy")
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(f"the picture is {_described(picture)}; expected a uint8 array (h, w, 3)")
    size = checked_size((picture.shape[0], picture.shape[1]))
    feather = checked_feather(feather)
    left, top, right, bottom = region.bounds(frame_size, (2, 2))
    if left >= right or top >= bottom:
        return

    x, y = _positions(region.to_picture(size), range(left, right), range(top, bottom))
    share = _share(x, y, size, feather)
    colour = _sample(picture, x, y, "rgb")
    if layout != "nv12":
        part = frame[top:bottom, left:right]
        _blend(part, colour if layout == "rgb" else colour[..., ::-1], _for_three(share))
        return
    luma, chroma = _planes(frame, frame_size[0])
    yuv = colour @ _YUV_OF_RGB.T + _BLACK_IN_YUV
    _blend(luma[top:bottom, left:right], yuv[..., 0], share)
    four = _means_of_blocks(share[..., None])
    mean = _means_of_blocks(yuv[..., 1:] * share[..., None]) / np.maximum(four, np.float32(1e-20))
    _blend(chroma[top // 2 : bottom // 2, left // 2 : right // 2], mean, four)


_YUV_OF_RGB = np.array(
    [(0.257, 0.504, 0.098), (-0.148, -0.291, 0.439), (0.439, -0.368, -0.071)], np.float32
)  # BT.601, limited range
_BLACK_IN_YUV = np.array((16, 128, 128), np.float32)
_NO_FRACTIONS = np.empty(0, np.uint16)


def fixed_point(matrix: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Return a 2x3 matrix, row by row, as multiples of 2**-32."""
    return tuple(round(value * 2**_FRACTION_BITS) for value in matrix.ravel().tolist())


def checked_size(size: Size, even: bool = False) -> Size:
    """Return a size after checking it.

    Raises:
        InputError: the size does not have two whole numbers from 1 to 8192, or a side is odd but must be even.
    """
    try:
        height, width = size
        fine = all(isinstance(side, (int, np.integer)) and 1 <= side <= MAX_SIDE for side in (height, width))
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise InputError(f"a size is (height, width), each from 1 to {MAX_SIDE}; got {size!r}")
    if even and (height % 2 or width % 2):
        raise InputError(f"an NV12 frame has even sides; got one of {width}x{height}")
    return int(height), int(width)


def checked_feather(feather: float) -> float:
    """Return a feather after checking it; one too narrow to be seen is 0.

    Raises:
        InputError: the feather is not from 0 to 0.5.
    """
    if not 0 <= feather <= 0.5:
        raise InputError(f"feather must be from 0 to 0.5, a fraction of the picture's sides; got {feather!r}")
    return float(feather) if feather >= _SHARPEST else 0.0


def checked_layout(layout: Layout) -> Layout:
    """Return a layout after checking it.

    Raises:
        InputError: the layout is unknown.
    """
    if layout not in get_args(Layout):
        raise InputError(f"layout must be 'rgb', 'bgr' or 'nv12'; got {layout!r}")
    return layout


def _frame_size(frame: Pixels, layout: Layout) -> Size:
    planar = checked_layout(layout) == "nv12"
    shape = np.shape(frame)
    fits = len(shape) == 2 and shape[0] % 3 == 0 if planar else len(shape) == 3 and shape[2] == 3
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or not fits:
        expected = "(H * 3 / 2, W), the luma above the chroma" if planar else "(H, W, 3)"
        raise InputError(f"the frame is {_described(frame)}; expected a uint8 array {expected}, for layout {layout!r}")
    return checked_size((shape[0] * 2 // 3 if planar else shape[0], shape[1]), even=planar)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"a {value.dtype} array of shape {value.shape}"
    return f"a {type(value).__qualname__}"


def _planes(frame: Pixels, height: int) -> tuple[Pixels, Pixels]:
    """Return views of the luma (H, W) and the chroma (H / 2, W / 2, 2) of an NV12 frame."""
    return frame[:height], frame[height:].reshape(height // 2, frame.shape[1] // 2, 2)


def _positions(matrix: npt.NDArray[np.float64], columns: range, rows: range) -> Positions:
    """Return where a 2x3 matrix maps pixels, in the arithmetic of the kernels."""
    xx, xy, x0, yx, yy, y0 = fixed_point(matrix)
    across, down = np.array(columns, np.int64)[None], np.array(rows, np.int64)[:, None]
    return xx * across + (xy * down + x0), yx * across + (yy * down + y0)


def _taps(position: npt.NDArray[np.int64], length: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], Floats]:
    """Return two neighbours on one axis and the weight of the second; beyond the edge the border is replicated."""
    position = np.clip(position, 0, (length - 1) << _FRACTION_BITS)
    low = (position >> _FRACTION_BITS).astype(np.int16)
    share = (position & ((1 << _FRACTION_BITS) - 1)).astype(np.float32) * np.float32(2.0**-_FRACTION_BITS)
    return low, np.minimum(low + 1, length - 1, dtype=np.int16), share


def _sample(frame: Pixels, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], layout: Layout) -> Floats:
    """Return the frame's colours at positions, float32 (h, w, 3), RGB, in [0, 255], not rounded."""
    height, width = _frame_size(frame, layout)
    (x0, x1, right), (y0, y1, down) = _taps(x, width), _taps(y, height)
    if layout == "nv12":  # convert only the part that is read
        left, top = int(x0.min()) & ~1, int(y0.min()) & ~1
        luma, chroma = _planes(frame, height)
        rows, columns = slice(top, int(y1.max()) // 2 * 2 + 2), slice(left, int(x1.max()) // 2 * 2 + 2)
        halves = slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2)
        frame = np.asarray(cv2.cvtColorTwoPlane(luma[rows, columns], chroma[halves], cv2.COLOR_YUV2RGB_NV12), np.uint8)
        x0, x1, y0, y1 = x0 - left, x1 - left, y0 - top, y1 - top

    def gathered(x: npt.NDArray[np.int16], y: npt.NDArray[np.int16]) -> Floats:
        places = np.stack([x, y], axis=-1)
        return np.asarray(cv2.remap(frame, places, _NO_FRACTIONS, cv2.INTER_NEAREST), np.float32)

    def mixed(a: Floats, b: Floats, share: Floats) -> Floats:
        return a + (b - a) * share

    right, down = _for_three(right), _for_three(down)
    above = mixed(gathered(x0, y0), gathered(x1, y0), right)
    below = mixed(gathered(x0, y1), gathered(x1, y1), right)
    colour = mixed(above, below, down)
    return colour[..., ::-1] if layout == "bgr" else colour


def _share(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], size: Size, feather: float) -> Floats:
    """Return the opacity of the picture at positions: 1 in the middle, 0 from its edge outwards, smooth in between.

    The depths into the feather on both axes are combined as the legs of a right triangle, which rounds the corners.
    """
    half = 1 << (_FRACTION_BITS - 1)
    inside = np.ones(x.shape, np.bool_)
    squares: Floats = np.zeros(x.shape, np.float32)
    for position, length in ((x + half, size[1]), (y + half, size[0])):
        inside &= (position >= 0) & (position < length << _FRACTION_BITS)
        if feather:
            scale = np.float32(2.0**-_FRACTION_BITS / length)
            from_centre = np.abs(position.astype(np.float32) * scale - np.float32(0.5))
            squares += (np.maximum(from_centre - np.float32(0.5 - feather), 0) / np.float32(feather)) ** 2
    share: Floats = 1 - np.minimum(np.sqrt(squares), 1)
    return np.where(inside, share * share * (3 - 2 * share), np.float32(0))


def _for_three(share: Floats) -> Floats:
    """Repeat (h, w) to (h, w, 3); broadcasting over an axis this short takes NumPy ten times as long."""
    return np.asarray(cv2.merge([share] * 3), np.float32)


def _blend(part: Pixels, value: Floats, share: Floats) -> None:
    part[...] = np.rint(part + (value - part) * share)


def _means_of_blocks(values: Floats) -> Floats:
    """Return the means over 2x2 pixels of (h, w, c), whose sides are even."""
    height, width, channels = values.shape
    return values.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))  # type: ignore[no-any-return]
