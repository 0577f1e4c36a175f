"""Label encoding, compared with plain Python work of the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.suite.conftest import Against
from stargan_rt import Engine, LabelSpace

CALLS = 200
"""Labels encoded in a round: one takes microseconds."""
SPACE = LabelSpace(
    {"looks": ("Black_Hair", "Blond_Hair", "Gray_Hair", "Beard", "Eyeglasses"), "faces": ("happy", "sad")},
    {"hair": ("Black_Hair", "Blond_Hair", "Gray_Hair"), "expression": ("happy", "sad")},
    unspecified=0.5,
)
PLAIN = "name_3, name_17, name_5"
EXPECTED = [0, 1, 0, 0.5, 1, 0.5, 0.5, 1, 0]


def plain_python() -> int:
    """Split, look up and count, as encoding does, without the package."""
    table = {f"name_{i}": i for i in range(20)}
    total = 0
    for _ in range(300):
        names = [part.strip() for part in PLAIN.split(",")]
        total += sum({name: table[name] for name in names if name in table}.values())
    return total


@pytest.mark.parametrize(
    "label",
    ["Blond_Hair, Eyeglasses", {"Blond_Hair": 1, "Eyeglasses": 1.0}, EXPECTED, np.array(EXPECTED)],
    ids=["text", "mapping", "sequence", "array"],
)
def test_encode(against: Against, label):
    vector = against(lambda: [SPACE.encode(label) for _ in range(CALLS)][-1], plain_python)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, EXPECTED)


def test_encode_text_again(against: Against):
    """Get the vectors of a text that `Engine.translate` has seen before."""
    with Engine.load("avatars") as engine:
        text = "Blond_Hair, Eyeglasses"
        (vector,) = against(lambda: [engine._passes(text) for _ in range(50 * CALLS)][-1], plain_python)
        np.testing.assert_array_equal(vector, engine.labels.encode(text))
