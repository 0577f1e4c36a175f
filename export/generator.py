"""Load the generator of a checkpoint: of this trainer, or a bare state dict of the authors' public code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stargan_rt.errors import ExportError
from stargan_rt.files import sha256
from stargan_rt.labels import LabelSpace
from training.architectures import AnyGenerator, new_generator
from training.checkpoint import generator_weights, is_own, read_checkpoint, require_own, stored_grids
from training.data.hair import hair_group
from training.data.spec import alignment_of

RUNNING = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")


@dataclass(frozen=True)
class Loaded:
    """A generator and everything the checkpoint says about it.

    Attributes:
        generator: in evaluation mode, float32, on the CPU.
        size: (height, width) it was trained at; None if the checkpoint does not say.
        model: arguments of `training.architectures.new_generator`.
        int8_limits: the largest value of each convolution's int8 activation grid, by the ONNX name of its weights;
            empty if the checkpoint was trained in floating point alone.
        running: running statistics found and left out, by key; empty for most checkpoints.
        source: for the manifest.
        alignment: how the training set shows faces, for the manifest.
    """

    generator: AnyGenerator
    space: LabelSpace
    size: tuple[int, int] | None
    model: dict[str, Any]
    running: dict[str, Tensor]
    source: dict[str, Any]
    alignment: str = "none"
    int8_limits: dict[str, float] = field(default_factory=dict)


def load_generator(path: Path, labels: Sequence[str] = (), weights: str = "best", *, unnamed: bool = False) -> Loaded:
    """Load the generator of a checkpoint.

    Args:
        path: a checkpoint of this trainer, or ``200000-G.ckpt`` of the authors' code.
        labels: labels of a bare state dict in the order of training, ``"A,B,C"``; for a jointly trained model one entry
            for each data set, ``"CelebA:A,B"``. Checkpoints of this trainer contain theirs.
        weights: ``"averaged"``, ``"last"`` or ``"best"``; see `training.checkpoint.generator_weights`.
        unnamed: number the labels of a bare state dict if none are given.

    Raises:
        ExportError: the file is not a StarGAN generator, or the labels do not fit it.
        InputError: the file can't be read as a checkpoint.
    """
    data = read_checkpoint(path)
    if own := is_own(data):
        require_own(data, path)
        if labels:
            raise ExportError(f"{path} contains its labels; leave out --labels")
        weights, state = generator_weights(data, weights)
        space = data["labels"]
    else:
        state, space = data, None
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    if nested := [key for key, value in state.items() if isinstance(value, dict) and "main.0.weight" in value]:
        raise ExportError(
            f"{path} has its generator under the key {nested[0]!r}; save that state dict alone and export it"
        )
    state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    running = {key: value for key, value in state.items() if RUNNING.search(key)}
    state = {key: value for key, value in state.items() if key not in running}
    model = data["model"] if own else _architecture(state, path)
    label_dim = model["label_dim"]
    if bad := [key for key, value in state.items() if not value.isfinite().all()]:
        raise ExportError(f"{path} has weights that are not finite: {bad[0]}; export an earlier checkpoint")
    if unnamed and not own and not labels:
        labels = [",".join(f"label{number}" for number in range(1, label_dim + 1))]
    label_space = LabelSpace.from_dict(space) if space else _label_space(labels, label_dim, path)
    if label_space.dim != label_dim:
        raise ExportError(
            f"{path} takes a label vector of {label_dim} values, but {len(label_space.names)} labels in "
            f"{len(label_space.datasets)} data set(s) make {label_space.dim}: {', '.join(label_space.names)}"
        )
    generator = new_generator(model)
    try:
        generator.load_state_dict(state)
    except RuntimeError as error:
        raise ExportError(f"{path} does not have the layout of a StarGAN generator\n{error}") from None
    source = {"checkpoint": path.name, "sha256": sha256(path), "torch": torch.__version__}
    if own:
        source |= {"iteration": data["iteration"], "weights": weights}
    size = (data["image_size"], data["image_size"]) if own else None
    alignment = alignment_of(data["config"]["data"]) if own else "none"
    grids = stored_grids(data) if own else {}
    limits = {f"generator.{name}.weight": grid.limit for name, grid in grids.items()}
    return Loaded(generator.eval(), label_space, size, model, running, source, alignment, limits)


def _architecture(state: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the arguments of the paper's generator from the shapes of a bare state dict."""
    if "first.weight" in state and "label.weight" in state:
        raise ExportError(
            f"{path} is the bare state dict of a lite generator, without its stem and labels; export the "
            "checkpoint that python -m training distill wrote (OUT/latest.pt)"
        )
    first = state.get("main.0.weight")
    # Only residual blocks have a `main` of their own.
    blocks = {int(m.group(1)) for key in state if (m := re.fullmatch(r"main\.(\d+)\.main\.0\.weight", key))}
    if first is None or first.dim() != 4 or first.shape[2:] != (7, 7) or not blocks:
        known = ", ".join(list(state)[:4]) or "no tensors"
        raise ExportError(
            f"{path} is not a StarGAN generator: expected main.0.weight of shape (conv_dim, 3 + labels, 7, 7) and "
            f"residual blocks main.9.main.0.weight, …; found {known}. A discriminator (…-D.ckpt) can't be exported"
        )
    if first.shape[1] <= 3:
        raise ExportError(f"{path} has {first.shape[1]} input channels; expected 3 and one for each label")
    return {"label_dim": first.shape[1] - 3, "conv_dim": first.shape[0], "blocks": len(blocks)}


def _label_space(labels: Sequence[str], label_dim: int, path: Path) -> LabelSpace:
    if not labels:
        raise ExportError(
            f"{path} is a bare state dict without names for its {label_dim} labels; give them in the order of "
            "training: --labels Black_Hair,Blond_Hair,Brown_Hair,Male,Young (for a jointly trained model, once for "
            "each data set: --labels CelebA:Black_Hair,… --labels RaFD:angry,…)"
        )
    datasets: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(labels, start=1):
        name, colon, rest = entry.rpartition(":")
        name = name if colon else f"dataset{number}"
        if name in datasets:
            raise ExportError(f"--labels names the data set {name!r} twice; use different names")
        datasets[name] = tuple(label.strip() for label in rest.split(","))
    return LabelSpace.joint(datasets, {name: _exclusive(members) for name, members in datasets.items()})


def _exclusive(labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the exclusive groups: CelebA's hair attributes, and RaFD's expressions, of which one is always set."""
    expressions = {"angry", "happy", "sad"} <= {name.casefold() for name in labels}
    return hair_group(labels) | ({"expression": labels} if expressions else {})
