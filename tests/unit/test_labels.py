import contextlib
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_rt import LabelError, LabelSpace

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
SINGLE = LabelSpace({"CelebA": (*HAIR, "Male", "Young")}, {"hair": HAIR})
PARTIAL = LabelSpace({"CelebA": (*HAIR, "Male", "Young")}, {"hair": HAIR}, unspecified=0.5)
JOINT = LabelSpace({"CelebA": ("Male", "Young"), "RaFD": ("angry", "happy")}, {"expression": ("angry", "happy")})


@pytest.mark.parametrize(
    ("label", "vector"),
    [
        ("Blond_Hair", [0, 1, 0, 0, 0]),
        ("Blond_Hair, Young", [0, 1, 0, 0, 1]),
        ("  blond_hair ,YOUNG ", [0, 1, 0, 0, 1]),
        ("Young=0.7", [0, 0, 0, 0, 0.7]),
        ("CelebA:Male", [0, 0, 0, 1, 0]),
        ({"Blond_Hair": 1, "Male": 0}, [0, 1, 0, 0, 0]),
        ({"Male": 0.25}, [0, 0, 0, 0.25, 0]),
        ([0, 0, 1, 1, 0], [0, 0, 1, 1, 0]),
        (np.array([0, 0, 1, 1, 0]), [0, 0, 1, 1, 0]),
    ],
)
def test_encode(label, vector):
    encoded = SINGLE.encode(label)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, vector)


def test_names_that_differ_in_case_only_are_told_apart():
    space = LabelSpace({"a": ("Happy", "happy")})
    assert space.encode("Happy").tolist() == [1, 0]
    assert space.encode("happy").tolist() == [0, 1]


def test_a_vector_is_copied():
    given = np.zeros(5, np.float32)
    encoded = SINGLE.encode(given)
    given[:] = 1
    assert encoded.sum() == 0


def test_joint_spaces_keep_the_groups_of_each_data_set():
    space = LabelSpace.joint({"A": ("x", "sad"), "B": ("x", "y")}, {"A": {"g": ("x", "sad")}, "B": {"g": ("x", "y")}})
    assert space.names == ("A:x", "sad", "B:x", "y")
    assert space.groups == {"g": ("A:x", "sad"), "B g": ("B:x", "y")}


def test_unmentioned_labels_are_kept_after_partial_training():
    # A group that is mentioned is settled whole; everything else stays as in the image.
    np.testing.assert_allclose(PARTIAL.encode("Blond_Hair"), [0, 1, 0, 0.5, 0.5])
    np.testing.assert_allclose(PARTIAL.encode({"Male": 0}), [0.5, 0.5, 0.5, 0, 0.5])
    np.testing.assert_allclose(PARTIAL.encode({"Blond_Hair": 0}), [0.5, 0, 0.5, 0.5, 0.5])


def test_joint_models_get_their_mask():
    assert JOINT.dim == 6
    np.testing.assert_allclose(JOINT.encode("Young"), [0, 1, 0, 0, 1, 0])
    np.testing.assert_allclose(JOINT.encode("happy"), [0, 0, 0, 1, 0, 1])


def test_labels_of_several_data_sets_take_a_pass_each():
    with pytest.raises(LabelError, match="labels of several data sets"):
        JOINT.encode("Young, happy")
    first, second = JOINT.passes("happy, Young")
    np.testing.assert_allclose(first, JOINT.encode("happy"))
    np.testing.assert_allclose(second, JOINT.encode("Young"))
    assert len(JOINT.passes({"Young": 1})) == len(JOINT.passes([0] * JOINT.dim)) == 1


def test_joint_partial_models_leave_the_other_data_set_unspecified():
    space = dataclasses.replace(JOINT, unspecified=0.5)
    np.testing.assert_allclose(space.encode("happy"), [0.5, 0.5, 0, 1, 0, 1])


def test_a_name_in_two_data_sets_must_be_qualified():
    space = LabelSpace({"A": ("happy", "x"), "B": ("happy",)})
    assert space.names == ("A:happy", "x", "B:happy")
    np.testing.assert_allclose(space.encode("B:happy"), [0, 0, 1, 0, 1])
    with pytest.raises(LabelError, match="A:happy or B:happy"):
        space.encode("happy")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("Blond_Hiar", "did you mean Blond_Hair?"),
        ("nonsense", "this model knows: Black_Hair"),
        ("Blond_Hair, Black_Hair", "exclude each other"),
        ("", "no label given"),
        ({}, "no label given"),
        ("Young=0.2, young=0.9", "Young is given twice"),
        ({"Young": 0.2, "YOUNG": 0.9}, "Young is given twice"),
        ({1: 1}, "a label name is a string; got 1"),
        ({"Young": 10**400}, "must be a number"),
        ({"Blond_Hair", "Young"}, "got set"),
        (np.zeros(5, complex), "a vector of 5 numbers"),
        (3, "got int"),
        ("Young=much", "not a number"),
        ({"Young": "much"}, "must be a number"),
        ({"Young": float("nan")}, r"lie in \[0, 1\]"),
        ({"Young": 1.5}, r"lie in \[0, 1\]"),
        ([0, 1], r"5 values .* got shape \(2,\)"),
        ([0, 0, 0, 0, float("nan")], r"numbers in \[0, 1\]"),
        ([0, 0, 0, 0, -1], r"numbers in \[0, 1\]"),
        (None, "got NoneType"),
        (object(), "got object"),
    ],
)
def test_wrong_labels_are_refused(label, message):
    with pytest.raises(LabelError, match=message):
        SINGLE.encode(label)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "at least one label"),
        (({"A": ("x", "x")},), "named twice"),
        (({"A": ("x=1",)},), "printable text"),
        (({"A": ("x/../y",)},), "printable text"),
        (({"A:B": ("x",)},), "printable text"),
        (({"A": ("x",)}, {"g": ("y",)}), "do not exist: y"),
        (({"A": ("x",), "B": ("y",)}, {"g": ("x", "y")}), "spans several"),
        (({"A": ("x",)}, {}, 2.0), "unspecified"),
    ],
)
def test_impossible_spaces_are_refused(arguments, message):
    with pytest.raises(LabelError, match=message):
        LabelSpace(*arguments)


@pytest.mark.parametrize("space", [SINGLE, PARTIAL, JOINT])
def test_round_trip_through_json(space):
    assert LabelSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.parametrize("data", [{}, {"datasets": 3}, {"datasets": {"A": ["x"]}, "unspecified": "?"}, None])
def test_damaged_descriptions_are_refused(data):
    with pytest.raises(LabelError):
        LabelSpace.from_dict(data)


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,11}", fullmatch=True)
spaces = st.builds(
    lambda labels, split: LabelSpace({"a": labels[:split], "b": labels[split:]} if split else {"a": labels}),
    st.lists(names, min_size=2, max_size=12, unique_by=str.casefold),
    st.integers(0, 1),
)


@given(spaces, st.data())
def test_any_single_label_encodes_to_itself(space, data):
    name = data.draw(st.sampled_from(space.names))
    value = data.draw(st.floats(0, 1, width=32))
    vector = space.encode({name: value})
    assert vector.shape == (space.dim,)
    assert vector[space.names.index(name)] == np.float32(value)
    np.testing.assert_array_equal(space.encode(vector), vector)
    assert vector[len(space.names) :].sum() == (1 if len(space.datasets) > 1 else 0)


@given(st.text(max_size=30))
def test_any_text_is_a_label_or_a_label_error(text):
    with contextlib.suppress(LabelError):
        assert SINGLE.encode(text).shape == (5,)
