import dataclasses

import torch

from stargan_rt import LabelSpace
from training.targets import UNSPECIFIED, draw_targets, parts, single_changes

SPACE = LabelSpace(
    {"faces": ("Black", "Blond", "Beard", "happy", "sad")}, {"hair": ("Black", "Blond"), "face": ("happy", "sad")}
)
LABELS = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [1, 0, 1, 0, 1], [0, 1, 0, 1, 0.0]])


def test_units_are_groups_and_single_labels():
    assert parts(SPACE)[0].unit.tolist() == [0, 0, 1, 2, 2]


def test_the_vector_of_a_joint_model_is_what_the_engine_encodes():
    joint = LabelSpace({"a": ("x", "y"), "b": ("happy", "sad")}, {"face": ("happy", "sad")})
    for unspecified in (0.0, UNSPECIFIED):
        space = dataclasses.replace(joint, unspecified=unspecified)
        for part, request, label in zip(parts(space), ({"x": 0, "y": 1}, "sad"), ([0, 1.0], [0, 1.0]), strict=True):
            vector = part.vector(torch.tensor([label]))[0]
            torch.testing.assert_close(vector, torch.from_numpy(space.encode(request)))


def test_the_paper_s_targets_are_labels_of_other_images():
    given, expected = draw_targets(LABELS, parts(SPACE)[0].unit, 0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(given, expected)
    assert sorted(map(tuple, given.tolist())) == sorted(map(tuple, LABELS.tolist()))


def test_partial_targets_want_what_they_leave_unspecified_kept():
    random = torch.Generator().manual_seed(0)
    label = LABELS.repeat(100, 1)
    given, expected = draw_targets(label, parts(SPACE)[0].unit, 1.0, random)
    kept = given == UNSPECIFIED
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(expected[kept], label[kept])
    torch.testing.assert_close(expected[~kept], given[~kept])
    # Groups are left unspecified as a whole.
    assert (kept[:, 0] == kept[:, 1]).all()
    assert (kept[:, 3] == kept[:, 4]).all()
    assert (kept[:, 0] != kept[:, 2]).any()


def test_single_changes_of_complete_targets():
    targets = single_changes(LABELS[:1], parts(SPACE)[0])
    assert targets[:, 0].tolist() == [
        [1, 0, 0, 1, 0],
        [0, 1, 0, 1, 0],
        [1, 0, 1, 1, 0],  # toggled
        [1, 0, 0, 1, 0],
        [1, 0, 0, 0, 1],
    ]


def test_single_changes_of_partial_targets_are_what_the_engine_encodes():
    space = dataclasses.replace(SPACE, unspecified=UNSPECIFIED)
    targets = single_changes(LABELS[:1], parts(space)[0])
    for name, target in zip(space.names, targets[:, 0], strict=True):
        torch.testing.assert_close(target, torch.from_numpy(space.encode(name)))
