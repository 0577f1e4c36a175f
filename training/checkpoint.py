"""A training run on disk: everything needed to go on with it, or to export it without further questions."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stargan_rt.errors import InputError
from stargan_rt.files import written_whole
from stargan_rt.labels import LabelSpace
from training.config import TrainConfig
from training.model import Discriminator, Generator
from training.transfer import carried_critic, carried_generator

FORMAT = "stargan-rt training checkpoint"
VERSION = 1
WEIGHTS = ("averaged", "last")
"""The copies of the generator in a checkpoint; of two equals the first is taken."""


@dataclasses.dataclass
class TrainState:
    """All that a run changes as it goes."""

    config: TrainConfig
    space: LabelSpace
    generator: Generator
    averaged: Generator
    discriminator: Discriminator
    g_optimizer: torch.optim.Optimizer
    d_optimizer: torch.optim.Optimizer
    g_scaler: torch.amp.GradScaler
    d_scaler: torch.amp.GradScaler
    iteration: int = 0
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    """Copy of the generator's weights → its loss when last scored; see `trainer.score`."""

    @classmethod
    def fresh(cls, config: TrainConfig, space: LabelSpace, device: str | None = None) -> TrainState:
        """New weights from the config's seed, on `device` or else the config's."""
        torch.manual_seed(config.seed)
        arguments = generator_arguments(config, space)
        generator, averaged = Generator(**arguments), Generator(**arguments)
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
            *(torch.amp.GradScaler(config.device, enabled=config.precision == "float16") for _ in range(2)),
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
        """Writes the checkpoint, whole or not at all."""
        data = {
            "format": FORMAT,
            "version": VERSION,
            "model": generator_arguments(self.config, self.space),
            "image_size": self.config.image_size,
            "labels": self.space.to_dict(),
            "config": dataclasses.asdict(self.config),
            "iteration": self.iteration,
            "scores": self.scores,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        with written_whole(path) as temporary:
            torch.save(data, temporary)

    @staticmethod
    def stored_config(path: Path, changes: dict[str, Any]) -> TrainConfig:
        """The config of a checkpoint, with `changes`."""
        data = read_checkpoint(path)
        require_own(data, path)
        return TrainConfig(**{**data["config"], **changes})

    def resume(self, path: Path) -> None:
        """Takes over everything that a checkpoint holds.

        Raises:
            InputError: it was made with other labels or another architecture.
        """
        data = read_checkpoint(path)
        require_own(data, path)
        space = LabelSpace.from_dict(data["labels"])
        if space.unspecified != self.space.unspecified:
            raise InputError(f"{path} was trained with partial_targets {data['config']['partial_targets']}; keep it so")
        if space != self.space:
            raise InputError(f"{path} was trained on other labels than this run: {data['labels']['datasets']}")
        try:
            for name, part in self._parts().items():
                part.load_state_dict(data[name])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{path} holds another architecture than the flags describe; leave out the flags that change the "
                f"networks, or start anew from its generator with --init.\n{error}"
            ) from None
        self.iteration, self.scores = data["iteration"], data.get("scores", {})

    def start_from(self, path: Path) -> bool:
        """Takes over another checkpoint's generator (the averaged one), and its critic where that fits.

        See `training.transfer` for other labels and image sizes.

        Returns:
            Whether the critic came along.
        """
        data = read_checkpoint(path)
        require_own(data, path)
        known = LabelSpace.from_dict(data["labels"])
        growth = self.config.image_size / data["image_size"]
        weights = carried_generator(data["averaged_generator"], known, self.space, growth)
        for network in (self.generator, self.averaged):
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise InputError(f"{path} holds a generator of another width or depth.\n{error}") from None
        critic = carried_critic(data["discriminator"], self.discriminator) if known.names == self.space.names else None
        if critic:
            self.discriminator.load_state_dict(critic)
        return critic is not None


def generator_weights(data: dict[str, Any], weights: str = "best") -> tuple[str, dict[str, Any]]:
    """A generator's state dict out of a checkpoint of ours, and which of the copies it is.

    Args:
        data: of `read_checkpoint`.
        weights: ``"averaged"``, ``"last"``, or ``"best"``: the one that scored better when it was saved.
    """
    if weights == "best":
        weights = min(WEIGHTS, key=lambda copy: data.get("scores", {}).get(copy, 0.0))
    return weights, data["averaged_generator" if weights == "averaged" else "generator"]


def trained_generator(
    path: Path, weights: str = "best", device: str = "cpu"
) -> tuple[Generator, LabelSpace, TrainConfig, int]:
    """The generator of a checkpoint of ours in evaluation mode, its labels, config and iteration.

    Args:
        path: the checkpoint.
        weights: see `generator_weights`.
        device: where it will compute.
    """
    data = read_checkpoint(path)
    require_own(data, path)
    generator = Generator(**data["model"])
    generator.load_state_dict(generator_weights(data, weights)[1])
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    space, config = LabelSpace.from_dict(data["labels"]), TrainConfig(**data["config"])
    return generator.eval(), space, config, data["iteration"]


def generator_arguments(config: TrainConfig, space: LabelSpace) -> dict[str, int]:
    return {"label_dim": space.dim, "conv_dim": config.conv_dim, "blocks": config.blocks}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, ours or a bare state dict, without running any code that it may hold.

    Raises:
        InputError: not there, not a checkpoint, damaged, or one that needs code to be read.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error).casefold():
            raise InputError(f"{path} is damaged or no PyTorch checkpoint") from None
        raise InputError(
            f"{path} holds more than plain tensors; it is not loaded, since unpickling other objects can run code. "
            "Save the state dict alone: torch.save(G.state_dict(), PATH)"
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is damaged or no PyTorch checkpoint ({error!r:.100})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} holds a {type(data).__name__}, not a checkpoint")
    return data


def is_own(data: dict[str, Any]) -> bool:
    """Whether a checkpoint was written by this trainer."""
    return data.get("format") == FORMAT


def require_own(data: dict[str, Any], path: Path) -> None:
    if not is_own(data):
        raise InputError(f"{path} is not a checkpoint of `python -m training train`")
    if data.get("version") != VERSION:
        raise InputError(f"{path} has format version {data.get('version')}; this code reads {VERSION}")
    if strangers := set(data["config"]) - {field.name for field in dataclasses.fields(TrainConfig)}:
        raise InputError(
            f"{path} was trained with settings that this version does not know ({', '.join(sorted(strangers))}); "
            "update the sources: git pull"
        )
