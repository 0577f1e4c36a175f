"""`DataSpec`: one line that describes a data set, in flags, files and checkpoints alike.

avatars?labels=Black_Hair,Blond_Hair,Beard&seed=0
celeba:~/data/celeba?labels=Black_Hair,Blond_Hair,Male&split=train
folder:~/data/rafd?name=RaFD&crop=0
table:faces.csv?labels=smiling,glasses
images:~/pictures
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from stargan_rt.errors import InputError
from stargan_rt.faces.alignment import checked_alignment

OPTIONS = {
    "avatars": {"name", "labels", "seed", "count", "style"},
    "celeba": {"name", "labels", "crop", "split"},
    "folder": {"name", "labels", "crop", "alignment"},
    "table": {"name", "labels", "crop", "path", "alignment"},
    "images": {"name", "crop"},
}
"""The options of each kind of data set."""


@dataclass(frozen=True)
class DataSpec:
    """A data set described by a line.

    Attributes:
        kind: ``avatars``, ``celeba``, ``folder``, ``table``, or ``images`` for a folder of images without labels.
        path: location of the data; None for avatars.
        options: the options after the ``?``, by name.
    """

    kind: str
    path: Path | None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """Parse a line.

        Raises:
            InputError: the kind or an option is unknown, or the path is missing.
        """
        head, _, query = text.partition("?")
        kind, _, path = head.partition(":")
        if kind not in OPTIONS:
            raise InputError(f"unknown data set {kind!r} in {text!r}; known: {', '.join(OPTIONS)}")
        if (kind == "avatars") == bool(path):
            problem = "avatars take no path" if path else f"the path is missing: {kind}:PATH"
            raise InputError(f"data set {text!r}: {problem}")
        options = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := set(options) - OPTIONS[kind]:
            known = ", ".join(sorted(OPTIONS[kind]))
            raise InputError(f"data set {text!r}: unknown option {', '.join(sorted(unknown))}; known: {known}")
        checked_alignment(options.get("alignment", "none"))
        return cls(kind, Path(path).expanduser() if path else None, options)

    def __str__(self) -> str:
        path = f":{self.path}" if self.path else ""
        query = "&".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.kind}{path}{'?' if query else ''}{query}"

    @property
    def name(self) -> str:
        """Name of the data set in a joint model."""
        return self.options.get("name", {"celeba": "CelebA"}.get(self.kind, self.kind))

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The chosen labels; None for all."""
        chosen = self.options.get("labels")
        return tuple(label.strip() for label in chosen.split(",")) if chosen else None

    @property
    def alignment(self) -> str:
        """How the data set shows faces, one of `stargan_rt.faces.ALIGNMENTS`."""
        if self.kind == "avatars":  # the other style has its eyes elsewhere
            return "avatars" if self.options.get("style", "avataaars") == "avataaars" else "none"
        if self.kind == "celeba":
            return "celeba" if self.options.get("crop", "178") == "178" else "none"
        return self.options.get("alignment", "none")

    def number(self, option: str, default: int) -> int:
        """Return an option that is a whole number, at least 0.

        Raises:
            InputError: it is not.
        """
        text = self.options.get(option, str(default))
        if not text.isdecimal():
            raise InputError(f"{option} of data set {self.kind} must be a whole number, at least 0; got {text!r}")
        return int(text)


def alignment_of(data: Iterable[str]) -> str:
    """Return how data sets show faces: what they agree on, or ``"none"``."""
    alignments = {DataSpec.parse(text).alignment for text in data}
    return alignments.pop() if len(alignments) == 1 else "none"
