"""Recipes: every stage from nothing to exported ONNX files, in one TOML file.

    [[stages]]
    name = "small"               # also the folder of the stage
    preset = "avatars-128"       # the other keys are settings of TrainConfig
    image_size = 64

    [[stages]]
    name = "full"
    init = "small"               # a stage whose networks this one starts from
    teacher = "small"            # a stage whose generator is the teacher

    [[stages]]
    name = "small-student"
    kind = "distill"             # as `python -m training distill`: the data and the labels are the teacher's
    preset = "lite"
    teacher = "full"

    [[stages]]
    name = "avatars"
    kind = "export"
    checkpoint = "full"          # written to avatars.onnx

A recipe can be stopped at any time and continues where it stopped: finished stages are skipped, and an unfinished
training stage resumes from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_rt.errors import ExportError, InputError
from stargan_rt.files import written_whole
from training.config import PRESETS, TrainConfig, read_toml
from training.data.spec import DataSpec

RECIPES = {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}
"""Path of each bundled recipe, by name."""
LEAST_ITERATIONS = 2
LEAST_IMAGES = 64
"""Iterations of a stage, and avatars of a data set, that a scaled recipe keeps at least."""


@dataclass(frozen=True)
class Stage:
    """A step of a recipe.

    Attributes:
        name: name of the stage and of its folder.
        kind: a key of `KINDS`.
        settings: the other keys of its table.
        inputs: the stages whose checkpoints it uses.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Workspace:
    """The folder that a recipe runs in.

    Attributes:
        out: the folder; each stage has a folder in it.
        scale: factor of the iterations and of the number of avatars; below 1 for a trial run.
        device: device of all stages; None for the one that the recipe sets.
        report: receives messages for the user.
    """

    out: Path
    scale: float = 1.0
    device: str | None = None
    report: Callable[[str], object] = print

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.out / stage

    def checkpoint(self, stage: str) -> Path:
        """Return the path of the newest checkpoint of a stage."""
        return self.folder(stage) / "latest.pt"


def read_recipe(source: str) -> list[Stage]:
    """Read the stages of a recipe.

    Args:
        source: name of a bundled recipe, or path of a TOML file.

    Raises:
        InputError: there is no such recipe, or a stage is not valid.
    """
    path = RECIPES.get(source, Path(source))
    if not path.is_file():
        raise InputError(f"no recipe {source}; expected one of {', '.join(RECIPES)}, or the path of a TOML file")
    stages: list[Stage] = []
    for number, table in enumerate(read_toml(path).get("stages", []), start=1):
        settings = {"kind": "train", **table}
        name, kind = settings.pop("name", ""), settings.pop("kind")
        if not name or Path(name).name != name or name in [stage.name for stage in stages]:
            raise InputError(f"{path}: stage {number} needs a name that no other stage has; got {name!r}")
        if kind not in KINDS:
            raise InputError(f"{path}: stage {name} has the unknown kind {kind!r}; known: {', '.join(KINDS)}")
        inputs = tuple(settings[key] for key in KINDS[kind].inputs if settings.get(key))
        if unknown := [name for name in inputs if name not in [stage.name for stage in stages]]:
            raise InputError(f"{path}: stage {name} uses {', '.join(unknown)}, which is not an earlier stage")
        stages.append(Stage(name, kind, settings, inputs))
    if not stages:
        raise InputError(f"{path} has no stages; expected at least one [[stages]] table")
    return stages


def run_recipe(stages: list[Stage], workspace: Workspace) -> None:
    """Run the stages in order; those that are finished are skipped.

    Raises:
        InputError: a stage is not valid, or its folder belongs to a stage with other settings or inputs.
    """
    for stage in stages:  # before the first one starts, which may take hours
        KINDS[stage.kind].check(stage, workspace)
    for number, stage in enumerate(stages, start=1):
        record = {"settings": KINDS[stage.kind].check(stage, workspace), "inputs": _made(stage, workspace)}
        done = workspace.folder(stage.name) / "done.json"
        title = f"stage {number} of {len(stages)}, {stage.name}"
        if done.exists():
            if json.loads(done.read_text()) != json.loads(json.dumps(record)):
                raise InputError(
                    f"{done.parent} was made with other settings or from other checkpoints; delete the folder to run "
                    "the stage again, or choose another --out"
                )
            workspace.report(f"{title}: already finished")
            continue
        workspace.report(f"{title}: {stage.kind}")
        KINDS[stage.kind].run(stage, workspace)
        with written_whole(done) as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n")


def _made(stage: Stage, workspace: Workspace) -> dict[str, str]:
    """Return the hash of each input's checkpoint, so that a stage is not taken for finished if one changed."""
    from stargan_rt.files import sha256

    return {name: sha256(workspace.checkpoint(name)) for name in stage.inputs}


