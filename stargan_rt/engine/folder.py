"""Translation of image files and folders to files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stargan_rt.credentials import Signer
from stargan_rt.engine import Engine
from stargan_rt.engine.faces import chosen_faces
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.faces import FaceDetector
from stargan_rt.images import SUFFIXES, Pixels, image_files, read_image
from stargan_rt.mark import Mark, read_metadata, write_marked


@dataclass(frozen=True)
class Job:
    """One input file and the files to write for it.

    Attributes:
        source: The image file to read.
        outputs: Output path → label.
    """

    source: Path
    outputs: dict[Path, str]


def list_jobs(sources: Sequence[Path], labels: Sequence[str], output: Path) -> list[Job]:
    """List the files to translate and the files to write; nothing is read or written yet.

    A folder stands for all images below it; their relative paths are kept under `output`. Hidden files and files that
    are already in `output` are skipped. A single image with a single label may be written to a file. Otherwise
    `output` is a folder, with files named ``NAME.SUFFIX`` for one label and ``NAME.LABEL.SUFFIX`` for several.

    Args:
        sources: Image files and folders.
        labels: The labels to translate each image to.
        output: The output file or folder.

    Raises:
        InputError: A source does not exist or contains no image, an output would overwrite a source or has an
            unknown suffix, or two sources have the same output.
    """
    found = {path.resolve(): (path, relative) for source in sources for path, relative in _images(source, output)}
    one = len(found) == 1 and len(labels) == 1 and not sources[0].is_dir()
    to_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if to_file and not one:
        raise InputError(f"--output {output} is a file, but there are several results; give a folder")
    if one and output.suffix and not to_file and not output.is_dir():
        raise InputError(
            f"--output {output} has no known suffix ({', '.join(sorted(SUFFIXES))}); to use a folder, create it first"
        )
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    for path, relative in found.values():
        if to_file:
            outputs = {output: labels[0]}
        else:
            suffix = relative.suffix if relative.suffix.lower() in SUFFIXES else ".png"
            # Windows does not allow the colon of joint labels in file names.
            marks = {name: f".{name.replace(':', '-')}" if len(labels) > 1 else "" for name in labels}
            outputs = {output / relative.with_name(f"{relative.stem}{mark}{suffix}"): n for n, mark in marks.items()}
        for target in outputs:
            if target.resolve() in found:
                raise InputError(f"{target} would overwrite an input; give another --output")
            if target in taken:
                raise InputError(f"{taken[target]} and {path} have the same output {target}; translate them separately")
            taken[target] = path
        jobs.append(Job(path, outputs))
    return jobs


def translate_files(
    engine: Engine,
    jobs: Sequence[Job],
    keep_size: bool,
    *,
    faces: Literal["all", "largest"] | None = None,
    detector: FaceDetector | None = None,
    mark: Mark | None = None,
    signer: Signer | None = None,
) -> Iterator[tuple[Job, StarGANError | None]]:
    """Run the jobs in order and yield each one with its error, or None. An unusable image does not stop the others.

    Args:
        engine: Translates the images.
        jobs: The result of `list_jobs`.
        keep_size: Resize each result to the size of its input image.
        faces: Translate the faces in each image, and leave the rest of it as it is.
        detector: Finds the faces. Defaults to the installed one.
        mark: Noted in each result.
        signer: Signs each result.

    Raises:
        InputError: A result cannot be written.
    """

    def write(job: Job, target: Path, picture: Pixels) -> None:
        write_marked(target, picture, mark, read_metadata(job.source))
        if signer is not None:
            signer.sign(target, mark or Mark.of(engine.manifest))

    if faces is None and all(len(job.outputs) == 1 for job in jobs):
        labels = [next(iter(job.outputs.values())) for job in jobs]
        sources = (job.source for job in jobs)
        results = engine.map(sources, labels, keep_size=keep_size, return_exceptions=True)
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, StarGANError):
                yield job, result
            else:
                write(job, next(iter(job.outputs)), result)
                yield job, None
        return
    if faces is not None and detector is None:
        detector = FaceDetector.load()
    for job in jobs:
        labels = list(job.outputs.values())
        try:
            if faces is None:
                pictures: Iterable[Pixels] = engine.translate(job.source, labels, keep_size=keep_size)
            else:
                image = read_image(job.source)
                found = chosen_faces(image, faces, detector)
                pictures = [engine.translate_faces(image, label, found) for label in labels]
        except StarGANError as error:
            yield job, error
        else:
            for target, picture in zip(job.outputs, pictures, strict=True):
                write(job, target, picture)
            yield job, None


def _images(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the images of a file or folder, each with its path relative to it."""
    if source.is_file():
        return [(source, Path(source.name))]
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    results, root = output.resolve(), source.resolve()
    images = [p for p in image_files(source) if results == root or results not in p.resolve().parents]
    if not images:
        raise InputError(f"no images in {source} other than those in --output")
    return [(path, path.relative_to(source)) for path in images]
