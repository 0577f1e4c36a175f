"""The two loops that the training benchmark compares compute the same."""

import numpy as np
import pytest
import torch

from benchmarks.training_step import PlainLoop, measure, plain_loader
from training.batch import step_random
from training.checkpoint import TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space
from training.distributed import Processes
from training.targets import draw_targets, parts
from training.trainer import iterate


@pytest.fixture
def data(random):
    labels = (random.random((20, 4)) < 0.4).astype(np.float32)
    return Dataset("a", random.integers(0, 256, (20, 32, 32, 3), np.uint8), labels, ("a", "b", "c", "d"))


@pytest.mark.slow
def test_our_float32_losses_equal_the_plain_loop_s_for_20_iterations(data):
    config = TrainConfig(image_size=32, conv_dim=8, blocks=1, d_conv_dim=8, d_layers=3, batch_size=4, n_critic=2)
    state = TrainState.fresh(config, joint_space([data]))
    plain = PlainLoop(state)
    part = parts(state.space)[0]
    ours = iterate(state, [data], Processes(0, 1, "cpu"))
    for iteration in range(20):
        random = step_random(config.seed, iteration, 0)
        real, label = data.batch(4, random)
        target, _ = draw_targets(label, part.unit, 0.0, random)
        expected = plain.step(real, label, target, torch.rand(4, 1, 1, 1, generator=random))
        found = next(ours)
        for name, value in expected.items():
            # Rounding differs with the memory format, and grows from step to step.
            assert found[name].item() == pytest.approx(value, rel=1e-2, abs=1e-3), (iteration, name)


def test_the_plain_loader_gives_what_a_network_takes(data):
    images, labels = next(plain_loader(data, 32, 5))
    assert images.shape == (5, 3, 32, 32)
    assert -1 <= images.min() < images.max() <= 1
    assert labels.shape == (5, 4)


def test_both_loops_take_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path))
    config = TrainConfig(
        data=("avatars?count=8",), image_size=32, conv_dim=8, blocks=1, d_conv_dim=8, d_layers=3, batch_size=2
    )
    speeds = measure(config, rounds=2, iterations=1)
    assert 0 < speeds["ratio_min"] <= speeds["ratio"] <= speeds["ratio_max"]
    assert speeds["ours_it_per_s"] > 0
    assert speeds["plain_it_per_s"] > 0
