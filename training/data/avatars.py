"""Avatars: a labelled data set of faces that is drawn instead of downloaded.

Each person is a set of choices made from a seed. A drawing shows a person with a label, so the same
person can also be drawn with another label: the ground truth of a translation.

Two DiceBear styles are supported. `avataaars` is by Pablo Stanley (free for personal and commercial
use); `toon-head` is by Johan Melin (CC BY 4.0). DiceBear's versions are remixes of both.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import resvg_py
from dicebear import Avatar
from dicebear import Style as Drawing
from rich.progress import track

from stargan_rt.errors import InputError
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole
from stargan_rt.labels import LabelSpace
from training.data.hair import HAIR

T = TypeVar("T")

HAIR_COLORS = dict(zip(HAIR[1:], ("2c1b18", "e0b85c", "724133", "e8e1e1"), strict=True))
"""Hex colour of each hair label; nobody is bald."""
PALE_SKIN = "ffe3d0"
SKINS = {"edb98a": "light", "d08b5b": "tan", "ae5d29": "brown", "614335": "dark"}
"""Name of each skin colour; people labelled Pale_Skin have `PALE_SKIN` instead."""
BACKGROUND = "b6e3f4"  # the same for everybody; no hair or skin colour is similar
CLOTHES = ("262e33", "65c9ff", "5199e4", "25557c", "929598", "a7ffc4", "ff5c5c", "ffffb1")


@dataclass(frozen=True)
class Style:
    """How a DiceBear style shows the labels.

    Attributes:
        crop: x, y and side of the square around the face, as fractions of the canvas.
        looks: variants of each component; a person has one of each, independent of the label.
        expressions: variant of each component for each expression.
        beard: component that draws the beard.
        has_glasses: whether the style can draw glasses.
    """

    crop: tuple[float, float, float]
    looks: Mapping[str, tuple[str, ...]]
    expressions: Mapping[str, Mapping[str, str]]
    beard: str
    has_glasses: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of label vectors."""
        glasses = ("Eyeglasses",) if self.has_glasses else ()
        return (*HAIR_COLORS, "Beard", *glasses, "Pale_Skin", *self.expressions)

    @property
    def label_space(self) -> LabelSpace:
        """The labels with their exclusive groups."""
        return LabelSpace({"avatars": self.labels}, {"hair": tuple(HAIR_COLORS), "expression": tuple(self.expressions)})


def _face(eyebrows: str, eyes: str, mouth: str) -> dict[str, str]:
    return {"eyebrowsVariant": eyebrows, "eyesVariant": eyes, "mouthVariant": mouth}


STYLES = {
    "avataaars": Style(
        crop=(24 / 176, 12 / 176, 128 / 176),
        looks={
            "topVariant": (
                *("bigHair", "bob", "bun", "curly", "curvy", "dreads", "dreads01", "fro", "longButNotTooLong"),
                *("miaWallace", "shaggy", "shaggyMullet", "shortCurly", "shortFlat", "shortRound", "shortWaved"),
                *("straight01", "straight02", "straightAndStrand", "theCaesar", "theCaesarAndSidePart"),
            ),
            "facialHairVariant": ("beardMedium",),  # only one, so that the label determines the drawing
            "accessoriesVariant": ("prescription01", "prescription02", "round"),
            "clothesVariant": ("blazerAndShirt", "collarAndSweater", "hoodie", "overall", "shirtCrewNeck"),
        },
        expressions={
            "angry": _face("angryNatural", "default", "screamOpen"),
            "contemptuous": _face("upDownNatural", "side", "twinkle"),
            "disgusted": _face("frownNatural", "squint", "vomit"),
            "fearful": _face("sadConcernedNatural", "surprised", "grimace"),
            "happy": _face("defaultNatural", "happy", "smile"),
            "neutral": _face("defaultNatural", "default", "serious"),
            "sad": _face("sadConcernedNatural", "cry", "sad"),
            "surprised": _face("raisedExcitedNatural", "surprised", "disbelief"),
        },
        beard="facialHair",
        has_glasses=True,
    ),
    "toon-head": Style(
        crop=(0.12, 0.06, 0.76),
        looks={
            "hairVariant": ("bun", "sideComed", "spiky", "undercut"),
            "rearHairVariant": ("longStraight", "longWavy", "neckHigh", "shoulderHigh"),
            "beardVariant": ("chinMoustache", "fullBeard", "longBeard"),
            "clothesVariant": ("dress", "openJacket", "shirt", "tShirt", "turtleNeck"),
        },
        expressions={
            "angry": _face("angry", "happy", "angry"),
            "contemptuous": _face("raised", "humble", "smile"),
            "disgusted": _face("angry", "humble", "sad"),
            "fearful": _face("sad", "wide", "angry"),
            "happy": _face("happy", "bow", "laugh"),
            "neutral": _face("neutral", "happy", "smile"),
            "sad": _face("sad", "humble", "sad"),
            "surprised": _face("raised", "wide", "agape"),
        },
        beard="beard",
        has_glasses=False,
    ),
}


