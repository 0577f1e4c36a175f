"""Where frames come from: a file, a camera, or a stream from the network."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import MAX_PIXELS, Pixels
from stargan_rt.video.frames import Item
from stargan_rt.video.pyav import av

LIVE = re.compile(r"^(rtsps?|rtmps?|udp|rtp|srt|tcp|https?)://", re.IGNORECASE)
"""Addresses of streams, whose frames are used when they come."""
TIMEOUT_S = 10
"""A stream that sends nothing for as long has ended."""
MILLISECONDS = Fraction(1, 1000)


class Source(Protocol):
    """Yields frames, and for a file the packets of its sound.

    Attributes:
        live: frames come at their own pace, and late ones are dropped.
        size: (height, width) of the frames in pixels.
        rate: frames per second, on average.
        time_base: unit of the frames' times in seconds.
        audio: the audio streams whose packets are yielded.
        metadata: of the container.
    """

    live: bool
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    audio: list[Any]
    metadata: dict[str, str]

    def items(self) -> Iterator[Item]:
        """Yield what the source holds, in the order in which it is stored."""

    def close(self) -> None:
        """Free the source."""


def open_source(text: str) -> Source:
    """Open a clip's file, a camera by its number, or the address of a stream.

    Raises:
        InputError: it can't be opened, or has no video.
        MissingDependencyError: PyAV is not installed.
    """
    if text.isdecimal():
        return Camera(int(text))
    if LIVE.match(text):
        return Stream(text)
    if not Path(text).is_file():
        raise InputError(f"no clip at {text}; give a file, the number of a camera, or an address such as rtsp://…")
    return Clip(text)


class Clip:
    """A file: every frame in order, with its own time."""

    live = False

    def __init__(self, path: str, options: dict[str, str] | None = None) -> None:
        self._path = path
        try:
            self._container = av().open(path, options=options or {}, timeout=TIMEOUT_S if self.live else None)
        except av().error.FFmpegError as error:
            raise InputError(f"{path} can't be opened as a video: {error.strerror}") from None
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{path} has no video")
        stream = self._stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        width, height = stream.codec_context.width, stream.codec_context.height
        if not 0 < width * height <= MAX_PIXELS:
            raise InputError(f"{path} has frames of {width}x{height} pixels; at most {MAX_PIXELS} pixels are supported")
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 30)
        self.time_base = Fraction(stream.time_base)
        self.audio = list(self._container.streams.audio)
        self.metadata = dict(self._container.metadata)
        self._waiting: list[Item] = []
        self._decoder = self._decode()
        try:  # the first frame tells the size as it is shown
            first = next(item for item in self._decoder if self._kept(item).pixels is not None)
        except StopIteration:
            raise InputError(f"{path} has no frame that can be decoded") from None
        assert first.pixels is not None
        self.size = (first.pixels.shape[0], first.pixels.shape[1])

    def items(self) -> Iterator[Item]:
        yield from self._waiting
        self._waiting.clear()
        yield from self._decoder

    def _kept(self, item: Item) -> Item:
        self._waiting.append(item)
        return item

    def _decode(self) -> Iterator[Item]:
        frames, end = 0, 0.0
        try:
            for packet in self._container.demux([self._stream, *self.audio]):
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream is not self._stream:
                    if packet.dts is not None:  # the last, empty one of each stream
                        yield Item(packet=packet, time_base=Fraction(packet.time_base), pts=packet.pts or 0)
                    continue
                for frame in packet.decode():
                    frames += 1
                    yield Item(_upright(frame), frame.pts or 0, self.time_base)
        except av().error.FFmpegError as error:
            raise InputError(f"{self._path} is damaged or ends in the middle of a frame: {error.strerror}") from None

        # A file that was cut off may simply end. Only its header tells.
        announced = (self._container.duration or 0) / av().time_base
        if frames < self._stream.frames or end < announced - max(0.25, float(5 / self.rate)):
            raise InputError(f"{self._path} is cut off: it holds {end:.1f} of {announced:.1f} seconds, {frames} frames")

    def close(self) -> None:
        self._container.close()


class Stream(Clip):
    """A stream from the network: the newest frame, at the time at which it came; its sound is left out."""

    live = True

    def __init__(self, address: str) -> None:
        options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
        super().__init__(address, options)
        self.audio = []
        self.time_base = MILLISECONDS

    def items(self) -> Iterator[Item]:
        began = time.monotonic()
        try:
            for item in super().items():
                if item.pixels is not None:
                    yield Item(item.pixels, round(1e3 * (time.monotonic() - began)))
        except InputError as error:
            raise StarGANError(f"the stream {self._path} broke off: {error}") from None
        raise StarGANError(f"the stream {self._path} ended")


class Camera:
    """A camera of this machine, through OpenCV."""

    live = True
    time_base = MILLISECONDS

    def __init__(self, number: int) -> None:
        self._number = number
        self._capture = cv2.VideoCapture(number)
        ok, frame = self._capture.read() if self._capture.isOpened() else (False, None)
        if not ok or frame is None:
            self._capture.release()
            raise InputError(f"camera {number} can't be opened or gives no frame; is it in use, or not connected?")
        self.size = (frame.shape[0], frame.shape[1])
        self.rate = Fraction(round(self._capture.get(cv2.CAP_PROP_FPS)) or 30)
        self.audio: list[Any] = []
        self.metadata: dict[str, str] = {}

    def items(self) -> Iterator[Item]:
        began = time.monotonic()
        while True:
            ok, frame = self._capture.read()
            if not ok or frame is None:
                raise StarGANError(f"camera {self._number} gives no frames any more; is it still connected?")
            pixels = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            yield Item(pixels, round(1e3 * (time.monotonic() - began)))

    def close(self) -> None:
        self._capture.release()


def _upright(frame: Any) -> Pixels:
    """Return a decoded frame as RGB, turned as the container says, as phones do it."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
