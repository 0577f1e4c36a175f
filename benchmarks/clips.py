"""Clips with a variable frame rate, B-frames and sound, as phones record them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stargan_rt.images import Pixels

TICKS = 90_000
"""Units of time in a second."""


def write_clip(path: Path, pictures: Iterable[Pixels], sound: bool = True, seed: int = 0) -> list[Fraction]:
    """Write pictures, uint8 ``(H, W, 3)`` RGB each, at uneven times; return the times in seconds."""
    random, times, pts, samples = np.random.default_rng(seed), [], 0, 0
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.pix_fmt, video.options = "yuv420p", {"bf": "3", "preset": "ultrafast", "crf": "16"}
        video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
        audio = container.add_stream("aac", rate=44_100) if sound else None
        for number, picture in enumerate(pictures):
            if number == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, TICKS)
            times.append(Fraction(pts, TICKS))
            container.mux(video.encode(frame))
            pts += int(random.choice([2400, 3003, 3750, 4500]))
            while audio and samples * TICKS < pts * 44_100:
                wave = np.sin(np.arange(samples, samples + 1024) * 0.05).astype(np.float32)
                block = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
                block.sample_rate, block.pts, block.time_base = 44_100, samples, Fraction(1, 44_100)
                container.mux(audio.encode(block))
                samples += 1024
        container.mux(video.encode(None))
        if audio:
            container.mux(audio.encode(None))
    return times


def times_and_sound(path: Path) -> tuple[list[Fraction], list[tuple[int, bytes]]]:
    """Return the times of the frames in seconds, and the packets of the sound with their times."""
    times, packets = [], []
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        for packet in container.demux([video, *container.streams.audio]):
            if packet.stream is video:
                times += [frame.pts * Fraction(video.time_base) for frame in packet.decode()]
            elif packet.size:
                packets.append((packet.pts, bytes(packet)))
    return times, packets