@dataclass(frozen=True)
class Kind:
    """What a kind of stage does.

    Attributes:
        inputs: keys of the stage whose values are names of earlier stages.
        check: returns the complete settings of a stage, ready for JSON, or raises an InputError.
        run: runs or resumes a stage.
    """

    inputs: tuple[str, ...]
    check: Callable[[Stage, Workspace], dict[str, Any]]
    run: Callable[[Stage, Workspace], None]


def train_config(stage: Stage, workspace: Workspace) -> TrainConfig:
    """Return the settings of a training stage, scaled as the workspace says.

    Raises:
        InputError: a setting is unknown or out of range.
    """
    settings = dict(stage.settings)
    preset = settings.pop("preset", None)
    settings.pop("init", None)
    if settings.get("teacher"):
        settings["teacher"] = str(workspace.checkpoint(settings["teacher"]))
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    if unknown := [name for name in settings if name not in known]:
        raise InputError(f"stage {stage.name} has unknown settings {', '.join(unknown)}; known: {', '.join(known)}")
    if preset is not None and preset not in PRESETS:
        raise InputError(f"stage {stage.name} has the unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    device = {"device": workspace.device} if workspace.device else {}
    merged = TrainConfig.merge(TrainConfig.read(PRESETS[preset]) if preset else {}, settings, device)
    config = TrainConfig(**(_of_teacher(merged) if stage.kind == "distill" else merged))
    if workspace.scale == 1:
        return config
    iterations = max(LEAST_ITERATIONS, round(config.iterations * workspace.scale))
    scaled = {
        "iterations": iterations,
        "warm_up": round(config.warm_up * workspace.scale),
        "distill_iterations": min(iterations, round(config.distill_iterations * workspace.scale)),
        "int8_iterations": min(iterations, round(config.int8_iterations * workspace.scale)),
        "pairs": max(LEAST_IMAGES, round(config.pairs * workspace.scale)),
        "data": tuple(_scaled_data(text, workspace.scale) for text in config.data),
        "save_every": min(config.save_every, iterations),
        "sample_every": min(config.sample_every, iterations),
        "compile": config.compile and workspace.scale > 1,
    }
    return TrainConfig(**TrainConfig.merge(dataclasses.asdict(config), scaled))


def _of_teacher(settings: dict[str, Any]) -> dict[str, Any]:
    """Complete the settings of a distillation; before its teacher is trained, with what is known of them."""
    from training.distillation import distill_settings

    if Path(settings.get("teacher", "")).is_file():
        return distill_settings(settings)
    return {"distill_iterations": settings.get("iterations", 0), **settings}


def _scaled_data(text: str, scale: float) -> str:
    spec = DataSpec.parse(text)
    if spec.kind != "avatars":
        return text
    count = max(LEAST_IMAGES, round(spec.number("count", 12_000) * scale))
    return str(dataclasses.replace(spec, options={**spec.options, "count": str(count)}))


def _check_train(stage: Stage, workspace: Workspace) -> dict[str, Any]:
    return {**dataclasses.asdict(train_config(stage, workspace)), "init": stage.settings.get("init")}


def _train(stage: Stage, workspace: Workspace) -> None:
    from training.checkpoint import TrainState
    from training.distillation import for_teacher
    from training.run import labelled, run

    config, folder, latest = (
        train_config(stage, workspace),
        workspace.folder(stage.name),
        workspace.checkpoint(stage.name),
    )
    init = stage.settings.get("init")
    resume = latest.exists()
    if resume and TrainState.stored_config(latest, {}) != config:
        raise InputError(
            f"{folder} has an unfinished run with other settings; delete the folder to start the stage again, or "
            "choose another --out"
        )
    start = workspace.checkpoint(init) if init and not resume else None
    open_data = for_teacher if stage.kind == "distill" else labelled
    run(config, folder, resume=resume, init=start, open_data=open_data, report=workspace.report)


def _check_export(stage: Stage, workspace: Workspace) -> dict[str, Any]:
    if unknown := set(stage.settings) - {"checkpoint", "weights"}:
        raise InputError(f"stage {stage.name} has unknown settings {', '.join(unknown)}; known: checkpoint, weights")
    if "checkpoint" not in stage.settings:
        raise InputError(f"stage {stage.name} needs checkpoint = the name of the stage that is exported")
    return dict(stage.settings)


def _export(stage: Stage, workspace: Workspace) -> None:
    # A program of its own, since training does not import export.
    line = [
        sys.executable,
        "-m",
        "export",
        f"--checkpoint={workspace.checkpoint(stage.settings['checkpoint']).resolve()}",
    ]
    line += [f"--output={(workspace.folder(stage.name) / (stage.name + '.onnx')).resolve()}"]
    line += [f"--weights={stage.settings.get('weights', 'best')}"]
    done = subprocess.run(line, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"stage {stage.name} could not be exported: {done.stderr.strip()}")
    workspace.report(done.stdout.strip())


KINDS = {
    "train": Kind(("init", "teacher"), _check_train, _train),
    "distill": Kind(("init", "teacher"), _check_train, _train),
    "export": Kind(("checkpoint",), _check_export, _export),
}
"""The kinds of stages, by name."""
