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

BUDGET_DB: Mapping[str, float] = MappingProxyType({"fp32": 50.0, "fp16": 45.0, "bf16": 45.0, "int8": 35.0})
"""Precision → PSNR to the float32 master that a build must reach unless `min_psnr` says otherwise."""
GROUPS = ("first", "down", "residual", "up", "last")
"""Layer groups of the generator, in order; int8 is decided for each as a whole."""


@dataclass(frozen=True)
class BuildConfig:
    """What `build` makes.

    Attributes:
        backend: ``"tensorrt"``, ``"tensorrt-rtx"``, ``"openvino"``, ``"onnxruntime"``, or ``"auto"``: the
            best that works on this machine.
        precision: of the convolutions: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``.
        groups: of int8, the layer groups to quantise; None searches for the fastest within the budget.
        calib: folder of images, or ``"avatars"`` for the bundled ones; int8 is calibrated on a part of
            them, the quality of every precision is measured on the rest. None: the bundled ones, and no int8.
        calib_count: at most so many images are used.
        min_psnr: dB to the float32 master below which the build fails; None for the precision's default.
        min_batch, opt_batch, max_batch: of a plan's profile.
        targets: GPUs to build for, such as ``("sm86", "sm89")``; empty for the one in this machine.
        workspace_mib: scratch memory that a plan may use; None leaves it to TensorRT.
        timing_cache: file in which TensorRT keeps what it measured, or None.
        optimization_level: 0 to 5, how long TensorRT searches; None for its default.
        dla_core: of a Jetson, the DLA core to use where a layer allows; the GPU takes the rest.
        hardware_compatible: the plan runs on later GPUs too, somewhat slower.
        version_compatible: the plan runs with later versions of TensorRT too.
    """

    backend: str = "auto"
    precision: str = "fp32"
    groups: tuple[str, ...] | None = None
    calib: str | None = None
    calib_count: int = 64
    min_psnr: float | None = None
    min_batch: int = 1
    opt_batch: int = 1
    max_batch: int = 8
    targets: tuple[str, ...] = ()
    workspace_mib: int | None = None
    timing_cache: str | None = None
    optimization_level: int | None = None
    dla_core: int | None = None
    hardware_compatible: bool = False
    version_compatible: bool = False

    def __post_init__(self) -> None:
        if self.backend not in ("auto", *BACKENDS):
            raise InputError(f"unknown backend {self.backend!r}; known: auto, {', '.join(BACKENDS)}")
        if self.precision not in BUDGET_DB:
            raise InputError(f"unknown precision {self.precision!r}; known: {', '.join(BUDGET_DB)}")
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(sorted(set(self.groups), key=_position)))
            if self.precision != "int8":
                raise InputError(f"layer groups are chosen for int8 only, not for {self.precision}")
            if not self.groups:
                raise InputError(f"no layer group to quantise; known: {', '.join(GROUPS[1:])}")
            if "first" in self.groups:
                raise InputError(
                    "the first convolution stays in higher precision: OpenVINO computes it wrongly in int8"
                )
        if self.precision == "int8" and self.calib is None:
            raise InputError("int8 needs images like those it will see: add --calib FOLDER (or --calib avatars)")
        if self.calib_count < 2:
            raise InputError(
                f"--calib-count must be at least 2 (some to calibrate, some to judge); got {self.calib_count}"
            )
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch:
            raise InputError(
                f"batches must satisfy 1 <= min <= opt <= max; got {self.min_batch}, {self.opt_batch}, {self.max_batch}"
            )
        object.__setattr__(self, "targets", tuple(dict.fromkeys(target.lower() for target in self.targets)))
        for target in self.targets:
            if not re.fullmatch(r"sm\d{2,3}", target):
                raise InputError(f"a target is a GPU architecture such as sm86; got {target!r}")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise InputError(f"the optimization level lies in 0 to 5; got {self.optimization_level}")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"the workspace must be at least 1 MiB; got {self.workspace_mib}")
        if self.dla_core is not None and self.dla_core < 0:
            raise InputError(f"the DLA core must not be negative; got {self.dla_core}")

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
            field.name.replace("_", "-")
            for field in dataclasses.fields(self)
            if field.name in PLAN_ONLY and getattr(self, field.name) != field.default
        ]
        if given:
            raise InputError(f"--{', --'.join(given)}: only plans have these; add --backend tensorrt or tensorrt-rtx")

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
