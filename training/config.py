"""`TrainConfig`: every choice of a training run, shared by the command line and the checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from stargan_rt.errors import InputError


def _option(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's (appendix 7.2); the help texts are the documentation of the fields."""

    data: str = _option("avatars", "data set; this version draws 'avatars'")
    style: str = _option("avataaars", "avatars: 'avataaars' or 'toon-head'")
    count: int = _option(12_000, "avatars: number of people drawn")
    image_size: int = _option(128, "side of the images in pixels")

    conv_dim: int = _option(64, "channels of the generator's first convolution")
    blocks: int = _option(6, "residual blocks of the generator")
    d_conv_dim: int = _option(64, "channels of the discriminator's first convolution")
    d_layers: int = _option(6, "stride-2 convolutions of the discriminator")

    batch_size: int = _option(16, "images a step")
    iterations: int = _option(200_000, "critic steps in all")
    decay_iterations: int = _option(100_000, "last steps, over which both learning rates fall linearly to 0")
    n_critic: int = _option(5, "critic steps a generator step")
    g_lr: float = _option(1e-4, "Adam's learning rate for the generator")
    d_lr: float = _option(1e-4, "Adam's learning rate for the discriminator")
    beta1: float = _option(0.5, "Adam's beta 1")
    beta2: float = _option(0.999, "Adam's beta 2")
    lambda_cls: float = _option(1.0, "weight of the classification loss")
    lambda_rec: float = _option(10.0, "weight of the reconstruction loss")
    lambda_gp: float = _option(10.0, "weight of the gradient penalty")

    partial_targets: float = _option(
        0.0, "share of targets that leave labels unspecified (0.5), to be kept as they are in the image; paper: 0"
    )
    ema: float = _option(0.999, "decay of the averaged copy of the generator, per generator step")

    seed: int = _option(0, "seed of the weights, the data order and the avatars")
    device: str = _option("cpu", "'cpu' or 'cuda'")
    precision: str = _option("float32", "'float32' or 'bfloat16' (the gradient penalty stays float32)")
    compile: bool = _option(False, "compile the networks with torch.compile")
    sample_every: int = _option(500, "steps between sample grids")
    save_every: int = _option(500, "steps between checkpoints")

    def __post_init__(self) -> None:
        for name in ("count", "image_size", "conv_dim", "d_conv_dim", "d_layers", "batch_size", "iterations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("n_critic", "sample_every", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 <= self.decay_iterations <= self.iterations:
            raise InputError(f"decay_iterations must lie in [0, {self.iterations}]; got {self.decay_iterations}")
        if not 0 <= self.partial_targets <= 1 or not 0 <= self.ema < 1:
            raise InputError("partial_targets must lie in [0, 1] and ema in [0, 1)")
        if self.image_size % 4 or self.image_size % 2**self.d_layers:
            raise InputError(
                f"image_size must be a multiple of 4 and of 2**d_layers = {2**self.d_layers}; got {self.image_size}"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(f"precision is 'float32' or 'bfloat16'; got {self.precision!r}")
        if self.data != "avatars":
            raise InputError(f"unknown data set {self.data!r}; known: avatars")

    def learning_rate_factor(self, iteration: int) -> float:
        """What the learning rates are multiplied with at a step (paper, appendix 7.2)."""
        left = self.iterations - iteration
        return min(1.0, left / self.decay_iterations) if self.decay_iterations else 1.0
