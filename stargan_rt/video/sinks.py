"""Where frames go: a file, a window, or a virtual camera."""

from __future__ import annotations

import contextlib
import secrets
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2

from stargan_rt.errors import InputError, MissingDependencyError, StarGANError
from stargan_rt.mark import Mark
from stargan_rt.video.frames import Item
from stargan_rt.video.pyav import av
from stargan_rt.video.sources import Source

SUFFIXES = (".mp4", ".mov", ".mkv")
CRF, PRESET = "18", "veryfast"
"""Quality (lower is better) and speed of x264."""


class Sink(Protocol):
    """Takes frames, and packets of sound."""

    def write(self, item: Item) -> bool:
        """Take an item; False if the viewer wants to stop."""

    def close(self) -> None:
        """Finish."""


class ClipFile:
    """Writes a clip: H.264, the frames' own times, and the sound as it was.

    An MP4 is written in fragments that are merged at the end, so that it plays even if the end is never written.
    It has a temporary name until it is closed.

    Attributes:
        frames: number of frames written.
    """

    def __init__(self, path: Path, source: Source, mark: Mark | None) -> None:
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"--output {path} must end in one of {', '.join(SUFFIXES)}")
        self.path, self.frames, self._mark = path, 0, mark
        self._temporary = path.with_name(f".{secrets.token_hex(4)}{suffix}")
        flags = {} if suffix == ".mkv" else {"movflags": "+hybrid_fragmented+delay_moov+use_metadata_tags"}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av().open(str(self._temporary), "w", options=flags)
        except (OSError, ValueError) as error:
            raise InputError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from None
        self._container.metadata.update(source.metadata)
        if mark is not None:
            self._container.metadata["comment"] = mark.sentence
        height, width = source.size
        self._stream = self._container.add_stream("libx264", rate=source.rate)
        self._stream.width, self._stream.height = width, height
        # 4:2:0 needs even sides.
        self._stream.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        self._stream.options = {"crf": CRF, "preset": PRESET}
        self._stream.time_base = self._stream.codec_context.time_base = source.time_base
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        self._audio: dict[int, Any] = {}
        for stream in source.audio:
            try:
                self._audio[stream.index] = self._container.add_stream_from_template(stream)
            except (ValueError, OSError) as error:
                raise InputError(f"{path} can't hold the sound of the source ({error}); use .mkv") from None
        self._last: int | None = None

    def write(self, item: Item) -> bool:
        with self._explained():
            if item.packet is not None:
                item.packet.stream = self._audio[item.packet.stream.index]
                self._container.mux(item.packet)
                return True
            frame = av().VideoFrame.from_ndarray(item.pixels, format="rgb24")
            frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG")
            # Players refuse times that do not increase.
            pts = item.pts if self._last is None or item.pts > self._last else self._last + 1
            frame.pts, frame.time_base, self._last = pts, Fraction(item.time_base), pts
            frame.pict_type = 0  # the encoder's choice, not the source's
            self._container.mux(self._stream.encode(frame))
            self.frames += 1
        return True

    def close(self) -> None:
        """Write what the encoder holds back, and give the file its name.

        Raises:
            InputError: the disk is full. What could be written is kept under the file's name and plays.
        """
        try:
            with self._explained():
                self._container.mux(self._stream.encode(None))
                self._container.close()
                if self._mark is not None:
                    self._mark.add_to_clip(self._temporary)
        finally:
            with contextlib.suppress(Exception):
                self._container.close()
            if self.frames and self._temporary.exists():
                self._temporary.replace(self.path)
            else:
                self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Any:
        try:
            yield
        except OSError as error:  # FFmpeg's own errors of the operating system are OSErrors too
            raise InputError(
                f"can't write {self.path}: {error.strerror or error}; the first {self.frames} frames or fewer are in it"
            ) from None


class Window:
    """Shows frames in a window until q or Escape is pressed."""

    def __init__(self, title: str = "stargan-rt") -> None:
        self._title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error:
            raise MissingDependencyError(
                "this OpenCV can't show windows; run: pip uninstall opencv-python-headless && pip install opencv-python"
            ) from None

    def write(self, item: Item) -> bool:
        if item.pixels is None:
            return True
        cv2.imshow(self._title, cv2.cvtColor(item.pixels, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def close(self) -> None:
        cv2.destroyWindow(self._title)


class VirtualCamera:
    """A camera that other programs can choose, through pyvirtualcam."""

    def __init__(self, source: Source) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise MissingDependencyError("--virtual-camera needs pyvirtualcam: pip install pyvirtualcam") from None
        height, width = source.size
        try:
            self._camera = pyvirtualcam.Camera(width, height, float(source.rate))
        except RuntimeError as error:
            raise StarGANError(f"no virtual camera can be opened: {error}") from None

    def write(self, item: Item) -> bool:
        if item.pixels is not None:
            self._camera.send(item.pixels)
        return True

    def close(self) -> None:
        self._camera.close()
