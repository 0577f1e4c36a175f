"""Checkpoints: everything needed to resume a training run, or to export its generator without further options."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stargan_rt.builder.quantize import Grid
from stargan_rt.errors import InputError
from stargan_rt.files import written_whole
from stargan_rt.labels import LabelSpace
from training.architectures import AnyGenerator, new_generator
from training.config import TrainConfig
from training.model import Discriminator
from training.transfer import transfer_discriminator, transfer_generator

FORMAT = "stargan-rt training checkpoint"
VERSION = 1
WEIGHTS = ("averaged", "last")
"""The copies of the generator in a checkpoint; of two with equal scores the first is used."""


@dataclasses.dataclass
class TrainState:
    """Everything that changes during a run, with the config and the labels that it was made from."""

    config: TrainConfig
    space: LabelSpace
    generator: AnyGenerator
    averaged: AnyGenerator
    discriminator: Discriminator
    g_optimizer: torch.optim.Optimizer
    d_optimizer: torch.optim.Optimizer
    g_scaler: torch.amp.GradScaler
    d_scaler: torch.amp.GradScaler
    iteration: int = 0
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    """The generator's loss for each copy of its weights when they were last scored; see `training.watch.score`."""
    int8_grids: dict[str, Grid] = dataclasses.field(default_factory=dict)
    """The activation grids that the last iterations train through, by convolution; see `training.int8`."""

    @classmethod
    def fresh(cls, config: TrainConfig, space: LabelSpace, device: str | None = None) -> TrainState:
        """Initialise the networks from the config's seed, on `device` or else on the config's device."""
        torch.manual_seed(config.seed)
        arguments = generator_arguments(config, space)
        generator, averaged = new_generator(arguments), new_generator(arguments)
        averaged.load_state_dict(generator.state_dict())
        discriminator = Discriminator(config.image_size, len(space.names), config.d_conv_dim, config.d_layers)
        for network in (generator, averaged, discriminator):
            network.to(device or config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        betas = (config.beta1, config.beta2)
        return cls(
            config,
            space,
            generator,
            averaged.requires_grad_(False).eval(),
            discriminator,
            torch.optim.Adam(generator.parameters(), config.g_lr, betas, fused=True),
            torch.optim.Adam(discriminator.parameters(), config.d_lr, betas, fused=True),
            torch.amp.GradScaler(config.device, enabled=config.precision == "float16"),
            torch.amp.GradScaler(config.device, enabled=config.precision == "float16"),
        )

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.amp.GradScaler]:
        return {
            "generator": self.generator,
            "averaged_generator": self.averaged,
            "discriminator": self.discriminator,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
            "g_scaler": self.g_scaler,
            "d_scaler": self.d_scaler,
        }

    def save(self, path: Path) -> None:
        """Write the checkpoint; an existing file is replaced only once the new one is complete."""
        data = {
            "format": FORMAT,
            "version": VERSION,
            "model": generator_arguments(self.config, self.space),
            "image_size": self.config.image_size,
            "labels": self.space.to_dict(),
            "config": dataclasses.asdict(self.config),
            "iteration": self.iteration,
            "scores": self.scores,
            "int8_grids": {name: dataclasses.asdict(grid) for name, grid in self.int8_grids.items()},
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        with written_whole(path) as temporary:
            torch.save(data, temporary)

    @staticmethod
    def stored_config(path: Path, changes: dict[str, Any]) -> TrainConfig:
        """Return the config of a checkpoint with `changes` applied as by `TrainConfig.merge`.

        Raises:
            InputError: the file is not a checkpoint of this trainer, or a setting is out of range.
        """
        data = read_checkpoint(path)
        require_own(data, path)
        return TrainConfig(**TrainConfig.merge(data["config"], changes))

    def resume(self, path: Path) -> None:
        """Load everything from a checkpoint.

        Raises:
            InputError: it was made with other labels or another architecture.
        """
        data = read_checkpoint(path)
        require_own(data, path)
        space = LabelSpace.from_dict(data["labels"])
        if space.unspecified != self.space.unspecified:
            raise InputError(
                f"{path} was trained with --partial-targets {data['config']['partial_targets']}; a resumed run can't "
                "switch between 0 and other values: leave the flag out"
            )
        if space != self.space:
            raise InputError(
                f"{path} was trained on the labels {data['labels']['datasets']}, this run has "
                f"{self.space.to_dict()['datasets']}: leave out --data, or start a new run from the generator: --init"
            )
        try:
            for name, part in self._parts().items():
                part.load_state_dict(data[name])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{path} has another architecture than the flags describe; leave out the flags that change the "
                f"networks, or start a new run from its generator: --init\n{error}"
            ) from None
        self.iteration, self.scores = data["iteration"], data.get("scores", {})
        self.int8_grids = stored_grids(data)

    def start_from(self, path: Path) -> bool:
        """Load the averaged generator of another checkpoint, and its discriminator if it fits.

        The labels and the image size may differ; see `training.transfer`.

        Returns:
            Whether the discriminator was loaded.

        Raises:
            InputError: the generator has another width or depth.
        """
        data = read_checkpoint(path)
        require_own(data, path)
        known = LabelSpace.from_dict(data["labels"])
        growth = self.config.image_size / data["image_size"]
        weights = transfer_generator(data["averaged_generator"], known, self.space, growth)
        for network in (self.generator, self.averaged):
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise InputError(
                    f"the generator in {path} has another width or depth than this run; give the --conv-dim and "
                    f"--blocks that it was trained with\n{error}"
                ) from None
        if known.names != self.space.names:
            return False
        discriminator = transfer_discriminator(data["discriminator"], self.discriminator)
        if discriminator:
            self.discriminator.load_state_dict(discriminator)
        return discriminator is not None


