"""What the bundled model does to people it never saw, against the drawings of the same people with the other label."""

import numpy as np
import pytest

from stargan_rt import Engine
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_model, bundled_samples
from training.data.avatars import STYLES, draw, person, truth

SEED, COUNT = 77, 12


@pytest.fixture(scope="module")
def engine():
    with Engine.load("avatars") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def people():
    """Drawings and labels of people of another population than the training's."""
    who = [person(i, SEED) for i in range(COUNT)]
    return np.stack([draw(p) for p in who]), np.stack([p.label for p in who])


LABELS = STYLES["avataaars"].labels
CLOSER = 0.85
KEPT_LEVELS = 32


@pytest.mark.parametrize("name", LABELS)
def test_a_label_changes_what_it_should_and_keeps_the_rest(engine, people, name):
    images, labels = people
    lacking = labels[:, LABELS.index(name)] == 0
    right = truth(COUNT, SEED, "avataaars", 128, name, np.ones(COUNT))[lacking].astype(int)
    given, out = images[lacking].astype(int), engine.translate(images[lacking], name).astype(int)
    changed = np.abs(right - given).max(axis=3) > 20
    before, after = np.abs(given - right).mean(axis=3), np.abs(out - right).mean(axis=3)
    assert after[changed].mean() < CLOSER * before[changed].mean(), "what should change did not"
    assert after[~changed].mean() < KEPT_LEVELS, "what should stay did not"


def test_the_label_space(engine):
    assert engine.labels.names == LABELS
    assert set(engine.labels.datasets) == {"looks", "faces"}
    assert engine.labels.unspecified == 0.5
    assert set(engine.labels.groups) == {"hair", "expression"}


def test_the_files(engine):
    manifest, _ = read_onnx(bundled_model("avatars"))
    assert manifest.size == (128, 128)
    assert manifest.parity["max_levels"] <= 1
    assert len(bundled_samples()) == 6
    size = bundled_model("avatars").stat().st_size + sum(path.stat().st_size for path in bundled_samples())
    assert size < 20e6
