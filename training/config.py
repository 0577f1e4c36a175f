"""`TrainConfig`: the settings of a training run, shared by the command line and the checkpoint."""

from __future__ import annotations

import dataclasses
import math
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
"""Path of the settings of each preset, by name."""


def _option(default: Any, help: str, at_least: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, "at_least": at_least})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the defaults are the paper's (appendix 7.2).

    The help text of each field documents it.

    Raises:
        InputError: a setting is out of range.
    """

    data: tuple[str, ...] = _option(
        ("avatars",),
        "data set: avatars, celeba:PATH, folder:PATH or table:FILE, each with ?labels=A,B&…; "
        "repeat for joint training with mask vectors",
    )
    image_size: int = _option(128, "side of the images in pixels", at_least=16)

    conv_dim: int = _option(64, "channels of the generator's first convolution", at_least=1)
    blocks: int = _option(6, "residual blocks of the generator", at_least=1)
    d_conv_dim: int = _option(64, "channels of the discriminator's first convolution", at_least=1)
    d_layers: int = _option(6, "stride-2 convolutions of the discriminator", at_least=1)

    batch_size: int = _option(16, "images in a step", at_least=1)
    iterations: int = _option(200_000, "discriminator steps on each data set", at_least=1)
    decay_iterations: int | None = _option(
        None, "last iterations, over which both learning rates fall linearly to 0; half of the iterations if not given"
    )
    n_critic: int = _option(5, "discriminator steps for each generator step", at_least=1)
    warm_up: int = _option(
        0, "first iterations, which train the discriminator alone; for a trained generator from --init", at_least=0
    )
    g_lr: float = _option(1e-4, "Adam's learning rate for the generator", at_least=0)
    d_lr: float = _option(1e-4, "Adam's learning rate for the discriminator", at_least=0)
    beta1: float = _option(0.5, "Adam's beta 1", at_least=0)
    beta2: float = _option(0.999, "Adam's beta 2", at_least=0)
    lambda_cls: float = _option(1.0, "weight of the classification loss", at_least=0)
    lambda_rec: float = _option(10.0, "weight of the reconstruction loss", at_least=0)
    lambda_gp: float = _option(10.0, "weight of the gradient penalty", at_least=0)

    partial_targets: float = _option(
        0.0,
        "share of targets that leave some labels unspecified (0.5), to keep these as they are in the image; paper: 0",
        at_least=0,
    )
    noise: float = _option(
        0.0,
        "largest standard deviation of the noise added to the discriminator's input, drawn for each image; keeps faint "
        "patterns from passing for a label; paper: 0",
        at_least=0,
    )
    cutout: float = _option(
        0.0,
        "sides, as a share of the image's, of a rectangle at a random place that is hidden from the discriminator; "
        "keeps a single spot from passing for a label; paper: 0",
        at_least=0,
    )
    label_smoothing: float = _option(
        0.0,
        "label smoothing of the classification loss, which keeps its gradient from vanishing once a faint sign of a "
        "label is recognised; paper: 0",
        at_least=0,
    )
    teacher: str = _option(
        "",
        "checkpoint of a generator for the same labels at a smaller image size, whose translations are matched at that "
        "size; paper: none",
    )
    lambda_teacher: float = _option(
        500.0, "weight of the squared difference from the teacher's translations", at_least=0
    )
    ema: float = _option(
        0.999, "decay of the moving average of the generator's weights, per generator step", at_least=0
    )

    seed: int = _option(0, "seed of the initial weights and of the order of the data", at_least=0)
    device: str = _option("cpu", "'cpu' or 'cuda'; under torchrun each process takes its own GPU")
    precision: str = _option(
        "float32", "'float32', 'bfloat16', or on a GPU 'float16'; the gradient penalty stays float32"
    )
    compile: bool = _option(False, "compile the networks with torch.compile")
    tensorboard: bool = _option(False, "log to OUT/tensorboard as well")
    sample_every: int = _option(500, "steps between sample grids", at_least=1)
    save_every: int = _option(500, "steps between checkpoints", at_least=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", tuple(self.data))
        for field in dataclasses.fields(self):
            least, value = field.metadata["at_least"], getattr(self, field.name)
            if least is not None and not least <= value < math.inf:
                raise InputError(f"{field.name} must be at least {least} and finite; got {value}")
        if self.decay_iterations is None:
            object.__setattr__(self, "decay_iterations", self.iterations // 2)
        if not 0 <= (self.decay_iterations or 0) <= self.iterations:
            raise InputError(f"decay_iterations must lie in [0, {self.iterations}]; got {self.decay_iterations}")
        if self.partial_targets > 1 or not max(self.cutout, self.label_smoothing, self.ema, self.beta1, self.beta2) < 1:
            raise InputError(
                "partial_targets must lie in [0, 1]; cutout, label_smoothing, ema, beta1 and beta2 in [0, 1)"
            )
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
