"""Data sets that are files: list the images and labels, then decode, crop and resize them into a cache."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import track

from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from stargan_rt.images import SUFFIXES, Pixels, read_image, resize
from training.data.hair import hair_group
from training.data.spec import DataSpec

log = logging.getLogger(__name__)

SPLITS = {"train": "0", "val": "1", "test": "2"}
"""Number of each split in CelebA's partition file."""


@dataclass(frozen=True)
class Listing:
    """A data set before its images are read.

    Attributes:
        paths: the n image files.
        labels: float32 ``(n, c)`` of zeros and ones.
        names, groups, one_of_k: as in `Dataset`.
    """

    paths: list[Path]
    labels: np.ndarray
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    one_of_k: bool = False


def list_celeba(spec: DataSpec) -> Listing:
    """List CelebA as published: ``img_align_celeba/``, ``list_attr_celeba.txt`` and, for splits, the partition file.

    Raises:
        InputError: a file is missing or damaged, or an attribute does not exist.
    """
    root = _existing(spec)
    lines = _read_lines(root / "list_attr_celeba.txt")
    if len(lines) < 3:
        raise InputError(f"{root / 'list_attr_celeba.txt'} has {len(lines)} lines; expected a count, names and images")
    columns = lines[1].split()
    names = _chosen(spec, tuple(columns))
    rows = [line.split() for line in lines[2:] if line.strip()]
    if bad := next((row for row in rows if len(row) != len(columns) + 1), None):
        raise InputError(f"list_attr_celeba.txt: the line of {bad[0]} has {len(bad) - 1} values, not {len(columns)}")
    split = spec.options.get("split", "train" if (root / "list_eval_partition.txt").is_file() else "all")
    if split != "all":
        if split not in SPLITS:
            raise InputError(f"split of celeba must be train, val, test or all; got {split!r}")
        part = dict(line.split() for line in _read_lines(root / "list_eval_partition.txt") if line.strip())
        rows = [row for row in rows if part.get(row[0]) == SPLITS[split]]
    index = [columns.index(name) + 1 for name in names]
    labels = np.array([[row[i] == "1" for i in index] for row in rows], np.float32).reshape(len(rows), len(names))
    return Listing([root / "img_align_celeba" / row[0] for row in rows], labels, names, hair_group(names))


def list_folder(spec: DataSpec) -> Listing:
    """List a folder with one subfolder for each domain; images may lie deeper.

    Raises:
        InputError: there are fewer than two domains, or a domain has no images.
    """
    root = _existing(spec)
    domains = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(domains) < 2:
        raise InputError(f"{root} has {len(domains)} subfolders; expected one for each domain, at least two")
    names = _chosen(spec, domains)
    paths, rows = [], []
    for index, name in enumerate(names):
        images = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not images:
            raise InputError(f"no images in {root / name}; looked for {', '.join(sorted(SUFFIXES))}")
        paths += images
        rows += [index] * len(images)
    return Listing(paths, np.eye(len(names), dtype=np.float32)[rows], names, {spec.name: names}, one_of_k=True)


def list_table(spec: DataSpec) -> Listing:
    """List a CSV or Parquet file with a column of paths, relative to the file, and a column of 0 and 1 for each label.

    Raises:
        InputError: a column does not exist, or a value is neither 0 nor 1.
        MissingDependencyError: pyarrow is needed to read Parquet and not installed.
    """
    file = _existing(spec)
    columns = _read_parquet(file) if file.suffix == ".parquet" else _read_csv(file)
    column = spec.options.get("path", "path")
    if column not in columns:
        raise InputError(f"{file} has no column {column!r} of paths; it has {', '.join(columns)}: name one with path=…")
    names = _chosen(spec, tuple(name for name in columns if name != column))
    labels = np.zeros((len(columns[column]), len(names)), np.float32)
    for index, name in enumerate(names):
        for row, value in enumerate(columns[name]):
            if (text := str(value).strip().casefold()) not in _TRUE | _FALSE:
                raise InputError(f"{file}, row {row + 1}: {name} is {value!r}; expected 0 or 1")
            labels[row, index] = text in _TRUE
    one_of_k = len(names) > 1 and bool((labels.sum(axis=1) == 1).all())
    paths = [file.parent / str(path) for path in columns[column]]
    return Listing(paths, labels, names, {spec.name: names} if one_of_k else {}, one_of_k)