def generator_weights(data: dict[str, Any], weights: str = "best") -> tuple[str, dict[str, Any]]:
    """Return which copy of the generator is used, ``"averaged"`` or ``"last"``, and its state dict.

    Args:
        data: a checkpoint of this trainer, as returned by `read_checkpoint`.
        weights: ``"averaged"``, ``"last"``, or ``"best"``: the copy with the lower loss when the checkpoint was saved.
    """
    if weights == "best":
        weights = min(WEIGHTS, key=lambda copy: data.get("scores", {}).get(copy, 0.0))
    return weights, data["averaged_generator" if weights == "averaged" else "generator"]


def trained_generator(
    path: Path, weights: str = "best", device: str = "cpu"
) -> tuple[AnyGenerator, LabelSpace, TrainConfig, int]:
    """Load a generator in evaluation mode, with its labels, config and iteration.

    Args:
        path: a checkpoint of this trainer.
        weights: see `generator_weights`.
        device: device of the generator.

    Raises:
        InputError: the file is not a checkpoint of this trainer.
    """
    data = read_checkpoint(path)
    require_own(data, path)
    generator = new_generator(data["model"])
    generator.load_state_dict(generator_weights(data, weights)[1])
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    space, config = LabelSpace.from_dict(data["labels"]), TrainConfig(**data["config"])
    return generator.eval(), space, config, data["iteration"]


def trained_discriminator(path: Path, device: str = "cpu") -> Discriminator:
    """Load the frozen discriminator of a checkpoint.

    Raises:
        InputError: the file is not a checkpoint of this trainer.
    """
    data = read_checkpoint(path)
    require_own(data, path)
    config, space = TrainConfig(**data["config"]), LabelSpace.from_dict(data["labels"])
    discriminator = Discriminator(config.image_size, len(space.names), config.d_conv_dim, config.d_layers)
    discriminator.load_state_dict(data["discriminator"])
    return discriminator.to(device).requires_grad_(False).eval()


def stored_grids(data: dict[str, Any]) -> dict[str, Grid]:
    """Return the int8 activation grids of a checkpoint, by convolution; empty if it was trained without."""
    return {name: Grid(**grid) for name, grid in data.get("int8_grids", {}).items()}


def generator_arguments(config: TrainConfig, space: LabelSpace) -> dict[str, Any]:
    """Return the arguments of `training.architectures.new_generator` for a run."""
    sizes = {"label_dim": space.dim, "conv_dim": config.conv_dim, "blocks": config.blocks}
    if config.arch == "paper":
        return sizes
    return {"arch": config.arch, **sizes, "stem": config.stem, "bottleneck": config.bottleneck}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this trainer or a bare state dict; no code in the file is executed.

    Raises:
        InputError: the file does not exist, is damaged, is not a checkpoint, or contains more than plain tensors.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error).casefold():
            raise InputError(f"{path} is damaged or not a PyTorch checkpoint") from None
        raise InputError(
            f"{path} contains more than plain tensors and is not loaded, since unpickling other objects can run code; "
            "save the state dict alone: torch.save(G.state_dict(), PATH)"
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is damaged or not a PyTorch checkpoint ({error!r:.100})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} contains a {type(data).__name__}; expected a checkpoint, which is a dict")
    return data


def is_own(data: dict[str, Any]) -> bool:
    """Return whether a checkpoint was written by this trainer."""
    return data.get("format") == FORMAT


def require_own(data: dict[str, Any], path: Path) -> None:
    """Check that a checkpoint was written by this trainer, in a version that it can read.

    Raises:
        InputError: it was not.
    """
    if not is_own(data):
        raise InputError(f"{path} is not a checkpoint of `python -m training train`")
    if data.get("version") != VERSION:
        raise InputError(f"{path} has format version {data.get('version')}; this code reads {VERSION}")
    if unknown := set(data["config"]) - {field.name for field in dataclasses.fields(TrainConfig)}:
        raise InputError(
            f"{path} was trained with settings that are unknown to this version ({', '.join(sorted(unknown))}); "
            "update the sources: git pull"
        )
