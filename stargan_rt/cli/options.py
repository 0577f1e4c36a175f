"""Options that several commands share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from stargan_rt.credentials import Signer
    from stargan_rt.engine import Engine
    from stargan_rt.faces import FaceDetector

Command = TypeVar("Command", bound=Callable[..., Any])


class NonEmptyPath(click.Path):
    """A path; an empty one, as from an unset variable in a script, would mean the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = NonEmptyPath(path_type=Path)

engine_option = click.option(
    "--engine",
    default="avatars",
    show_default=True,
    metavar="FILE",
    help="Engine or ONNX file; 'avatars' is the bundled model.",
)
backend_option = click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, tensorrt, tensorrt-rtx, openvino or onnxruntime.",
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
lanes_option = click.option(
    "--lanes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of calls that may run concurrently; for many images use as many as CPU cores, or 2 on a GPU.",
)
device_option = click.option("--device", metavar="N", help="GPU that runs a plan: 1 or cuda:1.  [default: the first]")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def engine_options(command: Command) -> Command:
    """Add the options that choose an engine, the same for every command that runs one."""
    return engine_option(backend_option(threads_option(lanes_option(device_option(command)))))


def detector_options(command: Command) -> Command:
    """Add the options that choose a face detector."""
    for option in (
        click.option(
            "--min-score",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=0.6,
            show_default=True,
            help="Leave out faces of which the detector is less sure; 0.5 for drawings.",
        ),
        click.option(
            "--detector", type=PATH, help="BlazeFace .tflite or YuNet .onnx file.  [default: the installed one]"
        ),
    ):
        command = option(command)
    return command


def mark_options(command: Command) -> Command:
    """Add the options about the note that faces were generated."""
    for option in (
        click.option("--sign-key", type=PATH, help="PEM file with the private key of --sign-cert."),
        click.option("--sign-cert", type=PATH, help="Sign the output with this certificate chain (C2PA), a PEM file."),
        click.option(
            "--mark/--no-mark",
            default=True,
            show_default=True,
            help="Note in the output's metadata that faces were generated, and by which model.",
        ),
    ):
        command = option(command)
    return command


def load_detector(path: Path | None, min_score: float) -> FaceDetector:
    """Load the face detector that `detector_options` chose."""
    from stargan_rt.faces import FaceDetector

    return FaceDetector.load(path, min_score=min_score)


def signer_of(certificate: Path | None, key: Path | None) -> Signer | None:
    """Return what signs the output, if `mark_options` ask for it."""
    if (certificate is None) != (key is None):
        raise click.UsageError("--sign-cert and --sign-key go together")
    if certificate is None or key is None:
        return None
    from stargan_rt.credentials import Signer

    return Signer.load(certificate, key)


def note_about_drawings(engine: Engine, image: Path) -> None:
    """Say so if a photograph goes into a model that has only seen drawings."""
    from stargan_rt.errors import StarGANError
    from stargan_rt.images import read_image
    from stargan_rt.models import is_photo

    if engine.manifest.alignment != "avatars":
        return
    with contextlib.suppress(StarGANError):  # reported when the image is translated
        if is_photo(read_image(image)):
            click.echo(DRAWINGS_ONLY.format(image=image), err=True)


DRAWINGS_ONLY = (
    "note: {image} looks like a photograph, and this model has only seen drawings, so expect a poor picture; "
    "docs/training.md says how to train or import a model for photographs"
)


def load(
    engine: str, backend: str = "auto", threads: int | None = None, lanes: int = 1, device: str | None = None
) -> Engine:
    """Load the engine that `engine_options` chose."""
    from stargan_rt.engine import Engine

    return Engine.load(engine, backend=backend, threads=threads, lanes=lanes, device=device)
