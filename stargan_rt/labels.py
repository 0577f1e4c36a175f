"""`LabelSpace`: which domains a model knows, and how a request becomes its label vector.

The vector is the one of the paper (section 3.2): one entry a label and, for a generator trained on
several data sets, a one-hot mask behind them that says whose labels are meant.
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
"""What a caller may say: ``"Blond_Hair, happy"``, ``{"Blond_Hair": 1, "Beard": 0}`` or the raw vector."""
Labels: TypeAlias = Sequence[Label] | npt.NDArray[np.float32]
"""Several: a sequence, or an array of vectors ``(n, c)``."""


def is_one_label(label: Label | Iterable[Label]) -> TypeGuard[Label]:
    """Whether a caller means one label; `LabelSpace` refuses what is none."""
    if isinstance(label, np.ndarray):
        return label.ndim < 2
    if isinstance(label, (str, Mapping, Set)) or not isinstance(label, Iterable):
        return True
    # A sequence of numbers is a raw vector; anything else is many labels.
    return isinstance(label, Sequence) and all(np.isscalar(v) and not isinstance(v, str) for v in label)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a model.

    Attributes:
        datasets: data set name → its labels, in the order of the vector.
        groups: group name → labels of which at most one is set, such as hair colours.
        unspecified: the value of a label that a request does not mention. 0 (absent) for generators
            trained as in the paper; 0.5 for those trained with partial targets, which have learned
            that 0.5 means "as it is in the image".
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
            # They stand in requests, and in names of files.
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
        """A space from data sets that know nothing of each other.

        Args:
            datasets: data set name → its labels.
            groups: data set name → group name → members, by their plain names.
            unspecified: see the attribute.
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
        """All labels in the order of the vector; ``dataset:label`` where two data sets share a name."""
        shared = Counter(name for labels in self.datasets.values() for name in set(labels))
        return tuple(
            name if shared[name] == 1 else f"{dataset}:{name}"
            for dataset, labels in self.datasets.items()
            for name in labels
        )

    @property
    def dim(self) -> int:
        """Length of the label vector: the labels, and the mask where there are several data sets."""
        return len(self.names) + (len(self.datasets) if len(self.datasets) > 1 else 0)

    @cached_property
    def _dataset_of(self) -> dict[str, str]:
        owners = [dataset for dataset, labels in self.datasets.items() for _ in labels]
        return dict(zip(self.names, owners, strict=True))

    @cached_property
    def _lookup(self) -> dict[str, str]:
        """Case-folded name, plain and qualified → name."""
        table: dict[str, str] = {}
        for name, dataset in self._dataset_of.items():
            table.setdefault(name.casefold(), name)
            table.setdefault(f"{dataset}:{name}".casefold(), name)
        return table

    def find(self, name: str) -> str:
        """The label that `name` stands for; case does not matter, and ``dataset:label`` is understood.

        Raises:
            LabelError: no such label; the message suggests the nearest ones.
        """
        if not isinstance(name, str):
            raise LabelError(f"a label's name is text; got {name!r}")
        if name.strip() in self.names:
            return name.strip()
        key = name.strip().casefold()
        if key in self._lookup:
            return self._lookup[key]
        qualified = [n for n in self.names if n.casefold().endswith(f":{key}")]
        if key and qualified:
            raise LabelError(f"label {name.strip()!r} exists in several data sets; say {' or '.join(qualified)}")
        near = difflib.get_close_matches(key, self._lookup, n=2, cutoff=0.6)
        hint = f"did you mean {' or '.join(dict.fromkeys(self._lookup[n] for n in near))}? " if near else ""
        raise LabelError(f"unknown label {name.strip()!r}; {hint}this model knows: {', '.join(self.names)}")

    def encode(self, label: Label) -> npt.NDArray[np.float32]:
        """The label vector, float32 ``(dim,)``, values in [0, 1].

        A name sets its label to 1 and the rest of its exclusive group to 0; what is not mentioned is
        `unspecified`. A raw vector, mask included, is taken as it is.

        Args:
            label: names separated by commas (``Name`` or ``Name=0.7``), a mapping of names to values,
                or a vector of `dim` values.

        Raises:
            LabelError: unknown name, two labels of an exclusive group, labels of two data sets at
                once, a value that is not a number in [0, 1], or a vector of another length.
        """
        vectors = self.passes(label)
        if len(vectors) > 1:
            raise LabelError(
                f"{label} names labels of several data sets, and a vector holds those of one; "
                "`passes` gives a vector for each"
            )
        return vectors[0]

    def passes(self, label: Label) -> list[npt.NDArray[np.float32]]:
        """The label vectors with which an image goes through the network, one after the other.

        That is one vector, but for a jointly trained model and labels of several of its data sets: then
        one a data set, in the order of first mention, since the mask admits one data set at a time.

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
                raise LabelError(f"{part!r}: {number!r} is not a number; say {name}=0.7") from None
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
                raise LabelError(f"{' and '.join(on)} exclude each other (group {group!r}); give one of them")
            if on:
                values = {m: 0.0 for m in members} | values
        vector = np.zeros(self.dim, np.float32)
        vector[: len(self.names)] = [values.get(name, self.unspecified) for name in self.names]
        if len(self.datasets) > 1:
            vector[len(self.names) + list(self.datasets).index(dataset)] = 1.0
        return vector

    def _check_vector(self, label: Sequence[float] | npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        try:
            given = np.array(label)  # a copy: the caller may go on changing theirs
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
        """A JSON-ready form; `from_dict` reads it."""
        return {
            "datasets": {name: list(labels) for name, labels in self.datasets.items()},
            "groups": {name: list(members) for name, members in self.groups.items()},
            "unspecified": self.unspecified,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSpace:
        """Reads what `to_dict` wrote.

        Raises:
            LabelError: the data does not describe a label space.
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