@dataclass(frozen=True)
class Person:
    """A person: everything that does not depend on the label, and the label of the original drawing.

    Attributes:
        style: name of the DiceBear style.
        look: DiceBear options that are the same for every label, such as hair cut and clothes.
        skin: hex colour of the skin without Pale_Skin; a key of `SKINS`.
        label: float32 ``(len(labels),)`` of zeros and ones, in the order of the style's `labels`.
    """

    style: str
    look: Mapping[str, Any]
    skin: str
    label: np.ndarray

    @property
    def tone(self) -> str:
        """Name of the skin tone in the original drawing: ``"pale"`` or a value of `SKINS`."""
        pale = self.label[STYLES[self.style].labels.index("Pale_Skin")]
        return "pale" if pale else SKINS[self.skin]


def person(index: int, seed: int = 0, style: str = "avataaars") -> Person:
    """Return person number `index` of the population `seed`; it is the same on every machine.

    Hair colours and expressions are uniformly distributed; beard, glasses and pale skin have probability 1/2 each.

    Raises:
        InputError: an unknown style.
    """
    kind = _style(style)
    random = np.random.default_rng([seed, index])

    def pick(options: Sequence[T]) -> T:
        return options[int(random.integers(len(options)))]

    look: dict[str, Any] = {"seed": "", "clothesColor": [pick(CLOTHES)], "backgroundColor": [BACKGROUND]}
    look |= {component: pick(variants) for component, variants in kind.looks.items()}
    look["rearHairProbability"] = pick((0, 100))
    on = {pick(tuple(HAIR_COLORS)), pick(tuple(kind.expressions))}
    on |= {name for name in ("Beard", "Eyeglasses", "Pale_Skin") if random.random() < 0.5}
    label = np.array([name in on for name in kind.labels], np.float32)
    return Person(style, look, pick(tuple(SKINS)), label)


def draw(who: Person, label: np.ndarray | None = None, size: int = 128) -> np.ndarray:
    """Draw a person.

    Args:
        who: the person.
        label: label to show instead of the person's own: zeros and ones, in the order of the style's `labels`.
        size: side of the picture in pixels.

    Returns:
        uint8 ``(size, size, 3)`` RGB.
    """
    kind = STYLES[who.style]
    shown = dict(zip(kind.labels, who.label if label is None else label, strict=True))
    hair = [next(colour for name, colour in HAIR_COLORS.items() if shown[name])]
    options = {
        **_allowed(who.style, who.look),
        **next(face for name, face in kind.expressions.items() if shown[name]),
        "hairColor": hair,
        "skinColor": [PALE_SKIN if shown["Pale_Skin"] else who.skin],
        f"{kind.beard}Probability": 100 * int(shown["Beard"]),
        **({"facialHairColor": hair} if kind.beard == "facialHair" else {}),
    }
    if kind.has_glasses:
        options |= {"accessoriesProbability": 100 * int(shown["Eyeglasses"]), "accessoriesColor": ["262e33"]}
    x, y, side = kind.crop
    canvas = round(size / side)
    png = resvg_py.svg_to_bytes(
        svg_string=Avatar(_drawing(who.style), options).to_string(),
        width=canvas,
        height=canvas,
        skip_system_fonts=True,
    )
    canvas_pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert canvas_pixels is not None  # the renderer writes valid PNG
    pixels = cv2.cvtColor(canvas_pixels, cv2.COLOR_BGR2RGB)
    left, top = round(x * canvas), round(y * canvas)
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def truth(count: int, seed: int, style: str, size: int, name: str, values: np.ndarray) -> np.ndarray:
    """Draw the ground truth of translations: the people of `avatars` with one label changed.

    Args:
        count, seed, style, size: as for `avatars`.
        name: the label that is changed.
        values: whether it is set, for each person, ``(count,)``.

    Returns:
        uint8 ``(count, size, size, 3)`` RGB.
    """
    kind = _style(style)
    space, index = kind.label_space, kind.labels.index(name)
    together = next((members for members in space.groups.values() if name in members), (name,))
    pictures = []
    for who, value in zip((person(i, seed, style) for i in range(count)), values, strict=True):
        label = who.label.copy()
        label[[kind.labels.index(member) for member in together]] = 0
        label[index] = value
        pictures.append(draw(who, label, size))
    return np.stack(pictures)


