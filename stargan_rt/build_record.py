"""`BuildRecord`: how an engine was built, as its manifest keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REBUILD = "stargan-rt build --onnx MODEL.onnx --fp16"
"""The command that builds an engine, where nothing is known of the one at hand."""


@dataclass(frozen=True)
class Quality:
    """How close an engine's images are to those of the float32 model.

    Attributes:
        psnr_db: label → PSNR in dB of the mean squared error over its images; 99 stands for identical images.
        ssim: label → mean SSIM over its images.
        images: number of images translated to each label.
        budget_db: PSNR that every label had to reach.
        judged_by: what computed the images: the engine itself, or its typed graph on another backend.
        master: what computed the float32 images.
    """

    psnr_db: Mapping[str, float]
    ssim: Mapping[str, float]
    images: int
    budget_db: float = 0.0
    judged_by: str = ""
    master: str = ""

    @property
    def worst_db(self) -> float:
        """PSNR in dB of the label that suffers most; the budget is compared with it."""
        return min(self.psnr_db.values())

    @property
    def mean_db(self) -> float:
        """Mean PSNR in dB over the labels."""
        return sum(self.psnr_db.values()) / len(self.psnr_db)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; `from_dict` reads it."""
        return {
            "budget_db": self.budget_db,
            "judged_by": self.judged_by,
            "master": self.master,
            "images_a_label": self.images,
            "worst_psnr_db": self.worst_db,
            "mean_psnr_db": round(self.mean_db, 2),
            "psnr_db": dict(self.psnr_db),
            "ssim": dict(self.ssim),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Quality:
        """Read what `to_dict` wrote."""
        return cls(
            {str(label): float(db) for label, db in data["psnr_db"].items()},
            {str(label): float(value) for label, value in data["ssim"].items()},
            int(data["images_a_label"]),
            float(data["budget_db"]),
            str(data["judged_by"]),
            str(data["master"]),
        )


@dataclass(frozen=True)
class Int8Choice:
    """Which layer groups were quantised, and why.

    Attributes:
        groups: the groups in int8; the others stay in a higher precision.
        ranking_db: group → worst label's PSNR in dB where that group alone is in int8; the lowest harms most. Empty
            where the groups were given.
        tried: groups and the worst label's PSNR in dB of each choice, in the order tried.
        calibration_runs: number of images, with their labels, from which the ranges were taken.
    """

    groups: tuple[str, ...]
    ranking_db: Mapping[str, float] = field(default_factory=dict)
    tried: tuple[tuple[tuple[str, ...], float], ...] = ()
    calibration_runs: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; `from_dict` reads it."""
        return {
            "groups": list(self.groups),
            "ranking_db": dict(self.ranking_db),
            "tried": [{"groups": list(groups), "worst_psnr_db": db} for groups, db in self.tried],
            "calibration_runs": self.calibration_runs,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Int8Choice:
        """Read what `to_dict` wrote."""
        return cls(
            tuple(data["groups"]),
            dict(data["ranking_db"]),
            tuple((tuple(entry["groups"]), float(entry["worst_psnr_db"])) for entry in data["tried"]),
            int(data["calibration_runs"]),
        )


@dataclass(frozen=True)
class Speed:
    """The time of a translation next to that of another precision, measured in turns on the machine of the build.

    Attributes:
        ms: median milliseconds of the engine.
        against: the other precision.
        against_ms: median milliseconds of the other precision.
        ratio: how many times as fast the engine is, the median over the rounds.
    """

    ms: float
    against: str
    against_ms: float
    ratio: float


@dataclass(frozen=True)
class BuildRecord:
    """How an engine was built.

    Attributes:
        backend: the backend that it was built for.
        backend_version: version of that backend.
        stargan_rt: version of this package.
        machine: the processor, or for a plan the GPU, on which it was built.
        source_file: name of the ONNX file.
        source_sha256: SHA-256 of the ONNX file.
        config: settings of the build, as `stargan_rt.builder.BuildConfig.to_dict` gives them.
        targets: what it runs on: a processor, or GPU architectures such as ``"sm86"`` or ``"sm80+"``.
        layers: precision → number of convolutions that are computed in it.
        layers_from: where `layers` was read: the compiled engine or the typed graph.
        profiles: for a plan, its optimisation profiles as (smallest, tuned, largest) batch.
        quality: how close its images are to the float32 model's.
        int8: for int8, the layer groups.
        speed: for int8 where it could be timed, its time next to the best other precision.
        plan_sha256: for a plan, SHA-256 of the file.
    """

    backend: str
    backend_version: str = ""
    stargan_rt: str = ""
    machine: str | None = None
    source_file: str = "MODEL.onnx"
    source_sha256: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    layers: Mapping[str, int] = field(default_factory=dict)
    layers_from: str = ""
    profiles: tuple[tuple[int, int, int], ...] = ()
    quality: Quality | None = None
    int8: Int8Choice | None = None
    speed: Speed | None = None
    plan_sha256: str | None = None

    @property
    def command(self) -> str:
        """The command that builds the engine again."""
        precision = self.config.get("precision", "fp16")
        flags = [f"--{precision}", f"--backend {self.backend}"]
        if targets := self.config.get("targets"):
            flags.append(f"--target {','.join(targets)}")
        flags += [f"--profile {profile}" for profile in self.config.get("profiles", ())]
        if precision == "int8":
            flags.append(f"--calib {self.config.get('calib')}")
        return f"stargan-rt build --onnx {self.source_file} {' '.join(flags)}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; `from_dict` reads it. What does not apply to the engine is left out."""
        parts: dict[str, Any] = {
            "backend": self.backend,
            "backend_version": self.backend_version,
            "stargan_rt": self.stargan_rt,
            "machine": self.machine,
            "source": {"file": self.source_file, "sha256": self.source_sha256},
            "config": dict(self.config),
            "targets": list(self.targets),
            "layers": dict(self.layers),
            "layers_from": self.layers_from,
        }
        if self.profiles:
            parts["profiles"] = [list(profile) for profile in self.profiles]
        if self.quality:
            parts["quality"] = self.quality.to_dict()
        if self.int8:
            parts["int8"] = self.int8.to_dict()
        if self.speed:
            parts["speed"] = dataclasses.asdict(self.speed)
        if self.plan_sha256:
            parts["plan_sha256"] = self.plan_sha256
        return parts

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BuildRecord:
        """Read what `to_dict` wrote, now or in version 0.1, which knew one profile for a plan.

        Raises:
            KeyError, TypeError, ValueError: the data is damaged.
        """
        source = data.get("source", {})
        profiles = data.get("profiles", [data["profile"]] if "profile" in data else [])
        quality, int8, speed = (data.get(name) for name in ("quality", "int8", "speed"))
        return cls(
            backend=str(data["backend"]),
            backend_version=str(data.get("backend_version", "")),
            stargan_rt=str(data.get("stargan_rt", "")),
            machine=data.get("machine"),
            source_file=str(source.get("file", "MODEL.onnx")),
            source_sha256=str(source.get("sha256", "")),
            config=dict(data.get("config", {})),
            targets=tuple(map(str, data.get("targets", ()))),
            layers={str(name): int(count) for name, count in data.get("layers", {}).items()},
            layers_from=str(data.get("layers_from", "")),
            profiles=tuple((int(least), int(tuned), int(most)) for least, tuned, most in profiles),
            quality=Quality.from_dict(quality) if quality else None,
            int8=Int8Choice.from_dict(int8) if int8 else None,
            speed=Speed(**speed) if speed else None,
            plan_sha256=data.get("plan_sha256"),
        )
