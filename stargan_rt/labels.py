"""`LabelSpace`: the domains of a model, and the encoding of requests as label vectors.

A label vector is that of the paper (section 3.2): one value per label and, for a generator trained on several data
sets, a one-hot mask vector that selects the data set.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from stargan_rt.errors import LabelError

Label: TypeAlias = str | Mapping[str, float] | Sequence[float] | npt.NDArray[Any]
"""One request: ``"Blond_Hair, happy"``, ``{"Blond_Hair": 1, "Beard": 0}`` or a raw label vector."""
Labels: TypeAlias = Sequence[Label] | npt.NDArray[np.float32]
"""Several requests: a sequence of them, or an array of label vectors ``(n, c)``."""


def is_one_label(label: Label | Iterable[Label]) -> TypeGuard[Label]:
    """Return whether the argument is one request rather than several; `LabelSpace` checks whether it is valid."""
    if isinstance(label, np.ndarray):
        return label.ndim < 2
    if isinstance(label, (str, Mapping, Set)) or not isinstance(label, Iterable):
        return True
    # A sequence of numbers is a raw vector; any other sequence holds several requests.
    return isinstance(label, Sequence) and all(np.isscalar(v) and not isinstance(v, str) for v in label)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a model.

    Attributes:
        datasets: Data set name → its labels, in the order of the label vector.
        groups: Group name → labels that exclude each other, such as hair colours.
        unspecified: The value of a label that a request does not mention: 0 (absent) for generators trained as in
            the paper; 0.5 for generators trained with partial targets, which keep such a label as it is in the image.

    Example:
        >>> space = LabelSpace({"faces": ("Blond_Hair", "Black_Hair", "happy")}, {"hair": ("Blond_Hair", "Black_Hair")})
        >>> space.encode("Blond_Hair, happy=0.5").tolist()
        [1.0, 0.0, 0.5]
    """

    datasets: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unspecified: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "datasets", {k: tuple(v) for k, v in self.datasets.items()})
        object.__setattr__(self, "groups", {k: tuple(v) for k, v in self.groups.items()})
        if not self.names:
            raise LabelError("a label space needs at least one label, such as datasets={'faces': ('happy',)}")
        for name in (*self.datasets, *(label for labels in self.datasets.values() for label in labels)):
            # Names are used in requests and in file names.
            if not name.strip() or set(name) & set(",=:/\\") or not name.isprintable():
                raise LabelError(f"a name must be printable text without , = : / and \\; got {name!r}")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise LabelError(f"labels named twice in one data set: {', '.join(twice)}")
        for group, members in self.groups.items():
            strangers = [m for m in members if m not in self.names]
            if strangers:
                raise LabelError(f"group {group!r} names labels that do not exist: {', '.join(strangers)}")
            if len({self._dataset_of[m] for m in members}) > 1:
                raise LabelError(f"group {group!r} spans several data sets; a group belongs to one")
        if not 0.0 <= self.unspecified <= 1.0:
            raise LabelError(f"unspecified must lie in [0, 1]; got {self.unspecified}")

    @classmethod
    def joint(
        cls,
        datasets: Mapping[str, Sequence[str]],
        groups: Mapping[str, Mapping[str, Sequence[str]]],
        unspecified: float = 0.0,
    ) -> LabelSpace:
        """Join the label spaces of several data sets; labels and groups of the same name are kept apart.

        Args:
            datasets: Data set name → its labels.
            groups: Data set name → group name → members, by their names within the data set.
            unspecified: See the attribute.
        """
        space = cls({name: tuple(labels) for name, labels in datasets.items()})
        names = iter(space.names)
        merged: dict[str, tuple[str, ...]] = {}
        for dataset, labels in space.datasets.items():
            full = {label: next(names) for label in labels}
            for group, members in groups.get(dataset, {}).items():
                key = group if group not in merged else f"{dataset} {group}"
                merged[key] = tuple(full[member] for member in members)
        return cls(space.datasets, merged, unspecified)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All labels in the order of the label vector; ``dataset:label`` where two data sets share a name."""
        shared = Counter(name for labels in self.datasets.values() for name in set(labels))
        return tuple(
            name if shared[name] == 1 else f"{dataset}:{name}"
            for dataset, labels in self.datasets.items()
            for name in labels
        )

    @property
    def dim(self) -> int:
        """Length of the label vector: one value per label, and with several data sets one per data set."""
        return len(self.names) + (len(self.datasets) if len(self.datasets) > 1 else 0)

    @cached_property
    def _dataset_of(self) -> dict[str, str]:
        owners = [dataset for dataset, labels in self.datasets.items() for _ in labels]
        return dict(zip(self.names, owners, strict=True))

    @cached_property
    def _lookup(self) -> dict[str, str]:
        """Case-folded name, with and without its data set → name."""
        table: dict[str, str] = {}
        for name, dataset in self._dataset_of.items():
            table.setdefault(name.casefold(), name)
            table.setdefault(f"{dataset}:{name}".casefold(), name)
        return table

    def find(self, name: str) -> str:
        """Return the label that a name refers to, regardless of case; ``dataset:label`` is accepted too.

        Raises:
            LabelError: The model has no such label; the message suggests similar names.
        """
        if not isinstance(name, str):
            raise LabelError(f"a label name is a string; got {name!r}")
        if name.strip() in self.names:
            return name.strip()
        key = name.strip().casefold()
        if key in self._lookup:
            return self._lookup[key]
        qualified = [n for n in self.names if n.casefold().endswith(f":{key}")]
        if key and qualified:
            raise LabelError(f"label {name.strip()!r} exists in several data sets; use {' or '.join(qualified)}")
        near = difflib.get_close_matches(key, self._lookup, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(dict.fromkeys(self._lookup[n] for n in near))}? " if near else ""
        raise LabelError(f"unknown label {name.strip()!r}; {hint}this model knows: {', '.join(self.names)}")

    def encode(self, label: Label) -> npt.NDArray[np.float32]:
        """Return the label vector of a request: float32 ``(dim,)``, values in [0, 1].

        Naming a label sets it to 1 and the other labels of its exclusive group to 0. Labels that are not mentioned
        are set to `unspecified`. A raw vector, including its mask, is used as it is.

        Args:
            label: Names separated by commas (``Name`` or ``Name=0.7``), a mapping of names to values, or a vector
                of `dim` values.

        Raises:
            LabelError: Unknown name, two labels of an exclusive group, labels of two data sets at once, a value
                that is not a number in [0, 1], or a vector of another length.
        """
        vectors = self.passes(label)
        if len(vectors) > 1:
            raise LabelError(
                f"{label} names labels of several data sets, and one label vector holds the labels of one data set; "
                "use `passes`, which returns one vector per data set"
            )
        return vectors[0]

    def passes(self, label: Label) -> list[npt.NDArray[np.float32]]:
        """Return the label vectors to apply to an image, one after the other.

        This is one vector, unless a request to a jointly trained model names labels of several data sets. The mask
        selects one data set at a time, so each of these data sets then has its own vector, in the order in which
        they are first mentioned.

        Arguments and errors are those of `encode`.
        """
        if isinstance(label, str):
            values = self._values(self._parse(label))
        elif isinstance(label, Mapping):
            values = self._values(label.items())
        else:
            return [self._check_vector(label)]
        datasets = dict.fromkeys(self._dataset_of[name] for name in values)
        return [self._vector({n: v for n, v in values.items() if self._dataset_of[n] == d}, d) for d in datasets]

    def _parse(self, text: str) -> list[tuple[str, float]]:
        values = []
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, equals, number = part.partition("=")
            try:
                values.append((name, float(number) if equals else 1.0))
            except ValueError:
                raise LabelError(f"{part!r}: {number!r} is not a number; write {name}=0.7") from None
        return values

    def _values(self, request: Iterable[tuple[str, float]]) -> dict[str, float]:
        values: dict[str, float] = {}
        for said, value in request:
            name = self.find(said)
            if name in values:
                raise LabelError(f"label {name} is given twice")
            values[name] = _unit_value(name, value)
        if not values:
            raise LabelError(f"no label given; this model knows: {', '.join(self.names)}")
        return values

    def _vector(self, values: dict[str, float], dataset: str) -> npt.NDArray[np.float32]:
        for group, members in self.groups.items():
            on = [m for m in members if values.get(m, 0.0) > 0.0]
            if len(on) > 1:
                raise LabelError(f"{' and '.join(on)} exclude each other (group {group!r}); name one of them")
            if on:
                values = {m: 0.0 for m in members} | values
        vector = np.zeros(self.dim, np.float32)
        vector[: len(self.names)] = [values.get(name, self.unspecified) for name in self.names]
        if len(self.datasets) > 1:
            vector[len(self.names) + list(self.datasets).index(dataset)] = 1.0
        return vector

    def _check_vector(self, label: Sequence[float] | npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        try:
            given = np.array(label)  # a copy, so that later changes by the caller have no effect
            vector = given.astype(np.float32) if given.dtype.kind in "bifu" else None
        except (TypeError, ValueError, OverflowError):
            vector = None
        if vector is None or not isinstance(label, (Sequence, np.ndarray)):
            raise LabelError(
                f"a label is a name, a mapping or a vector of {self.dim} numbers; got {type(label).__name__}"
            )
        if vector.shape != (self.dim,):
            mask = f" and the mask of {len(self.datasets)} data sets" if len(self.datasets) > 1 else ""
            raise LabelError(
                f"a label vector of this model has {self.dim} values ({', '.join(self.names)}{mask}); "
                f"got shape {vector.shape}"
            )
        if not np.all((vector >= 0.0) & (vector <= 1.0)):  # false for NaN too
            raise LabelError(f"label values must be numbers in [0, 1]; got {vector.tolist()}")
        return vector

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict, which `from_dict` reads."""
        return {
            "datasets": {name: list(labels) for name, labels in self.datasets.items()},
            "groups": {name: list(members) for name, members in self.groups.items()},
            "unspecified": self.unspecified,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSpace:
        """Create a label space from the result of `to_dict`.

        Raises:
            LabelError: The data does not describe a label space.
        """
        try:
            return cls(data["datasets"], data.get("groups", {}), float(data.get("unspecified", 0.0)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, LabelError):
                raise
            raise LabelError(f"not a label space: {error!r}") from error


def _unit_value(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise LabelError(f"the value of {name!r} must be a number in [0, 1]; got {value!r}") from None
    if not 0.0 <= number <= 1.0:  # false for NaN too
        raise LabelError(f"the value of {name!r} must lie in [0, 1]; got {number}")
    return number
