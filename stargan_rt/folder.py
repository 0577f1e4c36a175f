"""Files and folders of images, translated to files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stargan_rt.engine import Engine
from stargan_rt.errors import InputError, StarGANError
from stargan_rt.images import SUFFIXES, write_image


@dataclass(frozen=True)
class Job:
    """One file to read and the files to write: output path → label."""

    source: Path
    outputs: dict[Path, str]


def plan(sources: Sequence[Path], labels: Sequence[str], output: Path) -> list[Job]:
    """Which files are written for which; nothing is touched yet.

    A folder stands for the images below it, whose relative paths are kept under `output`. One file
    with one label may be given an output file; everything else goes into a folder, as ``NAME.png``
    for one label and ``NAME.LABEL.png`` for several.

    Raises:
        InputError: a source that is not there or holds no image, an output that is a source, or two
            sources for one output.
    """
    found = [pair for source in sources for pair in _images(source)]
    to_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if to_file and (len(found) > 1 or len(labels) > 1 or sources[0].is_dir()):
        raise InputError(f"--output {output} is a file, but several results are to be written; give a folder")
    jobs, sources_of = [], {path.resolve(): path for path, _ in found}
    taken: dict[Path, Path] = {}
    for path, relative in found:
        if to_file:
            outputs = {output: labels[0]}
        elif len(labels) == 1:
            outputs = {output / relative: labels[0]}
        else:
            outputs = {output / relative.with_name(f"{relative.stem}.{n}{relative.suffix}"): n for n in labels}
        for target in outputs:
            if target.resolve() in sources_of:
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
    work = [(job, target, label) for job in jobs for target, label in job.outputs.items()]
    results = engine.map(
        (job.source for job, _, _ in work), [label for *_, label in work], keep_size=keep_size, return_exceptions=True
    )
    failure: StarGANError | None = None
    for (job, target, _), result in zip(work, results, strict=True):
        if isinstance(result, StarGANError):
            failure = result
        else:
            write_image(target, result)
        if target == list(job.outputs)[-1]:
            yield job, failure
            failure = None


def _images(source: Path) -> list[tuple[Path, Path]]:
    """The images that a path stands for, each with its path relative to it."""
    if source.is_file():
        return [(source, Path(source.name))]
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    images = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not images:
        raise InputError(f"no images in {source}; looked for {', '.join(sorted(SUFFIXES))}")
    return [(image, image.relative_to(source)) for image in images]