def _style(name: str) -> Style:
    if name not in STYLES:
        raise InputError(f"unknown avatar style {name!r}; known: {', '.join(STYLES)}")
    return STYLES[name]


@cache
def _drawing(style: str) -> Drawing:
    return Drawing(json.loads(files("dicebear_styles").joinpath(f"{style}.json").read_text("utf-8")))


def _allowed(style: str, look: Mapping[str, Any]) -> dict[str, Any]:
    # DiceBear rejects options of a component that the style does not have.
    return {k: v for k, v in look.items() if k != "rearHairProbability" or style == "toon-head"}


def _draw_range(indices: range, seed: int, style: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    people = [person(i, seed, style) for i in indices]
    return np.stack([draw(p, size=size) for p in people]), np.stack([p.label for p in people])


def avatars(
    count: int, size: int = 128, seed: int = 0, style: str = "avataaars", workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the first `count` people of a population in parallel, or load them from the cache.

    Args:
        count: number of images.
        size: side in pixels.
        seed: the population; populations of different seeds have no person in common.
        style: ``"avataaars"`` or ``"toon-head"``.
        workers: number of drawing processes; by default one for each core.

    Returns:
        Images, uint8 ``(count, size, size, 3)`` RGB, memory-mapped; labels, float32 ``(count, c)``.

    Raises:
        InputError: a count or size below 1, an unknown style, or a cache that can't be written.
    """
    _style(style)
    if count < 1 or size < 8:
        raise InputError(f"avatars need a count of at least 1 and an image size of at least 8; got {count} and {size}")
    folder = cache_folder() / "avatars" / f"{style}-{size}-{seed}-{count}-{_drawing_key(style)}"
    images_path, labels_path = folder / "images.npy", folder / "labels.npy"
    if not labels_path.exists():
        with written_whole(images_path, CACHE_HINT) as temporary:
            labels = _draw_into(temporary, count, size, seed, style, workers)
        with written_whole(
            labels_path, CACHE_HINT
        ) as temporary:  # written last: its presence means that both are complete
            np.save(temporary, labels)
    return np.load(images_path, mmap_mode="r"), np.load(labels_path)


def _draw_into(path: Path, count: int, size: int, seed: int, style: str, workers: int | None) -> np.ndarray:
    """Draw people into an array file and return their labels."""
    chunks = [range(start, min(start + 64, count)) for start in range(0, count, 64)]
    task = partial(_draw_range, seed=seed, style=style, size=size)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, 3))
    labels = np.zeros((count, len(STYLES[style].labels)), np.float32)
    workers = min(workers or os.cpu_count() or 1, len(chunks), 61)  # Windows can't wait for more processes
    # Spawn and do not fork: the parent process may already run PyTorch's threads.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        drawn = zip(chunks, pool.map(task, chunks), strict=True)
        for indices, (pictures, truth) in track(drawn, "Drawing avatars", total=len(chunks)):
            images[indices.start : indices.stop], labels[indices.start : indices.stop] = pictures, truth
    images.flush()
    return labels


def _drawing_key(style: str) -> str:
    """Return a key that changes with everything the drawings depend on: this file and the packages that draw."""
    packages = ("dicebear-core", "dicebear-styles", "resvg-py")
    versions = [importlib.metadata.version(package) for package in packages]
    source = Path(__file__).read_bytes() + json.dumps([style, *versions]).encode()
    return hashlib.sha256(source).hexdigest()[:12]
