"""`TrainConfig`: every choice of a training run, shared by the command line and the checkpoint."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_rt.errors import InputError
from training.data.spec import DataSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}
"""Name → settings that are known to be of use."""


def _option(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """The defaults are the paper's (appendix 7.2); the help texts are the documentation of the fields."""

    data: tuple[str, ...] = _option(
        ("avatars",),
        "data set: avatars, celeba:PATH, folder:PATH or table:FILE, each with ?labels=A,B&…; "
        "repeat for joint training with mask vectors",
    )
    image_size: int = _option(128, "side of the images in pixels")

    conv_dim: int = _option(64, "channels of the generator's first convolution")
    blocks: int = _option(6, "residual blocks of the generator")
    d_conv_dim: int = _option(64, "channels of the discriminator's first convolution")
    d_layers: int = _option(6, "stride-2 convolutions of the discriminator")

    batch_size: int = _option(16, "images a step")
    iterations: int = _option(200_000, "critic steps in all")
    decay_iterations: int = _option(100_000, "last steps, over which both learning rates fall linearly to 0")
    n_critic: int = _option(5, "critic steps a generator step")
    warm_up: int = _option(0, "first iterations that train the critic alone; for a trained generator from --init")
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

    seed: int = _option(0, "seed of the weights and of the data order")
    device: str = _option("cpu", "'cpu' or 'cuda'; under torchrun each process takes its own GPU")
    precision: str = _option(
        "float32", "'float32', 'bfloat16', or on a GPU 'float16'; the gradient penalty stays float32"
    )
    compile: bool = _option(False, "compile the networks with torch.compile")
    tensorboard: bool = _option(False, "log to OUT/tensorboard as well")
    sample_every: int = _option(500, "steps between sample grids")
    save_every: int = _option(500, "steps between checkpoints")

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", tuple(self.data))
        for name in ("image_size", "conv_dim", "d_conv_dim", "d_layers", "batch_size", "iterations"):
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
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise InputError(f"precision is 'float32', 'bfloat16' or 'float16'; got {self.precision!r}")
        if self.precision == "float16" and not self.device.startswith("cuda"):
            raise InputError("precision float16 needs --device cuda; on a CPU use bfloat16")
        if not self.data:
            raise InputError("no data set; the default is --data avatars")
        for text in self.data:
            DataSpec.parse(text)

    @classmethod
    def read(cls, path: Path) -> dict[str, Any]:
        """The settings in a TOML file, by field name.

        Raises:
            InputError: no such file, not TOML, or a setting that does not exist.
        """
        try:
            settings = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"can't read the settings in {path}: {error}") from None
        known = [field.name for field in dataclasses.fields(cls)]
        if strangers := [name for name in settings if name not in known]:
            raise InputError(f"{path} has unknown settings {', '.join(strangers)}; known: {', '.join(known)}")
        return settings

    def learning_rate_factor(self, iteration: int) -> float:
        """What the learning rates are multiplied with at a step (paper, appendix 7.2)."""
        left = self.iterations - iteration
        return min(1.0, left / self.decay_iterations) if self.decay_iterations else 1.0
