"""`BuildConfig`: every choice of a build, shared by the command line, the API and the manifest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stargan_rt.backends import BACKENDS, PLANS
from stargan_rt.errors import InputError
from stargan_rt.settings import check, fields, flag_of, setting

BUDGET_DB: Mapping[str, float] = MappingProxyType({"fp32": 50.0, "fp16": 45.0, "bf16": 45.0, "int8": 35.0})
"""Precision → PSNR to the float32 master that a build must reach unless `min_psnr` says otherwise."""
TILINGS = ("none", "fast", "moderate", "full")
"""Levels of TensorRT's search for tilings."""
GROUPS = ("first", "down", "residual", "up", "last")
"""Layer groups of the generator, in order; int8 is decided for each as a whole."""


PRECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "fp32": "float32 throughout.",
        "fp16": "Half precision, with norms in float32; the default.",
        "bf16": "bfloat16, with norms in float32.",
        "int8": "8-bit convolutions; needs --calib.",
    }
)
"""Precision → what it computes."""


@dataclass(frozen=True)
class BuildConfig:
    """Settings of a build; the help texts are the documentation of the fields.

    Raises:
        InputError: a setting is out of its range, or two of them contradict each other.
    """

    backend: str = setting(
        "auto",
        "The runtime to build for; auto takes the best one that works on this machine.",
        choices=("auto", *BACKENDS),
    )
    precision: str = setting("fp16", "Arithmetic of the convolutions.", choices=PRECISIONS)
    groups: tuple[str, ...] | None = setting(
        None,
        f"Layer groups to compute in int8: {','.join(GROUPS[1:])}.",
        shown_default="search for the fastest within --min-psnr",
    )
    calib: str | None = setting(
        None,
        "Folder of images to calibrate int8 and to judge every precision with, or 'avatars' for the bundled ones.",
        metavar="DIR",
    )
    calib_count: int = setting(64, "Largest number of those images to use.", at_least=2)
    min_psnr: float | None = setting(
        None,
        "PSNR in dB to the float32 model below which the build fails.",
        shown_default="35 for int8, 45 for fp16 and bf16, 50 for fp32",
    )
    profiles: tuple[str, ...] = setting(
        (),
        "Batches of an optimisation profile of a plan, as N or as smallest:tuned:largest.",
        flag="profile",
        repeat=True,
        metavar="BATCHES",
        shown_default="1 and 1:MAX:MAX, with MAX from --max-batch",
    )
    max_batch: int = setting(8, "Largest batch of a plan without --profile.", at_least=1)
    targets: tuple[str, ...] = setting(
        (), "GPU architectures to build for, such as sm86,sm89.", flag="target", shown_default="the GPU of this machine"
    )
    workspace_mib: int | None = setting(None, "Scratch memory that a plan may use, in MiB.", at_least=1)
    timing_cache: str | None = setting(None, "File in which TensorRT keeps its measurements.", metavar="FILE")
    optimization_level: int | None = setting(None, "How long TensorRT searches, from 0 to 5.", at_least=0, at_most=5)
    dla_core: int | None = setting(
        None, "Jetson, experimental: run on this DLA core what it supports, and the rest on the GPU.", at_least=0
    )
    tiling: str | None = setting(
        None, "How long TensorRT searches for tilings of layers that share the cache.", choices=TILINGS
    )
    hardware_compatible: bool = setting(False, "The plan runs on newer GPUs too, more slowly.")
    same_compute_capability: bool = setting(False, "The plan runs on all GPUs of the same architecture.")
    version_compatible: bool = setting(False, "The plan runs with newer versions of TensorRT too.")

    def __post_init__(self) -> None:
        check(self)
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(sorted(set(self.groups), key=_position)))
            if self.precision != "int8":
                raise InputError(
                    f"layer groups are chosen for int8 only, not for {self.precision}; leave out --groups or add --int8"
                )
            if not self.groups:
                raise InputError(f"--groups names no layer group; known: {', '.join(GROUPS[1:])}")
            if "first" in self.groups:
                raise InputError(
                    "the first convolution stays in higher precision, since OpenVINO computes it wrongly in int8; "
                    "leave it out of --groups"
                )
        if self.precision == "int8" and self.calib is None:
            raise InputError("int8 needs images like those it will see: add --calib FOLDER (or --calib avatars)")
        _check_profiles(self.batch_profiles)
        if self.hardware_compatible and self.same_compute_capability:
            raise InputError("--hardware-compatible and --same-compute-capability exclude each other; give one of them")
        object.__setattr__(self, "targets", tuple(dict.fromkeys(target.lower() for target in self.targets)))
        for target in self.targets:
            if not re.fullmatch(r"sm\d{2,3}", target):
                raise InputError(f"--target takes GPU architectures such as sm86; got {target!r}")

    @property
    def budget_db(self) -> float:
        """The PSNR that must be reached."""
        return BUDGET_DB[self.precision] if self.min_psnr is None else self.min_psnr

    @property
    def batch_profiles(self) -> tuple[tuple[int, int, int], ...]:
        """The optimisation profiles of a plan as (smallest, tuned, largest) batch.

        Raises:
            InputError: a profile can't be read.
        """
        if self.profiles:
            return tuple(map(_profile, self.profiles))
        return ((1, 1, 1), (1, self.max_batch, self.max_batch))[: 1 if self.max_batch == 1 else 2]

    def check_backend(self, backend: str) -> None:
        """Refuse settings that `backend` does not have.

        Raises:
            InputError: naming them.
        """
        if backend in PLANS:
            return
        given = [
            flag_of(field)
            for field in fields(self)
            if field.name in PLAN_ONLY and getattr(self, field.name) != field.default
        ]
        if given:
            raise InputError(f"{', '.join(given)}: only plans have these; add --backend tensorrt or tensorrt-rtx")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


PLAN_ONLY = {
    *("profiles", "max_batch", "targets", "workspace_mib", "timing_cache", "optimization_level"),
    *("dla_core", "tiling", "same_compute_capability", "hardware_compatible", "version_compatible"),
}


def _profile(text: str) -> tuple[int, int, int]:
    parts = text.split(":")
    if len(parts) not in (1, 3) or not all(part.isdecimal() for part in parts):
        raise InputError(f"--profile takes a batch such as 1, or smallest:tuned:largest such as 1:8:32; got {text!r}")
    smallest, tuned, largest = (int(part) for part in (parts * 3 if len(parts) == 1 else parts))
    if not 1 <= smallest <= tuned <= largest:
        raise InputError(f"--profile must satisfy 1 <= smallest <= tuned <= largest; got {text!r}")
    return smallest, tuned, largest


def _check_profiles(profiles: Sequence[tuple[int, int, int]]) -> None:
    """Refuse profiles that leave out a batch between the smallest and the largest."""
    reached = 0
    for smallest, _, largest in sorted(profiles):
        if reached and smallest > reached + 1:
            raise InputError(
                f"no --profile takes a batch of {reached + 1}; profiles must follow each other without a gap"
            )
        reached = max(reached, largest)


def _position(group: str) -> int:
    if group not in GROUPS:
        raise InputError(f"unknown layer group {group!r}; known: {', '.join(GROUPS)}")
    return GROUPS.index(group)
