"""`distill`: a small generator learns a larger one's translations from images that need no labels."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from export.__main__ import main as export_main
from stargan_rt import Engine, InputError, LabelSpace
from stargan_rt.manifest import read_onnx
from training.__main__ import main as training_main
from training.checkpoint import TrainState, read_checkpoint
from training.config import TrainConfig
from training.losses import distillation_loss
from training.pairs import cached_pairs
from training.targets import draw_requests
from training.teacher import Teacher

PARTIAL = LabelSpace(
    {"looks": ("Black_Hair", "Blond_Hair", "Beard"), "faces": ("happy", "sad")},
    {"hair": ("Black_Hair", "Blond_Hair"), "expression": ("happy", "sad")},
    unspecified=0.5,
)
SMALL = ("--conv-dim", "8", "--blocks", "1", "--d-conv-dim", "4", "--batch-size", "2", "--pairs", "8")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(random, tmp_path):
    """A folder of images without labels."""
    for number in range(4):
        path = tmp_path / "pictures" / "deeper" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), random.integers(0, 256, (40, 36, 3), np.uint8))
    return tmp_path / "pictures"


def distill(*arguments):
    training_main(["distill", *map(str, arguments)], standalone_mode=False)


def test_requests_set_one_label_of_a_group_and_the_mask_of_its_data_set():
    drawn = draw_requests(PARTIAL, 400, torch.Generator().manual_seed(0))
    assert drawn.shape == (400, PARTIAL.dim)
    assert (drawn[:, 5:].sum(1) == 1).all()
    looks, faces = drawn[drawn[:, 5] == 1], drawn[drawn[:, 6] == 1]
    assert min(len(looks), len(faces)) > 150
    assert (looks[:, 3:5] == 0.5).all()  # the other data set's labels
    assert set(looks[:, :2].sum(1).tolist()) == {1.0}  # one hair colour, or both unspecified: 0.5 + 0.5
    assert {0.0, 0.5, 1.0} == set(looks[:, 2].tolist())
    single = [PARTIAL.encode(name) for name in PARTIAL.names]
    assert all((drawn == torch.from_numpy(vector)).all(1).sum() > 20 for vector in single)


def test_requests_of_a_generator_without_partial_targets_are_whole():
    space = dataclasses.replace(PARTIAL, unspecified=0.0)
    drawn = draw_requests(space, 200, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    looks = drawn[drawn[:, 5] == 1]
    assert (looks[:, :2].sum(1) == 1).all()
    assert 0.3 < looks[:, 2].mean() < 0.7


class Counting:
    """A teacher that inverts images and counts; it may fail after a number of calls."""

    def __init__(self, fail_after=10**9):
        self.images, self.calls_left = 0, fail_after

    def __call__(self, images, labels):
        if not self.calls_left:
            raise KeyboardInterrupt
        self.calls_left -= 1
        self.images += len(images)
        return 255 - images


def test_translations_are_computed_once(random):
    images, teacher = random.integers(0, 256, (5, 16, 16, 3), np.uint8), Counting()
    first = cached_pairs(teacher, "a", [images, images[:2]], PARTIAL, 100)
    again = cached_pairs(teacher, "a", [images, images[:2]], PARTIAL, 100)
    assert teacher.images == 100
    inputs, _ = again.inputs(np.arange(100))
    np.testing.assert_array_equal(again.translations, 255 - inputs)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert 20 < again.mirrored.sum() < 80
    cached_pairs(teacher, "another", [images, images[:2]], PARTIAL, 100)
    assert teacher.images == 200


def test_an_interrupted_computation_resumes(random):
    images = random.integers(0, 256, (5, 16, 16, 3), np.uint8)
    with pytest.raises(KeyboardInterrupt):
        cached_pairs(Counting(fail_after=2), "a", [images], PARTIAL, 300)
    teacher = Counting()
    pairs = cached_pairs(teacher, "a", [images], PARTIAL, 300)
    assert teacher.images == 300 - 2 * 64
    np.testing.assert_array_equal(pairs.translations, 255 - pairs.inputs(np.arange(300))[0])


def test_batches_hold_images_and_their_own_translations(random):
    images = random.integers(0, 256, (5, 16, 16, 3), np.uint8)
    pairs = cached_pairs(Counting(), "a", [images], PARTIAL, 20)
    image, label, expected = pairs.batch(6, torch.Generator().manual_seed(0))
    assert image.shape == expected.shape == (6, 3, 16, 16)
    assert label.shape == (6, PARTIAL.dim)
    torch.testing.assert_close(expected, -image)


def test_a_difference_where_the_label_changes_the_image_counts_more():
    image = torch.zeros(1, 3, 32, 32)
    expected = image.clone()
    expected[..., 8:16, 8:16] = 1.0
    inside, outside = expected.clone(), expected.clone()
    inside[..., 10:14, 10:14] -= 0.5
    outside[..., 22:26, 22:26] += 0.5
    assert distillation_loss(image, expected, expected) == 0
    assert distillation_loss(image, expected, inside) > 3 * distillation_loss(image, expected, outside)


def test_a_student_learns_an_engine_s_translations_of_images_without_labels(model, pictures, tmp_path):
    out = tmp_path / "run"
    line = ("--teacher", model, "--data", f"images:{pictures}", "--out", out, "--d-layers", "2", *SMALL)
    distill(*line, "--iterations", 2, "--sample-every", 1)
    data = read_checkpoint(out / "latest.pt")
    assert data["iteration"] == 2
    assert data["model"] == {"arch": "lite", "label_dim": 5, "conv_dim": 8, "blocks": 1, "stem": 2, "bottleneck": 4}
    assert set(data["scores"]) == {"averaged", "last"}
    assert list((out / "samples").glob("*.png"))

    distill("--out", out, "--resume", "--iterations", 4)
    assert read_checkpoint(out / "latest.pt")["iteration"] == 4

    export_main(["--checkpoint", str(out / "latest.pt"), "--output", str(tmp_path / "s.onnx")], standalone_mode=False)
    manifest, _ = read_onnx(tmp_path / "s.onnx")
    assert (manifest.arch, manifest.conv_dim, manifest.stem) == ("lite", 8, 2)
    with Engine.load(tmp_path / "s.onnx") as student, Engine.load(model) as teacher:
        assert student.labels == teacher.labels
        assert student.size == teacher.size


def test_distillation_brings_the_student_near_to_its_teacher(model, pictures, tmp_path):
    out = tmp_path / "run"
    line = ("--teacher", model, "--data", f"images:{pictures}", "--out", out, "--d-layers", "2", *SMALL)
    distill(*line, "--iterations", 60, "--g-lr", 5e-3, "--ema", 0.9)
    rows = [line for line in (out / "log.jsonl").read_text().splitlines() if line]
    losses = [float(row.split('"G/pairs": ')[1].split(",")[0].rstrip("}")) for row in rows]
    assert losses[-1] < 0.8 * losses[0]


def test_a_checkpoint_teaches_with_its_discriminator_too(checkpoint, pictures, tmp_path):
    teacher = Teacher.open(str(checkpoint))
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    assert teacher.feature_loss(image, image) == 0
    assert teacher.feature_loss(image, image + 0.1) > 0
    out = tmp_path / "run"
    distill("--teacher", checkpoint, "--data", f"images:{pictures}", "--out", out, *SMALL, "--iterations", 1)
    kept, own = (read_checkpoint(path)["discriminator"] for path in (out / "latest.pt", checkpoint))
    assert kept.keys() == own.keys()
    assert all(torch.equal(kept[name], own[name]) for name in own)


def test_adversarial_iterations_follow_on_images_with_the_teachers_labels(tmp_path):
    names = "labels=Black_Hair,Blond_Hair,Beard"
    config = TrainConfig(
        data=(f"avatars?count=8&{names}",), image_size=32, conv_dim=4, blocks=1, d_conv_dim=4, d_layers=2
    )
    space = LabelSpace({"avatars": ("Black_Hair", "Blond_Hair", "Beard")}, {"hair": ("Black_Hair", "Blond_Hair")})
    TrainState.fresh(config, space).save(tmp_path / "teacher.pt")
    line = ("--teacher", tmp_path / "teacher.pt", "--out", tmp_path / "run", *SMALL)
    distill(*line, "--iterations", 3, "--distill-iterations", 2)
    before, after = (
        read_checkpoint(path)["discriminator"] for path in (tmp_path / "teacher.pt", tmp_path / "run/latest.pt")
    )
    assert not all(torch.equal(after[name], before[name]) for name in before)


def test_adversarial_iterations_need_labels(model, pictures, tmp_path):
    line = ("--teacher", model, "--data", f"images:{pictures}", "--out", tmp_path / "run", "--d-layers", "2", *SMALL)
    with pytest.raises(InputError, match="need images with the teacher's labels"):
        distill(*line, "--iterations", 3, "--distill-iterations", 2)


def test_images_without_labels_are_refused_by_train(pictures, tmp_path):
    with pytest.raises(InputError, match="has no labels"):
        training_main(["train", "--data", f"images:{pictures}", "--out", str(tmp_path / "run")], standalone_mode=False)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [(None, "distill needs a teacher"), ("nowhere.onnx", "no teacher at nowhere.onnx")],
)
def test_a_missing_teacher_is_a_clear_error(teacher, message, tmp_path):
    with pytest.raises(InputError, match=message):
        distill("--out", tmp_path / "run", *(["--teacher", teacher] if teacher else []))


def test_a_bare_state_dict_as_a_teacher_says_how_to_export_it(checkpoint, tmp_path):
    torch.save(read_checkpoint(checkpoint)["generator"], tmp_path / "200000-G.ckpt")
    with pytest.raises(InputError, match=r"python -m export --checkpoint .*200000-G\.ckpt --labels"):
        distill("--teacher", tmp_path / "200000-G.ckpt", "--out", tmp_path / "run")


def test_a_teacher_of_another_size_is_refused(model, pictures, tmp_path):
    line = ("--teacher", model, "--data", f"images:{pictures}", "--out", tmp_path / "run", *SMALL, "--iterations", 1)
    with pytest.raises(InputError, match="--image-size 32"):
        distill(*line, "--image-size", 64, "--d-layers", 2)
