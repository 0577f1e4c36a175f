"""A training run in its folder: started, resumed, or continued from another run's networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from stargan_rt.errors import InputError
from stargan_rt.labels import LabelSpace
from training.checkpoint import TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space
from training.data.open import open_dataset
from training.distributed import join
from training.targets import UNSPECIFIED
from training.trainer import train

LATEST = "latest.pt"
"""Name of the newest checkpoint in the folder of a run."""
OpenData: TypeAlias = Callable[[TrainConfig], tuple[list[Dataset], LabelSpace]]
"""Opens the data sets of a run, with the label space of its generator."""


def labelled(config: TrainConfig) -> tuple[list[Dataset], LabelSpace]:
    """Open the data sets of a run, with the label space that they make together."""
    datasets = [open_dataset(text, config.image_size) for text in config.data]
    return datasets, joint_space(datasets, UNSPECIFIED if config.partial_targets else 0.0)


def run(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    open_data: OpenData = labelled,
    report: Callable[[str], object] = print,
) -> TrainState:
    """Train until `config.iterations`, in all processes that `torchrun` started.

    Args:
        config: the settings; see `TrainState.stored_config` for those of a run that is resumed.
        out: folder of the run; it is created if it does not exist.
        resume: continue from `out/latest.pt`.
        init: checkpoint whose networks a new run starts from.
        open_data: `labelled`, or `training.distillation.for_teacher`.
        report: receives messages for the user.

    Returns:
        The state after the last iteration.

    Raises:
        InputError: the folder can't be written, already holds a run that is not resumed, or the data, device or
            checkpoint can't be used.
        StarGANError: training diverged.
    """
    latest = out / LATEST
    if resume and init:
        raise InputError("--resume continues a run and --init starts a new one; give only one of them")
    if latest.exists() and not resume:
        raise InputError(f"{latest} already exists; continue that run with --resume, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't make the folder {out}: {error.strerror}; choose another --out") from None

    processes = join(config.device)
    try:
        with processes.first_one_first():  # the first process fills the cache
            datasets, space = open_data(config)
        state = TrainState.fresh(config, space, processes.device)
        if resume:
            state.resume(latest)
        elif init and not state.start_from(init) and processes.first:
            report(
                f"the discriminator of {init} does not fit and starts from random weights; --warm-up trains it first"
            )
        train(state, datasets, out, processes)
    finally:
        processes.close()
    return state
