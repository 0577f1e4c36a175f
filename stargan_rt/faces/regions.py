"""Regions of camera frames: cut one out for the network, and blend the translated picture back in, on the CPU.

The kernels in ``stargan_rt/cuda`` do the same on the GPU, within one level of 255; both take positions in fixed-point
from `fixed_point`. OpenCV gathers pixels and converts colours here but does not interpolate: its own bilinear sampling
rounds positions to 1/32 pixel, which is up to 8 levels.

Both sample bilinearly. A region of more than about twice the network's size is therefore not smoothed but thinned out.
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
"""How a frame lies in memory: ``(H, W, 3)`` RGB or BGR; NV12 is ``(H * 3 / 2, W)``, the luma above the chroma, whose U
and V are interleaved, at half the size: BT.601 in limited range, as OpenCV's ``COLOR_YUV2RGB_NV12``."""
Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""
Floats: TypeAlias = npt.NDArray[np.float32]
Positions: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""x and y, fixed-point."""

MAX_SIDE = 8192
"""Of a frame and of a picture."""
_FRACTION_BITS = 32
_MOST = 1 << 15
_SHARPEST = 1 / 1024


@dataclass(frozen=True)
class Region:
    """A part of a frame, as an affine map from the picture that shows it.

    Attributes:
        matrix: 2x3; what it makes of ``(u, v, 1)`` is a place in the frame. u and v run from 0 to 1 over the picture,
            from its top left corner to its bottom right one. The frame's top left corner is (0, 0) and the centre of
            its first pixel (0.5, 0.5). So a region fits pictures of any size.

    Raises:
        InputError: not 2x3 finite numbers, thinner than a pixel, longer than 32,768, or as far away.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]

    def __post_init__(self) -> None:
        try:
            matrix = np.asarray(self.matrix, np.float64)
        except (TypeError, ValueError):
            matrix = np.empty(0)
        if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
            raise InputError(f"a region's matrix is 2x3 finite numbers; got {self.matrix!r}")
        long, thin = np.linalg.svd(matrix[:, :2], compute_uv=False)
        # A little slack, so that a box of exactly one pixel passes after it was turned.
        if not (thin >= 0.999 and long <= _MOST * 1.001 and np.abs(matrix[:, 2]).max() <= _MOST):
            raise InputError(
                f"a region spans 1 to {_MOST} pixels and lies no further from the frame's corner; got one of "
                f"{long:.4g} by {thin:.4g} pixels with its corner at ({matrix[0, 2]:.4g}, {matrix[1, 2]:.4g})"
            )
        x, y = ((float(a), float(b), float(c)) for a, b, c in matrix)
        object.__setattr__(self, "matrix", (x, y))

    @classmethod
    def box(cls, x: float, y: float, width: float, height: float, rotation: float = 0.0) -> Region:
        """A rectangle.

        Args:
            x: left edge, in pixels of the frame.
            y: upper edge.
            width: in pixels; fractions are fine, and so is a box that reaches over the frame's edge.
            height: likewise.
            rotation: degrees clockwise, about the rectangle's centre.
        """
        cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
        right, down = (width * cosine, width * sine), (-height * sine, height * cosine)
        corner_x = x + (width - right[0] - down[0]) / 2
        corner_y = y + (height - right[1] - down[1]) / 2
        return cls(((right[0], down[0], corner_x), (right[1], down[1], corner_y)))

    @classmethod
    def of_pixels(cls, matrix: npt.ArrayLike, size: Size) -> Region:
        """From a 2x3 map of pixel centres to pixel centres, as OpenCV has it.

        Args:
            matrix: from pixels of a picture to pixels of the frame, the first pixel's centre being (0, 0) in both.
            size: of that picture.
        """
        height, width = checked_size(size)
        array = np.asarray(matrix, np.float64)
        if array.shape != (2, 3):
            raise InputError(f"a map of pixels is 2x3 numbers; got an array of shape {array.shape}")
        (xx, xy, x0), (yx, yy, y0) = array.tolist()
        x0, y0 = x0 + 0.5 - (xx + xy) / 2, y0 + 0.5 - (yx + yy) / 2
        return cls(((xx * width, xy * height, x0), (yx * width, yy * height, y0)))

    def to_frame(self, size: Size) -> npt.NDArray[np.float64]:
        """2x3: from the centres of the pixels of a picture of `size` to those of the frame's pixels."""
        height, width = size
        (xx, xy, x0), (yx, yy, y0) = self.matrix
        xx, xy, yx, yy = xx / width, xy / height, yx / width, yy / height
        return np.array([[xx, xy, x0 + (xx + xy - 1) / 2], [yx, yy, y0 + (yx + yy - 1) / 2]])

    def to_picture(self, size: Size) -> npt.NDArray[np.float64]:
        """2x3: the inverse of `to_frame`."""
        return np.linalg.inv(np.vstack([self.to_frame(size), (0, 0, 1)]))[:2]

    def bounds(self, size: Size, step: Size = (1, 1)) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part of a frame of `size` that holds the region, the last two exclusive.

        Left and top are multiples of `step` (rows, columns), and right and bottom multiples or the frame's edge.
        Where the region lies outside the frame, the part is empty.
        """
        corners = np.array(self.matrix) @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
        edges = []
        for places, length, unit in zip(corners, size[::-1], step[::-1], strict=True):
            first = math.floor(places.min() - 0.5) // unit * unit
            last = -(-math.ceil(places.max() + 0.5) // unit) * unit
            edges.append((min(max(first, 0), length), min(max(last, 0), length)))
        return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def crop(frame: Pixels, region: Region, size: Size, layout: Layout = "rgb") -> Pixels:
    """Cuts a region out of a frame and resamples it bilinearly.

    Beyond the frame's edge the border is replicated.

    Args:
        frame: uint8, of the shape that `layout` says; rows may lie apart.
        region: what to cut out.
        size: (height, width) of the result.
        layout: of the frame.

    Returns:
        uint8 ``(height, width, 3)``, RGB.

    Raises:
        InputError: a frame of another dtype or shape, or a size that can't be.
    """
    _frame_size(frame, layout)
    height, width = checked_size(size)
    x, y = _positions(region.to_frame(size), range(width), range(height))
    return np.rint(_sample(frame, x, y, layout)).astype(np.uint8)


def paste(frame: Pixels, picture: Pixels, region: Region, layout: Layout = "rgb", feather: float = 0.1) -> None:
    """Blends a picture into a region of a frame, in place.

    The edge is soft: the picture's share falls smoothly to 0 over the outermost `feather` of its sides, with rounded
    corners. At 0.5 that is an ellipse. Nothing outside the region is written.

    Args:
        frame: uint8, of the shape that `layout` says, writeable; rows may lie apart.
        picture: uint8 ``(h, w, 3)``, RGB, of any size.
        region: where the picture goes.
        layout: of the frame. In NV12 each 2x2 pixels, which share their chroma, take the mean of their shares of it.
        feather: from 0, a hard edge (as everything below 1/1024), to 0.5.

    Raises:
        InputError: a frame or a picture of another dtype or shape, a frame that is read-only, or a wrong feather.
    """
    frame_size = _frame_size(frame, layout)
    if not frame.flags.writeable:
        raise InputError("the frame is read-only, and paste writes into it; give a copy")
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
    """A 2x3 map of pixels, row after row, as whole numbers of 2**-32."""
    return tuple(round(value * 2**_FRACTION_BITS) for value in matrix.ravel().tolist())


def checked_size(size: Size, even: bool = False) -> Size:
    """The size as given.

    Raises:
        InputError: not two whole numbers from 1 to 8192, or odd ones where they must be even.
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
    """The feather, 0 where it is too narrow to be one.

    Raises:
        InputError: not from 0 to 0.5.
    """
    if not 0 <= feather <= 0.5:
        raise InputError(f"feather is from 0 to 0.5, a fraction of the picture's side; got {feather!r}")
    return float(feather) if feather >= _SHARPEST else 0.0


