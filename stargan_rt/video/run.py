"""`translate_video`: decode, find the faces, translate them, blend them back, encode."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stargan_rt.engine import Engine
from stargan_rt.errors import InputError
from stargan_rt.faces import FaceDetector, aligned_region
from stargan_rt.faces.blend import cut, put_back
from stargan_rt.faces.face import Box
from stargan_rt.faces.tracks import FaceTracker
from stargan_rt.mark import Mark
from stargan_rt.video.frames import Item
from stargan_rt.video.schedule import Schedule
from stargan_rt.video.sinks import ClipFile, Sink, VirtualCamera, Window
from stargan_rt.video.sources import Source, open_source
from stargan_rt.video.stages import Stages, StageTime


@dataclass(frozen=True)
class VideoOptions:
    """What to do with a clip or a camera.

    Attributes:
        source: file, number of a camera, or address of a stream.
        label: a label, or a schedule such as ``"0:happy 3.5:sad"``.
        output: the clip to write.
        show: show the frames in a window.
        virtual_camera: give the frames to a virtual camera.
        largest: translate only the largest face.
        every: number of frames from one search of the whole frame to the next.
        roi: left, top, right and bottom in pixels of the part of the frame in which faces are looked for.
        min_size: side in pixels of the smallest face box to look for.
        seconds: stop after this time of a live source.
        mark: note in the clip that its faces were generated.
    """

    source: str
    label: str
    output: Path | None = None
    show: bool = False
    virtual_camera: bool = False
    largest: bool = False
    every: int = 10
    roi: Box | None = None
    min_size: float = 64
    seconds: float | None = None
    mark: bool = True


@dataclass
class VideoReport:
    """What was done.

    Attributes:
        frames: number of frames that came out.
        dropped: number of frames of a live source that came too fast.
        with_faces: number of frames with a translated face.
        seconds: from the first frame to the last one.
        stages: what each stage spent, in order.
    """

    frames: int = 0
    dropped: int = 0
    with_faces: int = 0
    seconds: float = 0.0
    stages: list[StageTime] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def slowest(self) -> StageTime:
        """The stage that takes longest, which sets the pace."""
        return max(self.stages, key=lambda stage: stage.seconds)

    @property
    def share_of_slowest(self) -> float:
        """The rate, as a part of the rate that the slowest stage alone allows."""
        return self.slowest.seconds / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-ready form."""
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "with_faces": self.with_faces,
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "stages": {stage.name: {"ms": round(stage.ms, 3), "items": stage.items} for stage in self.stages},
            "slowest": self.slowest.name,
            "share_of_slowest": round(self.share_of_slowest, 3),
        }


def translate_video(
    engine: Engine,
    options: VideoOptions,
    detector: FaceDetector | None = None,
    progress: Callable[[VideoReport], None] | None = None,
) -> VideoReport:
    """Translate the faces in a clip or of a camera.

    On a file every frame is translated, in order, and keeps its time; the sound is copied. On a live source the newest
    frame is translated and others are dropped.

    Args:
        engine: translates the faces.
        options: what to do.
        detector: finds the faces; by default the installed one.
        progress: called after each frame.

    Returns:
        The report. It is also complete when Ctrl-C ends a live source.

    Raises:
        InputError: the source can't be read to its end, or the output can't be written. What was written plays.
        LabelError: the model does not have a label.
        StarGANError: a live source broke off.
        MissingDependencyError: PyAV, a detector or pyvirtualcam is not installed.
    """
    if options.output is None and not options.show and not options.virtual_camera:
        raise InputError("nowhere to put the frames; give --output FILE, --show or --virtual-camera")
    schedule = Schedule.parse(options.label)
    for _, label in schedule.entries:
        engine.labels.passes(label)
    tracker = FaceTracker(
        detector or FaceDetector.load(),
        every=options.every,
        min_size=options.min_size,
        roi=options.roi,
        largest=options.largest,
    )
    report = VideoReport()
    with contextlib.ExitStack() as stack:
        source = open_source(options.source)
        stack.callback(source.close)
        work = _Work(engine, tracker, schedule)
        stages = Stages(
            ("decode", source.items()),
            [("find", work.find), ("translate", work.translate), ("blend", work.blend)],
            newest=source.live,
            counts=lambda item: item.pixels is not None,
        )
        encode = StageTime("encode")
        report.stages = [*stages.times, encode]
        sinks = _sinks(options, source, engine)
        closing = contextlib.ExitStack()
        for sink in sinks:
            closing.callback(sink.close)
        began = time.perf_counter()
        with closing:
            results = stages.results()
            closing.callback(results.close)  # type: ignore[attr-defined]
            for item in results:
                started = time.perf_counter()
                goes_on = all([sink.write(item) for sink in sinks])
                if item.pixels is not None:
                    report.frames += 1
                    report.with_faces += bool(item.regions)
                    encode.items += 1
                encode.seconds += time.perf_counter() - started
                report.seconds, report.dropped = time.perf_counter() - began, stages.dropped
                if progress is not None and item.pixels is not None:
                    progress(report)
                late = source.live and options.seconds is not None and report.seconds >= options.seconds
                if not goes_on or late:
                    break
        report.seconds = time.perf_counter() - began
    return report


def _sinks(options: VideoOptions, source: Source, engine: Engine) -> list[Sink]:
    sinks: list[Sink] = []
    if options.output is not None:
        sinks.append(ClipFile(options.output, source, Mark.of(engine.manifest) if options.mark else None))
    if options.show:
        sinks.append(Window())
    if options.virtual_camera:
        sinks.append(VirtualCamera(source))
    return sinks


class _Work:
    """The stages between decoding and encoding; each runs in a thread of its own."""

    def __init__(self, engine: Engine, tracker: FaceTracker, schedule: Schedule) -> None:
        self._engine, self._tracker, self._schedule = engine, tracker, schedule

    def find(self, item: Item) -> None:
        if item.pixels is None or self._schedule.at(item.seconds) is None:
            return
        tracks = self._tracker.update(item.pixels, item.seconds)
        size, alignment = self._engine.size, self._engine.manifest.alignment
        item.regions = [aligned_region(track.smooth, alignment, size) for track in tracks]

    def translate(self, item: Item) -> None:
        label = self._schedule.at(item.seconds)
        if item.pixels is None or label is None or not item.regions:
            return
        item.crops = [cut(item.pixels, region, self._engine.size) for region in item.regions]
        item.translated = self._engine.translate(np.stack(item.crops), label)

    def blend(self, item: Item) -> None:
        if item.pixels is None or item.translated is None:
            return
        if not item.pixels.flags.writeable:
            item.pixels = item.pixels.copy()
        for before, after, region in zip(item.crops, item.translated, item.regions, strict=True):
            put_back(item.pixels, before, after, region)
