import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from stargan_rt import InputError
from training.classifier import Classifier, classify, trained_classifier
from training.data.avatars import truth
from training.data.dataset import Dataset, joint_space
from training.data.open import held_out, open_dataset, truth_of
from training.data.spec import DataSpec
from training.evaluate import evaluate, flat_rms, frechet_distance


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))


def lights(random, count):
    """Images whose labels can be seen: the red and the green channel are bright or dark."""
    labels = random.integers(0, 2, (count, 2))
    pixels = random.integers(0, 60, (count, 16, 16, 3))
    pixels[..., :2] += 180 * labels[:, None, None, :]
    return Dataset("lights", pixels.astype(np.uint8), labels.astype(np.float32), ("red", "green"))


class Perfect(torch.nn.Module):
    """Sets the channels as the label says, and leaves what is unspecified."""

    def __init__(self, wrong=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.wrong = wrong

    def forward(self, image, label):
        out = image.clone()
        for channel in range(2):
            for row, value in enumerate(label[:, channel]):
                if value != 0.5:
                    mean = out[row, channel].mean()
                    bright = (value < 0.5) if self.wrong else (value > 0.5)
                    out[row, channel] += (0.65 if bright else -0.76) - mean
        return out


@pytest.fixture
def judge(random):
    return trained_classifier(lights(random, 200), steps=60)


def test_the_classifier_learns_and_is_kept(random, judge, monkeypatch):
    unseen = lights(random, 60)
    logits, features = classify(judge, unseen.images)
    assert ((logits > 0) == unseen.labels).mean() > 0.95
    assert features.shape == (60, 128)
    monkeypatch.setattr("training.classifier.track", None)  # would fail if it trained again
    again = trained_classifier(lights(np.random.default_rng(0), 200), steps=60)
    np.testing.assert_array_equal(classify(again, unseen.images)[0], logits)


@pytest.mark.parametrize("unspecified", [0.0, 0.5])
def test_a_perfect_generator_scores_like_real_images(random, judge, unspecified):
    unseen = lights(random, 60)
    report, grid = evaluate(Perfect(), joint_space([unseen], unspecified), [unseen], [judge])
    for score in report.scores.values():
        assert score.relative_accuracy > 0.95
        assert score.changed > 0.95
        assert score.kept > 0.9
        assert score.psnr_db is None
    assert report.reconstruction_levels < 40
    assert grid.shape[2] == 3


def test_a_wrong_generator_scores_badly(random, judge):
    unseen = lights(random, 60)
    report, _ = evaluate(Perfect(wrong=True), joint_space([unseen], 0.5), [unseen], [judge])
    assert all(score.relative_accuracy < 0.1 for score in report.scores.values())


def test_the_ground_truth_is_compared_with(random, judge):
    unseen = lights(random, 20)

    def doing_nothing_is_right(name, values):
        return unseen.images

    class Identity(Perfect):
        def forward(self, image, label):
            return image + 0 * self.weight

    report, _ = evaluate(Identity(), joint_space([unseen], 0.5), [unseen], [judge], truth=doing_nothing_is_right)
    assert all(s.psnr_db is None for s in report.scores.values())  # there was nothing to do
    assert report.reconstruction_levels == 0
    for score in report.scores.values():  # those who show the label already are all that doing nothing gets right
        assert score.accuracy > 0.2
        assert score.changed == 0

    def upside_down_is_right(name, values):
        return unseen.images[:, ::-1]

    report, _ = evaluate(Identity(), joint_space([unseen]), [unseen], [judge], truth=upside_down_is_right)
    assert all(s.psnr_db == s.untouched_db for s in report.scores.values())


def test_groups_of_images_are_scored_by_skin_tone(random, judge):
    unseen = lights(random, 40)
    tones = ["dark"] * 10 + ["pale"] * 30

    class HalfWrong(Perfect):
        """Translates the first ten images of the data set wrongly."""

        def forward(self, image, label):
            good, bad = super().forward(image, label), Perfect(wrong=True)(image, label)
            dark = {first.tobytes() for first in unseen.images[:10]}
            pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            return torch.stack([b if p.tobytes() in dark else g for g, b, p in zip(good, bad, pixels, strict=True)])

    def inverted(name, values):
        return 255 - unseen.images

    report, _ = evaluate(HalfWrong(), joint_space([unseen], 0.5), [unseen], [judge], truth=inverted, tones=tones)
    for score in report.scores.values():
        assert score.tones["dark"].changed == 0
        assert score.tones["pale"].changed > 0.9
        assert score.tones["dark"].images + score.tones["pale"].images <= 40
    assert report.worst("changed")[1:] == ("dark", 0.0)
    assert report.worst("psnr_db")[2] == min(g.psnr_db for s in report.scores.values() for g in s.tones.values())
    assert report.mean("psnr_db") == pytest.approx(np.mean([s.psnr_db for s in report.scores.values()]))
    assert report.tone_table().row_count == 2


def test_flat_areas_are_those_of_one_colour_in_the_drawing():
    drawing = np.zeros((20, 20, 3), np.uint8)
    drawing[:, 10:] = 200
    picture = drawing.copy()
    picture[:, 8:12] = 100  # only the edge differs
    assert flat_rms(drawing, picture) == 0
    picture = drawing.copy()
    picture[:, :10] += 6
    assert flat_rms(drawing, picture) == pytest.approx(6 / 2**0.5)


def test_labels_of_another_data_set_are_tried_too(random, judge):
    unseen, others = lights(random, 20), lights(random, 20)
    others = Dataset("others", others.images, others.labels, ("a", "b"))
    space = joint_space([unseen, others], 0.5)
    report, _ = evaluate(Perfect(), space, [unseen, others], [judge, judge], on=1)
    assert list(report.scores) == ["red", "green", "a", "b"]
    assert report.data == "others"


def test_frechet_distance():
    random = np.random.default_rng(0)
    a = random.normal(size=(4000, 4))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, a + 3) == pytest.approx(4 * 9, rel=1e-6)
    assert frechet_distance(a, 2 * a) == pytest.approx(4 + np.square(a.mean(0)).sum(), rel=0.1)


