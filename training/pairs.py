"""A teacher's translations of many images: computed once, kept in the cache, and drawn as batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from stargan_rt.errors import InputError
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from stargan_rt.labels import LabelSpace
from training.data.dataset import to_network
from training.targets import draw_requests

CHUNK = 64
"""Translations between two points at which an interrupted computation resumes."""

Translate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Images uint8 ``(n, h, w, 3)`` and label vectors ``(n, dim)`` → translations uint8 ``(n, h, w, 3)``."""


@dataclass(frozen=True)
class Pairs:
    """Images with label vectors and what the teacher makes of them.

    Attributes:
        images: the arrays that the images come from, each uint8 ``(n, h, w, 3)``.
        source: for each pair the array and the row of its image, int ``(count, 2)``.
        mirrored: for each pair whether the image was mirrored first. The translation is not mirrored afterwards: some
            labels are not symmetrical, such as a raised brow.
        labels: float32 ``(count, dim)``.
        translations: uint8 ``(count, h, w, 3)``, memory-mapped.
    """

    images: Sequence[np.ndarray]
    source: np.ndarray
    mirrored: np.ndarray
    labels: np.ndarray
    translations: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, size: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw pairs: images and translations, float ``(size, 3, h, w)`` in [-1, 1], and labels ``(size, dim)``."""
        index = torch.randint(len(self), (size,), generator=random).numpy()
        images, labels = self.inputs(index)
        return to_network(images), torch.from_numpy(labels), to_network(self.translations[index])

    def inputs(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and label vectors of some pairs."""
        images = np.stack([self.images[array][row] for array, row in self.source[index]])
        mirrored = self.mirrored[index]
        images[mirrored] = images[mirrored][:, :, ::-1]
        return images, self.labels[index]


def cached_pairs(
    translate: Translate,
    teacher: str,
    images: Sequence[np.ndarray],
    space: LabelSpace,
    count: int,
    seed: int = 0,
) -> Pairs:
    """Draw images and labels at random and translate them, unless the cache has the translations already.

    An interrupted computation resumes where it stopped.

    Args:
        translate: the teacher.
        teacher: identifies the teacher in the cache, such as the SHA-256 of its file.
        images: the data sets' images, uint8 ``(n, h, w, 3)`` of one size.
        space: the teacher's labels.
        count: number of pairs.
        seed: of the draws.

    Raises:
        InputError: the cache can't be written.
    """
    random = np.random.default_rng([seed, count])
    array = random.integers(len(images), size=count)
    source = np.stack([array, random.integers(np.array([len(part) for part in images])[array])], axis=1)
    mirrored = random.random(count) < 0.5
    labels = draw_requests(space, count, torch.Generator().manual_seed(seed)).numpy()
    shape = (count, *images[0].shape[1:])
    path = cache_folder() / "pairs" / f"{_key(teacher, images, source, mirrored, labels)}.u8"
    if not path.exists():
        with written_whole(path.with_suffix(".json"), CACHE_HINT) as temporary:  # makes the folder
            temporary.write_text(json.dumps({"teacher": teacher, "shape": shape}))
        partial = path.with_suffix(".partial")
        try:
            _translate_into(partial, translate, Pairs(images, source, mirrored, labels, np.empty(0)))
            partial.replace(path)
        except OSError as error:
            raise InputError(f"can't write {partial}: {error.strerror or error}; {CACHE_HINT}") from None
    return Pairs(images, source, mirrored, labels, np.memmap(path, np.uint8, "r", shape=shape))


def _translate_into(path: Path, translate: Translate, pairs: Pairs) -> None:
    """Append the translations to a file, after those that it holds already."""
    bytes_each = int(np.prod(pairs.images[0].shape[1:]))
    with path.open("ab") as file:
        done = file.tell() // bytes_each // CHUNK * CHUNK
        file.truncate(done * bytes_each)
        starts = range(done, len(pairs), CHUNK)
        for start in track(starts, "Translating with the teacher", total=len(starts)):
            images, labels = pairs.inputs(np.arange(start, min(start + CHUNK, len(pairs))))
            file.write(np.ascontiguousarray(translate(images, labels)).tobytes())
            file.flush()


def _key(teacher: str, images: Sequence[np.ndarray], *draws: np.ndarray) -> str:
    digest = hashlib.sha256(teacher.encode())
    for part in images:
        # A sample of the pixels identifies them all: two data sets that differ, differ everywhere.
        digest.update(f"{part.shape}".encode() + part[:: max(1, len(part) // 16)].tobytes())
    for draw in draws:
        digest.update(draw.tobytes())
    return digest.hexdigest()[:16]
