"""Clips made for tests, and what is in a clip."""

from __future__ import annotations

from pathlib import Path

import av

from benchmarks.clips import times_and_sound, write_clip

__all__ = ["read_clip", "write_clip"]


def read_clip(path: Path):
    """Return the frames (RGB), their times in seconds, and the packets of sound (time and bytes)."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames, *times_and_sound(path)
