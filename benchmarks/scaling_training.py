"""The training step at several image and batch sizes, for `benchmarks.scaling`.

The loop is `training.trainer.iterate`, as `training-step` runs it, but not compiled: compiling each shape would take
longer than measuring it. The faces are in memory, so no disk is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.case import LABELS
from benchmarks.scaling_parts import Bench, Row, in_turns
from benchmarks.statistics import estimate, ratio
from stargan_rt.images import resize
from stargan_rt.models import bundled_faces
from training.checkpoint import TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space
from training.distributed import Processes
from training.trainer import iterate

PRECISION = "bfloat16"


def training(bench: Bench) -> list[Row]:
    """Iterations a second, and nanoseconds a pixel beside those of the first size and batch.

    A turn is `n_critic` iterations: as many critic steps and a generator step.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(bench.threads)
    try:
        loops: dict[tuple[int, int], Iterator[Any]] = {}
        for number, size in enumerate(bench.training_sizes):
            bench.progress("the training's networks", number, len(bench.training_sizes))
            loops |= {(size, batch): loop for batch, loop in _loops(bench, size).items()}
        for loop in loops.values():
            next(loop)  # memory is allocated, and kernels are chosen
        turns = {key: partial(_iterations_a_second, loop) for key, loop in loops.items()}
        speeds = in_turns(bench, "training", turns)
    finally:
        torch.set_num_threads(before)
    ns = {(size, batch): [1e9 / (v * batch * size**2) for v in found] for (size, batch), found in speeds.items()}
    first = bench.training_sizes[0], bench.training_batches[0]
    return [
        {
            "precision": PRECISION,
            "size": size,
            "batch": batch,
            "iterations_a_second": estimate(speeds[size, batch]).to_dict(3),
            "images_a_second": estimate([value * batch for value in speeds[size, batch]]).to_dict(2),
            "ns_a_pixel": estimate(ns[size, batch]).to_dict(0),
            "times_first": ratio(ns[size, batch], ns[first]).to_dict(3),
        }
        for size, batch in loops
    ]


def _loops(bench: Bench, size: int) -> dict[int, Iterator[Any]]:
    """Batch size → endless iterations; all of one size train the same networks, which saves a gigabyte each."""
    images = np.stack([resize(face, (size, size)) for face in bundled_faces()])
    labels = np.eye(len(LABELS), dtype=np.float32)[np.arange(len(images)) % len(LABELS)]
    data = Dataset("faces", images, labels, LABELS)
    config = TrainConfig(
        image_size=size,
        conv_dim=bench.conv_dim,
        blocks=bench.blocks,
        d_conv_dim=bench.conv_dim,
        d_layers=min(6, size.bit_length() - 1),  # the paper's, where the image is large enough
        precision=PRECISION,
    )
    state = TrainState.fresh(config, joint_space([data]))
    shared = {batch: replace(state, config=replace(config, batch_size=batch)) for batch in bench.training_batches}
    return {batch: iterate(mine, [data], Processes(0, 1, "cpu")) for batch, mine in shared.items()}


def _iterations_a_second(loop: Iterator[Any]) -> float:
    count = TrainConfig().n_critic
    start = time.perf_counter()
    for _ in range(count):
        next(loop)
    return count / (time.perf_counter() - start)