def list_images(spec: DataSpec) -> Listing:
    """List the images anywhere in a folder; they have no labels.

    Raises:
        InputError: the folder has no images.
    """
    root = _existing(spec)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"no images in {root}; looked for {', '.join(sorted(SUFFIXES))}")
    return Listing(paths, np.zeros((len(paths), 0), np.float32), ())


_TRUE, _FALSE = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "-1", "false"})

LISTINGS = {"celeba": list_celeba, "folder": list_folder, "table": list_table}


def decode(listing: Listing, size: int, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images of a listing, cropped and resized as in the paper, and return them with their labels.

    They are decoded in parallel into a cache file, whose key depends on the size and time of each image file.
    Images that can't be read are logged, counted and left out.

    Args:
        listing: the paths and labels.
        size: side of the results in pixels.
        crop: side of the square cut from the centre before resizing; 0 for the largest that fits.

    Returns:
        Images, uint8 ``(n, size, size, 3)`` RGB, memory-mapped; labels, float32 ``(n, c)``.

    Raises:
        InputError: no image can be read, or the cache can't be written.
    """
    if not listing.paths:
        raise InputError("the data set lists no images")
    key = hashlib.sha256(json.dumps([size, crop, *_fingerprints(listing.paths)]).encode()).hexdigest()[:16]
    cached = cache_folder() / "images" / f"{key}.u8"
    index = cached.with_suffix(".json")
    if not index.exists():
        kept, bad = [], []
        # In chunks, since a pool that runs ahead would hold the whole data set in memory.
        with written_whole(cached, CACHE_HINT) as temporary, temporary.open("wb") as file, ThreadPoolExecutor() as pool:
            jobs = list(enumerate(listing.paths))
            for start in track(range(0, len(jobs), 256), "Decoding images"):
                part = jobs[start : start + 256]
                for (row, path), result in zip(part, pool.map(lambda j: _fit(j[1], size, crop), part), strict=True):
                    if isinstance(result, InputError):
                        bad.append(str(path))
                        log.warning("left out %s: %s", path, result)
                    else:
                        kept.append(row)
                        file.write(result.tobytes())
            file.flush()
        with written_whole(index, CACHE_HINT) as temporary:  # written last: its presence means that both are complete
            temporary.write_text(json.dumps({"kept": kept, "bad": bad}))
    entry = json.loads(index.read_text())
    if not entry["kept"]:
        raise InputError(f"none of {len(listing.paths)} images can be read, such as {listing.paths[0]}")
    if entry["bad"]:
        log.warning("%d of %d images can't be read and are left out", len(entry["bad"]), len(listing.paths))
    shape = (len(entry["kept"]), size, size, 3)
    return np.memmap(cached, np.uint8, "r", shape=shape), listing.labels[entry["kept"]]


def _fit(path: Path, size: int, crop: int) -> Pixels | InputError:
    try:
        pixels = read_image(path)
    except InputError as error:
        return error
    height, width = pixels.shape[:2]
    side = min(crop or height, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(pixels[top : top + side, left : left + side], (size, size))


def _fingerprints(paths: list[Path]) -> Iterator[tuple[str, int, int]]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            yield str(path), 0, 0
        else:
            yield str(path), status.st_size, status.st_mtime_ns


def _existing(spec: DataSpec) -> Path:
    path = spec.path
    if path is None or not path.exists():
        raise InputError(f"no data set at {path}; give its path as {spec.kind}:PATH")
    return path.resolve()


def _chosen(spec: DataSpec, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = spec.labels or known
    if missing := [name for name in chosen if name not in known]:
        raise InputError(f"{spec.name} has no label {', '.join(missing)}; it has: {', '.join(known)}")
    if not chosen:
        raise InputError(f"{spec.name} has no labels; expected at least one column besides the paths")
    return chosen


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't read {path}: {error}; expected the file as CelebA publishes it") from None


def _read_csv(path: Path) -> dict[str, list[str]]:
    lines = _read_lines(path)
    rows = list(csv.DictReader(lines))
    if not rows:
        raise InputError(f"{path} has no rows; expected a line of column names, then a line for each image")
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path} has rows of different lengths; expected the same columns in every row")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _read_parquet(path: Path) -> dict[str, list[object]]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        columns: dict[str, list[object]] = pyarrow.parquet.read_table(path).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"can't read {path} as Parquet: {error}") from None
    return columns