def test_the_truth_of_avatars_is_the_same_people_with_another_label():
    data = open_dataset("avatars?count=5&seed=4", 32)
    index = data.names.index("happy")
    draws = truth_of("avatars?count=5&seed=4", 32)
    pictures = draws("happy", np.ones(5, bool))
    for picture, original, label in zip(pictures, data.images, data.labels, strict=True):
        assert (picture == original).all() == bool(label[index])
    np.testing.assert_array_equal(pictures, truth(5, 4, "avataaars", 32, "happy", np.ones(5)))
    assert truth_of("folder:somewhere", 32) is None


def test_held_out_images():
    assert held_out("avatars?labels=happy,sad&seed=2") == "avatars?labels=happy,sad&seed=1000002&count=200"
    assert held_out("celeba:/data?crop=100") == "celeba:/data?crop=100&split=test"
    with pytest.raises(InputError, match="was not trained on with --data"):
        held_out("folder:/data")
    assert str(DataSpec.parse("folder:/data?name=x")) == "folder:/data?name=x"


def test_the_command(root, tmp_path):
    environment = {**os.environ, "STARGAN_RT_CACHE": str(tmp_path / "cache")}
    small = "--image-size=32 --d-layers=3 --conv-dim=4 --d-conv-dim=4 --blocks=1 --iterations=2 --decay-iterations=0"
    line = [sys.executable, "-m", "training", "train", f"--out={tmp_path / 'run'}", "--data=avatars?count=40"]
    subprocess.run([*line, *small.split()], cwd=root, env=environment, check=True, capture_output=True)
    line = [sys.executable, "-m", "training", "evaluate", f"--checkpoint={tmp_path / 'run' / 'latest.pt'}"]
    line += [f"--out={tmp_path / 'report'}", "--data=avatars?count=12&seed=9", "--classifier-steps=4"]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Blond_Hair" in done.stdout
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["images"] == 12
    assert set(report["scores"]["happy"]) >= {
        "accuracy",
        "real_accuracy",
        "relative_accuracy",
        "changed",
        "psnr_db",
        "kept",
    }
    assert set(report["scores"]["happy"]["tones"]) <= {"pale", "light", "tan", "brown", "dark"}
    assert report["means"]["psnr_db"] > 0
    assert report["worst"]["psnr_db"][0] in report["scores"]
    assert "by skin tone" in done.stdout
    assert (tmp_path / "report" / "grid.png").exists()


def test_an_engine_is_judged_like_a_generator(root, model, tmp_path):
    environment = {**os.environ, "STARGAN_RT_CACHE": str(tmp_path / "cache")}
    labels = "Black_Hair,Blond_Hair,Beard,happy,sad"
    line = [sys.executable, "-m", "training", "evaluate", f"--engine={model}", f"--out={tmp_path / 'report'}"]

    def call(*flags):
        return subprocess.run([*line, *flags], cwd=root, env=environment, capture_output=True, text=True, check=False)

    data = (f"--data=avatars?labels={labels}&count=6&seed=9", "--classifier-steps=4")
    done = call(f"--seen=avatars?labels={labels}&count=20", *data)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["engine"] == "g.onnx"
    assert report["precision"] == "fp32"
    assert set(report["scores"]) == set(labels.split(","))
    assert "name each data set with --seen" in call(*data).stderr
    assert "have other labels than the model" in call("--seen=avatars?count=20", *data).stderr


def test_a_classifier_takes_any_size():
    assert Classifier(3)(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
