"""Launch the frame kernels, which do what ``stargan_rt.faces`` does on frames in the GPU's memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_rt.cuda import FATBIN, driver, kernels
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.faces.regions import Layout, Region, Size, checked_feather, checked_layout, checked_size, fixed_point

KERNELS = tuple(f"{work}_{layout}" for work in ("crop", "paste") for layout in ("rgb", "bgr", "nv12"))
_BLOCK = (32, 4)
"""Threads in x and y: rows of 32 read and write close together; small, so that a small picture still makes enough
blocks for a large GPU. Not measured."""


@dataclass(frozen=True)
class DeviceFrame:
    """A uint8 frame in the GPU's memory, which the caller owns.

    Attributes:
        address: of the first byte; of the luma, for NV12.
        height: in pixels; even, for NV12.
        width: likewise.
        layout: as in `stargan_rt.faces`.
        pitch: bytes from one row to the next, of both planes for NV12; 0 for rows without padding. Where it and the
            addresses are multiples of 4, `FrameKernels.paste` moves whole words.
        chroma: for NV12, the address of the U and V plane; 0 for one directly after the luma.

    Raises:
        InputError: no address, an impossible size, or a pitch shorter than a row.
    """

    address: int
    height: int
    width: int
    layout: Layout = "rgb"
    pitch: int = 0
    chroma: int = 0

    def __post_init__(self) -> None:
        planar = checked_layout(self.layout) == "nv12"
        checked_size((self.height, self.width), even=planar)
        _check_address(self.address, "the frame")
        row = self.width if planar else 3 * self.width
        pitch = self.pitch or row
        if pitch < row:
            raise InputError(
                f"a row of {self.width} pixels in layout {self.layout!r} takes {row} bytes; pitch is {pitch}"
            )
        object.__setattr__(self, "pitch", pitch)
        if planar and not self.chroma:
            object.__setattr__(self, "chroma", self.address + pitch * self.height)


@dataclass(frozen=True)
class Launch:
    """One kernel launch: its name, blocks and threads a block in x and y, and its arguments in the kernel's types."""

    kernel: str
    grid: tuple[int, int]
    block: tuple[int, int]
    arguments: tuple[Any, ...]


def plan_crop(frame: DeviceFrame, region: Region, output: int, size: Size) -> Launch:
    """Return the launch that `FrameKernels.crop` makes."""
    height, width = checked_size(size)
    _check_address(output, "the output")
    shape = np.int32(height), np.int32(width)
    arguments = (*_packed(frame, region.to_frame(size)), output, *shape)
    return Launch(f"crop_{frame.layout}", _grid(width, height), _BLOCK, arguments)


def plan_paste(frame: DeviceFrame, region: Region, picture: int, size: Size, feather: float) -> Launch | None:
    """Return the launch that `FrameKernels.paste` makes; None where the region lies outside the frame."""
    height, width = checked_size(size)
    feather = checked_feather(feather)
    _check_address(picture, "the picture")
    rows, columns = (2 if frame.layout == "nv12" else 1), 4  # of a thread
    left, top, right, bottom = region.bounds((frame.height, frame.width), (rows, columns))
    if left >= right or top >= bottom:
        return None
    arguments = (
        *_packed(frame, region.to_picture(size)),
        picture,
        np.int32(height),
        np.int32(width),
        np.float32(feather),
        *map(np.int32, (left, top, right, bottom)),
    )
    grid = _grid(-(-(right - left) // columns), -(-(bottom - top) // rows))
    return Launch(f"paste_{frame.layout}", grid, _BLOCK, arguments)


class FrameKernels:
    """The compiled kernels, for every GPU of this machine.

    Calls return when the work is queued; the memory must stay allocated until the stream has finished with it. The
    calling thread must have a device set (``cuda.core.Device.set_current``). Regions are arguments: a captured CUDA
    graph repeats those of its capture, so launch outside of it where they move.
    """

    def __init__(self, path: Path = FATBIN) -> None:
        """Load the kernels.

        Args:
            path: the fat binary; where it does not exist, the kernels are compiled for the current GPU and cached.

        Raises:
            MissingDependencyError: cuda.core is not installed, or there is no fat binary and no NVRTC.
            StarGANError: the driver can't load them, or NVRTC can't compile them.
        """
        self._cuda = driver.cuda()
        try:
            code = kernels.load(self._cuda, path)
            self._kernels = {name: code.get_kernel(name) for name in KERNELS}
        except StarGANError:
            raise
        except Exception as error:  # cuda.core's exceptions derive from nothing narrower
            raise StarGANError(
                f"the GPU can't load the kernels of {path} ({error}); they need a driver and a GPU of the Turing "
                "generation or later, and the compiler's CUDA version must not be newer than the driver's"
            ) from error

    def crop(self, stream: Any, frame: DeviceFrame, region: Region, output: int, size: Size) -> None:
        """Cut a region out of a frame and resample it bilinearly; beyond the edge the border is replicated.

        Args:
            stream: of cuda.core.
            frame: read only.
            region: what to cut out.
            output: address of uint8 (height, width, 3), RGB, contiguous, such as the network's input.
            size: (height, width) of it.

        Raises:
            InputError: no address, or an impossible size.
        """
        self._launch(stream, plan_crop(frame, region, output, size))

    def paste(
        self, stream: Any, frame: DeviceFrame, region: Region, picture: int, size: Size, feather: float = 0.1
    ) -> None:
        """Blend a picture into a region of a frame, in place, with the soft edge of `stargan_rt.faces.paste`.

        Args:
            stream: of cuda.core.
            frame: written; nothing else may write to it at the same time.
            region: where the picture goes.
            picture: address of uint8 (height, width, 3), RGB, contiguous, such as the network's output; not in `frame`.
            size: (height, width) of it.
            feather: from 0, a hard edge, to 0.5, an ellipse.

        Raises:
            InputError: no address, an impossible size, or a feather out of range.
        """
        if launch := plan_paste(frame, region, picture, size, feather):
            self._launch(stream, launch)

    def _launch(self, stream: Any, launch: Launch) -> None:
        config = self._cuda.LaunchConfig(grid=launch.grid, block=launch.block)
        self._cuda.launch(stream, config, self._kernels[launch.kernel], *launch.arguments)


def _packed(frame: DeviceFrame, matrix: npt.NDArray[np.float64]) -> tuple[Any, ...]:
    """Return the arguments that all kernels begin with; cuda.core takes Python's integers for pointers."""
    return (
        frame.address,
        frame.chroma,
        np.int64(frame.pitch),
        np.int32(frame.height),
        np.int32(frame.width),
        *map(np.int64, fixed_point(matrix)),
    )


def _grid(columns: int, rows: int) -> tuple[int, int]:
    return -(-columns // _BLOCK[0]), -(-rows // _BLOCK[1])


def _check_address(address: int, what: str) -> None:
    if not isinstance(address, int) or address <= 0:
        raise InputError(f"{what} needs the address of GPU memory, a positive int; got {address!r}")
