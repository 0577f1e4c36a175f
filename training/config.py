"""`TrainConfig` and `EvalConfig`: settings, shared by the command line and the API; a checkpoint stores its own."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_rt.errors import InputError
from stargan_rt.settings import check, setting
from training.data.spec import DataSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ARCHITECTURES = ("paper", "lite")
"""The generator of the paper, and one with a twentieth of its multiplications (`training.lite`)."""
PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}
"""Path of the settings of each preset, by name."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: there is no such file, or it is not TOML.
    """
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"can't read the settings in {path}: {error}") from None
    return settings


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the defaults are the paper's (appendix 7.2).

    The help text of each field documents it.

    Raises:
        InputError: a setting is out of range.
    """

    data: tuple[str, ...] = setting(
        ("avatars",),
        "data set: avatars, celeba:PATH, folder:PATH or table:FILE, each with ?labels=A,B&…; "
        "repeat for joint training with mask vectors",
        repeat=True,
    )
    image_size: int = setting(128, "side of the images in pixels", at_least=16)

    arch: str = setting(
        "paper", "generator: the paper's, or one with a twentieth of the multiplications", choices=ARCHITECTURES
    )
    conv_dim: int = setting(64, "channels of the generator's first convolution", at_least=1)
    blocks: int = setting(6, "residual blocks of the generator", at_least=1)
    stem: int = setting(
        2, "side of the pixel blocks that the space-to-depth of a lite generator makes one pixel of", at_least=1
    )
    bottleneck: int = setting(
        4,
        "by how much the images in the residual blocks of a lite generator are smaller: stem times a power of 2",
        at_least=1,
    )
    d_conv_dim: int = setting(64, "channels of the discriminator's first convolution", at_least=1)
    d_layers: int = setting(6, "stride-2 convolutions of the discriminator", at_least=1)

    batch_size: int = setting(16, "images in a step", at_least=1)
    iterations: int = setting(200_000, "discriminator steps on each data set", at_least=1)
    decay_iterations: int | None = setting(
        None,
        "last iterations, over which both learning rates fall linearly to 0; half of the iterations if not given",
        at_least=0,
    )
    n_critic: int = setting(5, "discriminator steps for each generator step", at_least=1)
    warm_up: int = setting(
        0, "first iterations, which train the discriminator alone; for a trained generator from --init", at_least=0
    )
    g_lr: float = setting(1e-4, "Adam's learning rate for the generator", at_least=0)
    d_lr: float = setting(1e-4, "Adam's learning rate for the discriminator", at_least=0)
    beta1: float = setting(0.5, "Adam's beta 1", at_least=0, below=1)
    beta2: float = setting(0.999, "Adam's beta 2", at_least=0, below=1)
    lambda_cls: float = setting(1.0, "weight of the classification loss", at_least=0)
    lambda_rec: float = setting(10.0, "weight of the reconstruction loss", at_least=0)
    lambda_gp: float = setting(10.0, "weight of the gradient penalty", at_least=0)

    partial_targets: float = setting(
        0.0,
        "share of targets that leave some labels unspecified (0.5), to keep these as they are in the image; paper: 0",
        at_least=0,
        at_most=1,
    )
    noise: float = setting(
        0.0,
        "largest standard deviation of the noise added to the discriminator's input, drawn for each image; keeps faint "
        "patterns from passing for a label; paper: 0",
        at_least=0,
    )
    cutout: float = setting(
        0.0,
        "sides, as a share of the image's, of a rectangle at a random place that is hidden from the discriminator; "
        "keeps a single spot from passing for a label; paper: 0",
        at_least=0,
        below=1,
    )
    label_smoothing: float = setting(
        0.0,
        "label smoothing of the classification loss, which keeps its gradient from vanishing once a faint sign of a "
        "label is recognised; paper: 0",
        at_least=0,
        below=1,
    )
    teacher: str = setting(
        "",
        "generator for the same labels, whose translations are matched: a checkpoint, an engine or 'avatars'; its "
        "image size divides this run's; paper: none",
    )
    lambda_teacher: float = setting(
        500.0, "weight of the squared difference from the teacher's translations", at_least=0
    )
    distill_iterations: int = setting(
        0, "first iterations, which train the generator on the teacher's translations alone", at_least=0
    )
    pairs: int = setting(24_000, "translations of the teacher that are computed once for these iterations", at_least=1)
    lambda_features: float = setting(
        0.1,
        "weight of the difference in the features of the teacher's discriminator, if it is a checkpoint",
        at_least=0,
    )
    nested_widths: tuple[int, ...] = setting(
        (), "conv_dim of smaller generators inside a lite one that are trained with it (weight sharing)", at_least=1
    )
    nested_depths: tuple[int, ...] = setting((), "their numbers of residual blocks", at_least=1)
    int8_iterations: int = setting(
        0, "last iterations, which train through the int8 grids that a build writes, in float32", at_least=0
    )
    int8_signed: bool = setting(False, "train through the grids of TensorRT, whose activations are signed")
    ema: float = setting(
        0.999,
        "decay of the moving average of the generator's weights, per generator step",
        at_least=0,
        below=1,
    )

    seed: int = setting(0, "seed of the initial weights and of the order of the data", at_least=0)
    device: str = setting("cpu", "'cpu' or 'cuda'; under torchrun each process takes its own GPU")
    precision: str = setting(
        "float32",
        "precision of the networks; 'float16' needs a GPU, and the gradient penalty is always float32",
        choices=("float32", "bfloat16", "float16"),
    )
    compile: bool = setting(False, "compile the networks with torch.compile")
    tensorboard: bool = setting(False, "also log to OUT/tensorboard")
    sample_every: int = setting(500, "steps between sample grids", at_least=1)
    save_every: int = setting(500, "steps between checkpoints", at_least=1)

    def __post_init__(self) -> None:
        check(self)
        if self.decay_iterations is None:
            object.__setattr__(self, "decay_iterations", self.iterations // 2)
        if (self.decay_iterations or 0) > self.iterations:
            raise InputError(
                f"decay_iterations must be at most iterations = {self.iterations}; got {self.decay_iterations} "
                "(set it with --decay-iterations)"
            )
        if self.arch == "lite":
            factor, rest = divmod(self.bottleneck, self.stem)
            if rest or not factor or factor & (factor - 1):
                raise InputError(
                    f"bottleneck must be stem = {self.stem} times a power of 2; got {self.bottleneck} "
                    "(set them with --bottleneck and --stem)"
                )
            if self.image_size % self.bottleneck:
                raise InputError(
                    f"image_size must be a multiple of bottleneck = {self.bottleneck}; got {self.image_size} "
                    "(set them with --image-size and --bottleneck)"
                )
        if self.nested_widths or self.nested_depths:
            if self.arch != "lite" or not (self.nested_widths and self.nested_depths):
                raise InputError("nested generators need arch lite and both --nested-widths and --nested-depths")
            if max(self.nested_widths) > self.conv_dim or max(self.nested_depths) > self.blocks:
                raise InputError(
                    f"nested generators fit into conv_dim {self.conv_dim} and {self.blocks} blocks; got "
                    f"--nested-widths {self.nested_widths} and --nested-depths {self.nested_depths}"
                )
        if self.distill_iterations > self.iterations:
            raise InputError(
                f"distill_iterations must be at most iterations = {self.iterations}; got {self.distill_iterations} "
                "(set it with --distill-iterations)"
            )
        if self.int8_iterations > self.iterations:
            raise InputError(
                f"int8_iterations must be at most iterations = {self.iterations}; got {self.int8_iterations} "
                "(set it with --int8-iterations)"
            )
        if self.distill_iterations and not self.teacher:
            raise InputError("distill_iterations need a teacher: add --teacher CHECKPOINT, an engine or avatars")
        if self.image_size % 4 or self.image_size % 2**self.d_layers:
            raise InputError(
                f"image_size must be a multiple of 4 and of 2**d_layers = {2**self.d_layers}; got {self.image_size} "
                "(set them with --image-size and --d-layers)"
            )
        if self.precision == "float16" and not self.device.startswith("cuda"):
            raise InputError("precision float16 needs a GPU: add --device cuda, or use --precision bfloat16")
        if not self.data:
            raise InputError("data must name at least one data set (set it with --data, such as --data avatars)")
        for text in self.data:
            DataSpec.parse(text)

    @staticmethod
    def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
        """Merge settings by field name; later layers override earlier ones.

        A layer that shortens the run without setting `decay_iterations` scales it in proportion.

            >>> TrainConfig.merge({"iterations": 20_000, "decay_iterations": 10_000}, {"iterations": 8})
            {'iterations': 8, 'decay_iterations': 4}
        """
        merged: dict[str, Any] = {}
        for layer in layers:
            before, decay = merged.get("iterations"), merged.get("decay_iterations")
            merged |= layer
            after = merged.get("iterations")
            if decay and "decay_iterations" not in layer and isinstance(before, int) and isinstance(after, int):
                merged["decay_iterations"] = decay if after >= before else decay * after // before
        return merged

    @classmethod
    def read(cls, path: Path) -> dict[str, Any]:
        """Read settings from a TOML file, by field name.

        Raises:
            InputError: no such file, not TOML, or a setting that does not exist.
        """
        settings = read_toml(path)
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in settings if name not in known]:
            raise InputError(f"{path} has unknown settings {', '.join(unknown)}; known: {', '.join(known)}")
        return settings

    def learning_rate_factor(self, iteration: int) -> float:
        """Return the factor of both learning rates at an iteration (paper, appendix 7.2)."""
        left = self.iterations - iteration
        return min(1.0, left / self.decay_iterations) if self.decay_iterations else 1.0


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; the help text of each field documents it."""

    seen: tuple[str, ...] = setting(
        (),
        "data set that it was trained on, as for `train`; repeat for a joint model",
        repeat=True,
        shown_default="as the checkpoint says; bundled models: as in the preset avatars-128",
    )
    data: tuple[str, ...] = setting(
        (),
        "unseen images, as for `train`; repeat for a joint model, in its order",
        repeat=True,
        shown_default="other avatars, or the test split",
    )
    on: int = setting(0, "number of the data set whose images are translated", at_least=0)
    weights: str = setting(
        "best", "which copy of a checkpoint's generator is evaluated", choices=("best", "averaged", "last")
    )
    classifier_steps: int = setting(1500, "training steps of each classifier, with 32 images", at_least=1)
    device: str = setting("cpu", "'cpu' or 'cuda'; engines run where they were built for")

    def __post_init__(self) -> None:
        check(self)
