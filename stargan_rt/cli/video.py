"""`stargan-rt video`: the faces in clips and of cameras."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from stargan_rt.cli.options import (
    PATH,
    detector_options,
    engine_options,
    json_option,
    load,
    load_detector,
    mark_options,
    signer_of,
)


class Rectangle(click.ParamType):  # type: ignore[type-arg]
    """Four numbers: left, top, width and height in pixels."""

    name = "x,y,w,h"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        try:
            x, y, width, height = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not x,y,width,height in pixels", param, ctx)
        return x, y, x + width, y + height


@click.command()
@click.option("--source", required=True, metavar="CLIP", help="A file, the number of a camera, or rtsp://…")
@click.option("--label", required=True, help="What to change; over time '0:happy 3.5:sad', from each second on.")
@click.option("--output", type=PATH, help="The clip to write: .mp4, .mov or .mkv.")
@click.option("--show", is_flag=True, help="Show the frames in a window; q ends.")
@click.option("--virtual-camera", is_flag=True, help="Offer the frames as a camera; needs pyvirtualcam.")
@click.option("--faces", type=click.Choice(["all", "largest"]), default="all", show_default=True)
@click.option("--roi", type=Rectangle(), help="Look for faces only in this part of the frame, in pixels.")
@click.option("--min-size", type=click.FloatRange(16), default=64, show_default=True, help="Smallest face in pixels.")
@click.option(
    "--every",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Search the whole frame for faces every n-th time, and follow them in between.",
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop a camera or stream after this time.")
@detector_options
@mark_options
@engine_options
@json_option
def video(
    source: str,
    label: str,
    output: Path | None,
    show: bool,
    virtual_camera: bool,
    faces: str,
    roi: tuple[float, float, float, float] | None,
    min_size: float,
    every: int,
    seconds: float | None,
    detector: Path | None,
    min_score: float,
    mark: bool,
    sign_cert: Path | None,
    sign_key: Path | None,
    engine: str,
    backend: str,
    threads: int | None,
    lanes: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Translate the faces in a clip, of a camera or of a stream.

    A file keeps every frame, its times and its sound. Of a camera or a stream the newest frame is used; Ctrl-C ends it,
    and the clip so far is complete.
    """
    from stargan_rt.mark import Mark
    from stargan_rt.video.run import VideoOptions, VideoReport, translate_video

    options = VideoOptions(
        source, label, output, show, virtual_camera, faces == "largest", every, roi, min_size, seconds, mark
    )
    signer = signer_of(sign_cert, sign_key)
    bar = sys.stderr.isatty()

    def progress(report: VideoReport) -> None:
        if bar and report.frames % 10 == 0:
            click.echo(f"\r{report.frames} frames, {report.fps:.1f} per second ", nl=False, err=True)

    with load(engine, backend, threads, lanes, device) as loaded:
        report = translate_video(loaded, options, load_detector(detector, min_score), progress)
        if signer is not None and output is not None:
            signer.sign(output, Mark.of(loaded.manifest))
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
        return
    click.echo(f"{report.frames} frames, {report.with_faces} with a face, {report.fps:.1f} per second")
    if report.dropped:
        click.echo(f"{report.dropped} frames came too fast and were dropped")
    for stage in report.stages:
        click.echo(f"{stage.name + ':':<11} {stage.ms:7.2f} ms per frame")
    click.echo(f"{report.slowest.name} sets the pace: {report.share_of_slowest:.0%} of the rate that it allows alone")
