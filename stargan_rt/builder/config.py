"""`BuildConfig`: every choice of a build, shared by the command line, the API and the manifest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stargan_rt.backends import BACKENDS, PLANS
from stargan_rt.errors import InputError
from stargan_rt.settings import check, fields, flag_of, setting

BUDGET_DB: Mapping[str, float] = MappingProxyType({"fp32": 50.0, "fp16": 45.0, "bf16": 45.0, "int8": 35.0})
"""Precision → PSNR to the float32 master that a build must reach unless `min_psnr` says otherwise."""
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
    min_batch: int = setting(1, "Smallest batch of a plan's profile.", at_least=1)
    opt_batch: int = setting(1, "Batch that a plan is tuned for.", at_least=1)
    max_batch: int = setting(8, "Largest batch of a plan's profile.", at_least=1)
    targets: tuple[str, ...] = setting(
        (), "GPU architectures to build for, such as sm86,sm89.", flag="target", shown_default="the GPU of this machine"
    )
    workspace_mib: int | None = setting(None, "Scratch memory that a plan may use, in MiB.", at_least=1)
    timing_cache: str | None = setting(None, "File in which TensorRT keeps its measurements.", metavar="FILE")
    optimization_level: int | None = setting(None, "How long TensorRT searches, from 0 to 5.", at_least=0, at_most=5)
    dla_core: int | None = setting(
        None, "Jetson: run on this DLA core what it supports, and the rest on the GPU.", at_least=0
    )
    hardware_compatible: bool = setting(False, "The plan runs on newer GPUs too, more slowly.")
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
        if not self.min_batch <= self.opt_batch <= self.max_batch:
            raise InputError(
                "batches must satisfy --min-batch <= --opt-batch <= --max-batch; "
                f"got {self.min_batch}, {self.opt_batch}, {self.max_batch}"
            )
        object.__setattr__(self, "targets", tuple(dict.fromkeys(target.lower() for target in self.targets)))
        for target in self.targets:
            if not re.fullmatch(r"sm\d{2,3}", target):
                raise InputError(f"--target takes GPU architectures such as sm86; got {target!r}")

    @property
    def budget_db(self) -> float:
        """The PSNR that must be reached."""
        return BUDGET_DB[self.precision] if self.min_psnr is None else self.min_psnr

    def check_backend(self, backend: str) -> None:
        """Refuses settings that `backend` does not have.

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
        """JSON-ready."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


PLAN_ONLY = {
    *("min_batch", "opt_batch", "max_batch", "targets", "workspace_mib", "timing_cache", "optimization_level"),
    *("dla_core", "hardware_compatible", "version_compatible"),
}


def _position(group: str) -> int:
    if group not in GROUPS:
        raise InputError(f"unknown layer group {group!r}; known: {', '.join(GROUPS)}")
    return GROUPS.index(group)
