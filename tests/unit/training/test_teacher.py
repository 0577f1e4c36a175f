import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stargan_rt import InputError
from training.checkpoint import TrainState
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space
from training.distributed import Processes
from training.teacher import Teacher
from training.trainer import iterate, train

NAMES = ("Blond", "Beard")
ALONE = Processes(0, 1, "cpu")
CONFIG = TrainConfig(
    image_size=32,
    conv_dim=4,
    blocks=1,
    d_conv_dim=4,
    d_layers=2,
    batch_size=4,
    n_critic=1,
    iterations=20,
    save_every=50,
)


def people(random, size, names=NAMES):
    pixels = random.integers(0, 256, (8, size, size, 3), np.uint8)
    return Dataset("looks", pixels, (random.random((8, len(names))) < 0.5).astype(np.float32), names)


def fresh(data, **changes):
    return TrainState.fresh(dataclasses.replace(CONFIG, **changes), joint_space([data]))


@pytest.fixture
def small(random, tmp_path):
    """A checkpoint of 16x16."""
    path = tmp_path / "small.pt"
    fresh(people(random, 16), image_size=16).save(path)
    return path


def test_what_halves_to_the_teachers_translation_is_right(random, small):
    state = fresh(people(random, 32), teacher=str(small))
    teacher = Teacher.from_config(state.config, state.space, "cpu")
    image, label = torch.rand(3, 3, 32, 32) * 2 - 1, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    with torch.no_grad():
        expected = teacher.generator(F.avg_pool2d(image, 2), label)
    detail = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 16)  # of the larger image alone
    right = F.interpolate(expected, scale_factor=2) + detail
    assert teacher.loss(image, label, right) < 1e-6
    torch.testing.assert_close(teacher.loss(image, label, right + 0.25), torch.tensor(0.25**2))


def test_a_generator_comes_to_do_as_its_teacher(random, small):
    data = people(random, 32)
    state = fresh(
        data, teacher=str(small), iterations=80, decay_iterations=0, g_lr=4e-3, lambda_cls=0.0, lambda_rec=0.0
    )
    teacher = Teacher.from_config(state.config, state.space, "cpu")
    losses = [step["G/teacher"].item() for step in iterate(state, [data], ALONE, teacher)]
    assert np.mean(losses[-10:]) < 0.7 * losses[0]
    assert not any(weight.requires_grad and weight.grad is not None for weight in teacher.generator.parameters())


def test_a_run_takes_up_a_teacher_and_drops_it(random, small, tmp_path):
    data, latest = people(random, 32), tmp_path / "run" / "latest.pt"
    latest.parent.mkdir()
    train(fresh(data, teacher=str(small)), [data], latest.parent, ALONE)
    assert '"G/teacher"' in (latest.parent / "log.jsonl").read_text()
    config = TrainState.stored_config(latest, {"teacher": "", "iterations": 30})
    state = TrainState.fresh(config, joint_space([data]))
    state.resume(latest)
    train(state, [data], latest.parent, ALONE)
    assert '"G/teacher"' not in (latest.parent / "log.jsonl").read_text().splitlines()[-1]


def test_teachers_that_can_not_teach_are_refused(random, small):
    data = people(random, 32)
    for changes, message in (
        ({"teacher": "missing.pt"}, "no teacher at missing.pt: name another by --teacher"),
        ({"teacher": str(small), "image_size": 24}, "trained at image size 16, which does not divide the run's 24"),
        ({"teacher": str(small), "partial_targets": 0.5}, None),
    ):
        config = dataclasses.replace(CONFIG, **changes)
        space = joint_space([data], 0.5 if config.partial_targets else 0.0)
        with pytest.raises(InputError, match=message):
            Teacher.from_config(config, space, "cpu")
    others = joint_space([people(random, 32, ("Blond", "Pale"))])
    with pytest.raises(InputError, match=r"has the labels .*Beard.*, the run .*Pale.*must be equal"):
        Teacher.from_config(dataclasses.replace(CONFIG, teacher=str(small)), others, "cpu")