def checked_layout(layout: Layout) -> Layout:
    """The layout as given.

    Raises:
        InputError: no such layout.
    """
    if layout not in get_args(Layout):
        raise InputError(f"layout is 'rgb', 'bgr' or 'nv12'; got {layout!r}")
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
    """Luma (H, W) and chroma (H / 2, W / 2, 2) of an NV12 frame; both are views."""
    return frame[:height], frame[height:].reshape(height // 2, frame.shape[1] // 2, 2)


def _positions(matrix: npt.NDArray[np.float64], columns: range, rows: range) -> Positions:
    """Where a 2x3 map takes pixels, in the kernels' arithmetic."""
    xx, xy, x0, yx, yy, y0 = fixed_point(matrix)
    across, down = np.array(columns, np.int64)[None], np.array(rows, np.int64)[:, None]
    return xx * across + (xy * down + x0), yx * across + (yy * down + y0)


def _taps(position: npt.NDArray[np.int64], length: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], Floats]:
    """Two neighbours on one axis and the second one's share; beyond the edge the border is replicated."""
    position = np.clip(position, 0, (length - 1) << _FRACTION_BITS)
    low = (position >> _FRACTION_BITS).astype(np.int16)
    share = (position & ((1 << _FRACTION_BITS) - 1)).astype(np.float32) * np.float32(2.0**-_FRACTION_BITS)
    return low, np.minimum(low + 1, length - 1, dtype=np.int16), share


def _sample(frame: Pixels, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], layout: Layout) -> Floats:
    """The frame's colours at positions, float32 (h, w, 3), RGB, in [0, 255], not rounded."""
    height, width = _frame_size(frame, layout)
    (x0, x1, right), (y0, y1, down) = _taps(x, width), _taps(y, height)
    if layout == "nv12":  # converts what is looked at alone
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
    """The picture's share at positions of it: 1 in the middle, 0 from its edge outwards, smooth between.

    The depths into the feather on both axes are the legs of a triangle, which rounds the corners.
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
    """(h, w) as (h, w, 3), laid out: NumPy's broadcasting over so short an axis takes ten times as long."""
    return np.asarray(cv2.merge([share] * 3), np.float32)


def _blend(part: Pixels, value: Floats, share: Floats) -> None:
    part[...] = np.rint(part + (value - part) * share)


def _means_of_blocks(values: Floats) -> Floats:
    """Means over 2x2 pixels of (h, w, c), which has even sides."""
    height, width, channels = values.shape
    return values.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))  # type: ignore[no-any-return]
