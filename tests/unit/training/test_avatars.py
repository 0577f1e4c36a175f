import numpy as np
import pytest

from stargan_rt import InputError
from training.data.avatars import STYLES, avatars, draw, person


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path))
    return tmp_path


def changed(who, name, value=1.0):
    """The person's label with one label set, and its group with it."""
    kind = STYLES[who.style]
    label = who.label.copy()
    for members in kind.label_space.groups.values():
        if name in members:
            label[[kind.labels.index(m) for m in members]] = 0
    label[kind.labels.index(name)] = value
    return label


@pytest.mark.parametrize("style", STYLES)
def test_people_are_the_same_every_time_and_differ_from_each_other(style):
    again = [draw(person(5, 3, style), size=32) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert (draw(person(6, 3, style), size=32) != again[0]).any()
    assert (draw(person(5, 4, style), size=32) != again[0]).any()


@pytest.mark.parametrize("style", STYLES)
def test_every_label_changes_the_drawing_of_the_same_person(style):
    who = next(p for i in range(99) if (p := person(i, 0, style)).label[STYLES[style].labels.index("Black_Hair")])
    for name in STYLES[style].labels:
        other = "Blond_Hair" if name == "Black_Hair" else name
        on, off = (
            draw(who, changed(who, other)),
            draw(who, changed(who, other, 0.0) if name in who_single else who.label),
        )
        difference = np.abs(on.astype(int) - off).max()
        own = who.label[STYLES[style].labels.index(other)] and name not in who_single
        assert difference == 0 if own else difference > 20, name


who_single = ("Beard", "Eyeglasses", "Pale_Skin")


def test_the_labels_asked_for():
    labels = set(STYLES["avataaars"].labels)
    assert {"Beard", "Eyeglasses", "Pale_Skin"} <= labels
    expressions = {"angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"}
    groups = STYLES["avataaars"].label_space.groups
    assert set(groups["expression"]) == expressions
    assert "Blond_Hair" in groups["hair"]


def test_what_a_label_does_not_say_stays():
    who = person(1)
    background = draw(who)[:4, :4]
    for name in ("happy", "sad", "Beard", "Eyeglasses"):
        np.testing.assert_array_equal(draw(who, changed(who, name))[:4, :4], background)
    # Glasses change nothing below the eyes.
    bare, glasses = draw(who, changed(who, "Eyeglasses", 0.0)), draw(who, changed(who, "Eyeglasses"))
    np.testing.assert_array_equal(bare[96:], glasses[96:])


def test_the_data_set_is_drawn_once_and_cached(cache, monkeypatch):
    images, labels = avatars(70, 32, seed=2, workers=2)
    assert images.shape == (70, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (70, 15)
    np.testing.assert_array_equal(images[69], draw(person(69, 2), size=32))
    np.testing.assert_array_equal(labels[69], person(69, 2).label)
    monkeypatch.setattr("training.data.avatars.ProcessPoolExecutor", None)  # would fail if it drew again
    again, _ = avatars(70, 32, seed=2)
    np.testing.assert_array_equal(again, images)


def test_labels_are_balanced():
    labels = np.stack([person(i).label for i in range(800)])
    share = dict(zip(STYLES["avataaars"].labels, labels.mean(0), strict=True))
    assert all(abs(share[n] - 0.25) < 0.06 for n in share if n.endswith("_Hair"))
    assert all(abs(share[n] - 0.5) < 0.06 for n in ("Beard", "Eyeglasses", "Pale_Skin"))
    assert labels[:, 7:].sum(1).tolist() == [1] * 800


def test_wrong_arguments():
    with pytest.raises(InputError, match="unknown avatar style 'photo'; known: avataaars, toon-head"):
        avatars(4, style="photo")
    with pytest.raises(InputError, match="count of at least 1"):
        avatars(0)
