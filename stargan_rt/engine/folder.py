"""Files and folders of images, translated to files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stargan_rt.engine import Engine
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import SUFFIXES, image_files, write_image


@dataclass(frozen=True)
class Job:
    """One file to read and the files to write: output path → label."""

    source: Path
    outputs: dict[Path, str]


def plan(sources: Sequence[Path], labels: Sequence[str], output: Path) -> list[Job]:
    """Which files are written for which; nothing is touched yet.

    A folder stands for the images below it, whose relative paths are kept under `output`; hidden
    files, and what lies in `output` already, are passed over. One file with one label may be given
    an output file; everything else goes into a folder, as ``NAME.SUFFIX`` for one label and
    ``NAME.LABEL.SUFFIX`` for several.

    Raises:
        InputError: a source that is not there or holds no image, an output that is a source or has
            an unknown suffix, or two sources for one output.
    """
    found = {path.resolve(): (path, relative) for source in sources for path, relative in _images(source, output)}
    one = len(found) == 1 and len(labels) == 1 and not sources[0].is_dir()
    to_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if to_file and not one:
        raise InputError(f"--output {output} is a file, but several results are to be written; give a folder")
    if one and output.suffix and not to_file and not output.is_dir():
        raise InputError(
            f"--output {output} has no known suffix ({', '.join(sorted(SUFFIXES))}); for a folder of that name, make it"
        )
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    for path, relative in found.values():
        if to_file:
            outputs = {output: labels[0]}
        else:
            suffix = relative.suffix if relative.suffix.lower() in SUFFIXES else ".png"
            # A colon, as in the labels of joint models, has no place in names of files on Windows.
            marks = {name: f".{name.replace(':', '-')}" if len(labels) > 1 else "" for name in labels}
            outputs = {output / relative.with_name(f"{relative.stem}{mark}{suffix}"): n for n, mark in marks.items()}
        for target in outputs:
            if target.resolve() in found:
                raise InputError(f"{target} would overwrite an input; give another --output")
            if target in taken:
                raise InputError(f"{taken[target]} and {path} would both become {target}; translate them separately")
            taken[target] = path
        jobs.append(Job(path, outputs))
    return jobs


def translate_files(engine: Engine, jobs: Sequence[Job], keep_size: bool) -> Iterator[tuple[Job, StarGANError | None]]:
    """Runs the jobs in order and yields each with its error, if any; a bad image does not stop the rest.

    Raises:
        InputError: a result can't be written.
    """
    if all(len(job.outputs) == 1 for job in jobs):
        labels = [next(iter(job.outputs.values())) for job in jobs]
        sources = (job.source for job in jobs)
        results = engine.map(sources, labels, keep_size=keep_size, return_exceptions=True)
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, StarGANError):
                yield job, result
            else:
                write_image(next(iter(job.outputs)), result)
                yield job, None
        return
    for job in jobs:
        try:
            pictures = engine.translate(job.source, list(job.outputs.values()), keep_size=keep_size)
        except StarGANError as error:
            yield job, error
        else:
            for target, picture in zip(job.outputs, pictures, strict=True):
                write_image(target, picture)
            yield job, None


def _images(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """The images that a path stands for, each with its path relative to it."""
    if source.is_file():
        return [(source, Path(source.name))]
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    results, root = output.resolve(), source.resolve()
    images = [p for p in image_files(source) if results == root or results not in p.resolve().parents]
    if not images:
        raise InputError(f"no images in {source} but those in --output")
    return [(path, path.relative_to(source)) for path in images]
