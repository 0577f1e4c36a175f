"""`python -m benchmarks video`: a clip through `stargan-rt video`, what is kept of it, and how fast."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks import results
from benchmarks.clips import times_and_sound, write_clip
from stargan_rt import Engine
from stargan_rt.faces import FaceDetector
from stargan_rt.images import Pixels, read_image
from stargan_rt.models import bundled_samples
from stargan_rt.video import VideoOptions, VideoReport, translate_video

SIZE = (720, 1280)
SHARE = 0.8
"""The rate must reach this part of what the slowest stage alone allows."""


def pictures(count: int) -> Iterator[Pixels]:
    """Yield frames with two drawn faces, one of which moves."""
    first, second = (read_image(path) for path in bundled_samples()[:2])
    ground = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8), (0, 0), 9)
    for number in range(count):
        frame = ground.copy()
        frame[380 : 380 + 256, 900 : 900 + 256] = np.repeat(np.repeat(second, 2, 0), 2, 1)
        left = 60 + number * 2 % 700
        frame[60 : 60 + 256, left : left + 256] = np.repeat(np.repeat(first, 2, 0), 2, 1)
        yield frame


@click.command("video")
@click.option("--frames", type=click.IntRange(50), default=300, help="Number of frames of 1280x720.")
@click.option("--engine", default="avatars", help="A model.")
@click.option("--every", type=click.IntRange(1), default=30, help="Search the whole frame every n-th time.")
@results.output_option
def main(frames: int, engine: str, every: int, output: Path | None) -> None:
    """Translate the faces of a clip with a variable frame rate, B-frames and sound.

    The exit code is 1 if a frame, a time or a packet of the sound is lost or changed, or if the rate stays below 80 %
    of what the slowest stage alone allows.
    """
    memory: list[int] = []

    def progress(report: VideoReport) -> None:
        if report.frames % 50 == 0:
            memory.append(_resident_bytes())

    with tempfile.TemporaryDirectory() as folder, Engine.load(engine) as loaded:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        expected = write_clip(source, pictures(frames))
        detector = FaceDetector.load(min_score=0.5)
        options = VideoOptions(str(source), "happy", target, every=every)
        report = translate_video(loaded, options, detector, progress)
        times, sound = times_and_sound(target)
        _, sound_before = times_and_sound(source)
    facts = {
        **report.to_dict(),
        "frames_exact": report.frames == len(times) == frames,
        "times_exact": times == expected,
        "sound_identical": sound == sound_before,
        "sound_packets": len(sound),
        "resident_mb": [round(value / 1e6, 1) for value in memory],
    }
    results.write(output, {"machine": results.describe(), "size": list(SIZE), "every": every, **facts})
    for key, value in facts.items():
        click.echo(f"{key}: {value}")
    exact = facts["frames_exact"] and facts["times_exact"] and facts["sound_identical"]
    raise SystemExit(0 if exact and report.share_of_slowest >= SHARE else 1)


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0
