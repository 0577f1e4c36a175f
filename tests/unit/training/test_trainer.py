import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from stargan_rt import InputError, StarGANError
from stargan_rt.images import read_image
from training.batch import Batch, step_random
from training.checkpoint import TrainState, generator_weights, read_checkpoint
from training.config import PRESETS, TrainConfig
from training.data.dataset import Dataset, joint_space, to_network, to_pictures
from training.distributed import Processes
from training.losses import classification_loss, generator_loss
from training.targets import UNSPECIFIED, parts
from training.trainer import iterate, train
from training.watch import score

SMALL = {"image_size": 16, "conv_dim": 4, "blocks": 1, "d_conv_dim": 4, "d_layers": 2, "batch_size": 4, "n_critic": 2}


ALONE = Processes(0, 1, "cpu")


@pytest.fixture
def data(random):
    labels = (random.random((20, 4)) < 0.3).astype(np.float32)
    pixels = random.integers(0, 256, (20, 16, 16, 3), np.uint8)
    return Dataset("looks", pixels, labels, ("Black", "Blond", "Beard", "Pale"), {"hair": ("Black", "Blond")})


@pytest.fixture
def faces(random):
    labels = np.eye(3, dtype=np.float32)[random.integers(0, 3, 12)]
    names = ("angry", "happy", "sad")
    return Dataset("faces", random.integers(0, 256, (12, 16, 16, 3), np.uint8), labels, names, {"face": names}, True)


def fresh(datasets, **changes):
    settings = {**SMALL, "iterations": 6, "decay_iterations": 2, "save_every": 3, "sample_every": 5, **changes}
    config = TrainConfig(**settings)
    return TrainState.fresh(config, joint_space(datasets, UNSPECIFIED if config.partial_targets else 0.0))


def run(data, out, **changes):
    datasets = data if isinstance(data, list) else [data]
    state = fresh(datasets, **changes)
    out.mkdir(exist_ok=True)
    train(state, datasets, out, ALONE)
    return state


def resume(path, datasets, **changes):
    config = TrainState.stored_config(path, changes)
    state = TrainState.fresh(config, joint_space(datasets, UNSPECIFIED if config.partial_targets else 0.0))
    state.resume(path)
    return state


def losses(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "it_per_s"} for line in lines]


def test_a_run_leaves_a_checkpoint_samples_and_a_log(data, tmp_path):
    run(data, tmp_path, iterations=10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.pt", "log.jsonl", "samples"]
    assert read_image(tmp_path / "samples" / "000010.png").shape == (8 * 16, 5 * 16, 3)
    assert set(losses(tmp_path)[0]) == {"iteration", "D/adv", "D/cls", "D/gp", "G/adv", "G/cls", "G/rec"}


def test_the_checkpoint_tells_everything(data, tmp_path):
    state = run(data, tmp_path)
    found = read_checkpoint(tmp_path / "latest.pt")
    assert found["iteration"] == 6
    assert found["model"] == {"label_dim": 4, "conv_dim": 4, "blocks": 1}
    assert found["labels"] == joint_space([data]).to_dict()
    assert found["config"]["batch_size"] == 4
    assert {"g_optimizer", "d_optimizer", "averaged_generator", "discriminator"} <= set(found)
    for key, value in state.generator.state_dict().items():
        torch.testing.assert_close(found["generator"][key], value)


class Stopped(BaseException):
    """Stands for Ctrl-C, at a known iteration."""


class StopsAt(Dataset):
    """A data set that ends the run on its n-th batch."""

    def batch(self, size, random):
        batches = self.__dict__.setdefault("batches", [])
        batches.append(1)
        if len(batches) == 18:
            raise Stopped
        return super().batch(size, random)


@pytest.mark.parametrize("joint", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one(data, faces, tmp_path, joint):
    datasets = [data, faces] if joint else [data]
    settings = {"iterations": 40, "decay_iterations": 20, "save_every": 100, "sample_every": 100}
    whole = run(datasets, tmp_path / "whole", **settings)
    out = tmp_path / "parts"
    with pytest.raises(Stopped):
        run([StopsAt(**vars(data)), *datasets[1:]], out, **settings)
    resumed = resume(out / "latest.pt", datasets)
    assert resumed.iteration == 17
    assert resumed.config == whole.config
    train(resumed, datasets, out, ALONE)
    for key, value in whole.generator.state_dict().items():
        torch.testing.assert_close(resumed.generator.state_dict()[key], value, rtol=0, atol=0)
    assert losses(out) == losses(tmp_path / "whole")


def test_the_learning_rate_falls_to_zero_over_the_last_steps():
    config = TrainConfig(iterations=200)
    factors = [config.learning_rate_factor(i) for i in (0, 100, 150, 199)]
    assert factors == [1.0, 1.0, 0.5, 0.01]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(data, tmp_path):
    run(data, tmp_path)
    good = (tmp_path / "latest.pt").read_bytes()
    state = resume(tmp_path / "latest.pt", [data], iterations=20)
    with torch.no_grad():
        state.discriminator.conv1.weight.fill_(float("nan"))
    with pytest.raises(StarGANError, match="no longer finite at iteration 9"):
        train(state, [data], tmp_path, ALONE)
    assert (tmp_path / "latest.pt").read_bytes() == good


def test_joint_training_only_learns_what_is_known(data, faces, tmp_path):
    """Without its own images, the classifier's weights of a data set would stay as they were."""
    state = run([data, faces], tmp_path, iterations=4)
    assert state.space.dim == 4 + 3 + 2
    assert state.space.groups == {"hair": ("Black", "Blond"), "face": ("angry", "happy", "sad")}
    before = fresh([data, faces]).discriminator.conv2.weight
    changed = (state.discriminator.conv2.weight - before).abs().flatten(1).sum(1) > 0
    assert changed.all()
    part = parts(state.space)[0]
    logits = torch.zeros(2, 7, requires_grad=True)
    classification_loss(logits[:, part.where], torch.ones(2, 4)).backward()
    assert (logits.grad[:, :4] != 0).all()
    assert (logits.grad[:, 4:] == 0).all()
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == ["faces-000004.png", "looks-000004.png"]


def test_the_warm_up_trains_the_discriminator_alone(data, tmp_path):
    before = fresh([data])
    state = run(data, tmp_path, iterations=6, warm_up=6)
    for key, value in before.generator.state_dict().items():
        torch.testing.assert_close(state.generator.state_dict()[key], value, rtol=0, atol=0)
    assert (state.discriminator.conv1.weight != before.discriminator.conv1.weight).any()
    assert (run(data, tmp_path / "b", warm_up=4).generator.main[0].weight != before.generator.main[0].weight).any()


def test_two_data_sets_of_one_name_are_refused(data):
    with pytest.raises(InputError, match="must have different names"):
        joint_space([data, data])


def test_mixed_precision_and_partial_targets_run(data, tmp_path):
    state = run(data, tmp_path, precision="bfloat16", partial_targets=0.8)
    assert all(p.dtype == torch.float32 for p in state.generator.parameters())


def test_training_learns_a_label_that_can_be_seen(random, tmp_path):
    """Bright and dark images: the classifier tells them apart, and the generator learns to make them."""
    bright = random.random(40) < 0.5
    pixels = (random.integers(0, 90, (40, 16, 16, 3)) + 160 * bright[:, None, None, None]).astype(np.uint8)
    data = Dataset("light", pixels, bright[:, None].astype(np.float32), ("bright",))
    state = run(data, tmp_path, iterations=240, decay_iterations=0, d_lr=2e-3, g_lr=2e-3, ema=0.9, save_every=500)
    log = losses(tmp_path)
    assert log[-1]["D/cls"] < 0.2 < log[0]["D/cls"]
    images = to_network(pixels[:8])
    with torch.no_grad():
        lit, unlit = (state.averaged(images, torch.full((8, 1), value)) for value in (1.0, 0.0))
    assert (lit - unlit).mean() > 0.1


def test_pictures_survive_the_way_to_the_network_and_back(data):
    np.testing.assert_array_equal(to_pictures(to_network(data.images)), data.images)
    assert to_network(data.images).min() >= -1
    assert to_network(data.images).max() <= 1


def test_batches_are_mirrored_half_of_the_time(data):
    batch, labels = data.batch(400, torch.Generator().manual_seed(0))
    assert batch.shape == (400, 3, 16, 16)
    assert labels.shape == (400, 4)
    straight = {i.tobytes() for i in data.images}
    share = np.mean([i.tobytes() in straight for i in to_pictures(batch)])
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "multiple of 4 and of"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"n_critic": 0}, "n_critic must be at least 1"),
        ({"decay_iterations": 300_000}, r"at most iterations = 200000; got 300000 \(set it with --decay-iterations\)"),
        ({"ema": 1.0}, r"ema must lie in \[0, 1\); got 1.0 \(set it with --ema\)"),
        ({"beta1": 1.0}, r"beta1 must lie in \[0, 1\)"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"warm_up": -1}, r"warm_up must be at least 0; got -1 \(set it with --warm-up\)"),
        ({"g_lr": -1.0}, "g_lr must be at least 0"),
        ({"lambda_gp": float("nan")}, "lambda_gp must be at least 0 and finite"),
        ({"precision": "int8"}, "precision must be one of float32, bfloat16, float16; got 'int8'"),
        ({"precision": "float16"}, "needs a GPU: add --device cuda"),
        ({"data": ("imagenet",)}, "unknown data set 'imagenet'.*known: avatars, celeba"),
        ({"data": ("celeba",)}, "the path is missing: celeba:PATH"),
        ({"data": ("avatars:x",)}, "take no path"),
        ({"data": ("avatars?colour=red",)}, "unknown option colour; known: count, labels"),
        ({"data": ()}, "at least one data set"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**changes)


def test_checkpoints_that_can_not_be_used_are_refused(data, tmp_path):
    run(data, tmp_path / "run")
    latest = tmp_path / "run" / "latest.pt"
    cut = tmp_path / "cut.pt"
    cut.write_bytes(latest.read_bytes()[:1000])
    torch.save({"main.0.weight": torch.zeros(1)}, tmp_path / "bare.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"x": TrainConfig()}, tmp_path / "code.pt")
    newer = read_checkpoint(latest)
    torch.save({**newer, "config": {**newer["config"], "magic": 1}}, tmp_path / "newer.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").touch()
    for name, message in (
        ("missing.pt", "no checkpoint at"),
        ("cut.pt", "damaged or not a PyTorch checkpoint"),
        ("text.pt", "damaged or not a PyTorch checkpoint"),
        ("bare.pt", "not a checkpoint of `python -m training train`"),
        ("list.pt", "contains a list"),
        ("code.pt", "unpickling other objects can run code"),
        ("empty.pt", "damaged or not a PyTorch checkpoint"),
        ("newer.pt", r"settings that are unknown to this version \(magic\)"),
    ):
        with pytest.raises(InputError, match=message):
            TrainState.stored_config(tmp_path / name, {})
    with pytest.raises(InputError, match=r"trained with --partial-targets 0\.0"):
        resume(latest, [data], partial_targets=0.8)
    with pytest.raises(InputError, match="another architecture"):
        resume(latest, [data], conv_dim=8)


def test_a_run_can_start_from_the_generator_of_a_smaller_size(data, tmp_path):
    small = run(data, tmp_path / "a")
    state = fresh([data], image_size=32, d_layers=3)
    state.start_from(tmp_path / "a" / "latest.pt")
    for key, value in small.averaged.state_dict().items():
        if key == "main.0.weight":  # labels come in along the border, whose share of the image is half as large
            value = torch.cat([value[:, :3], 2 * value[:, 3:]], dim=1)
        torch.testing.assert_close(state.generator.state_dict()[key], value)
    with pytest.raises(InputError, match="another width or depth"):
        fresh([data], conv_dim=8).start_from(tmp_path / "a" / "latest.pt")


def test_a_start_transfers_labels_by_name_and_the_discriminator_where_it_fits(data, faces, tmp_path):
    alone = run(data, tmp_path / "a")
    both = fresh([faces, data])
    both.start_from(tmp_path / "a" / "latest.pt")
    image = torch.rand(2, 3, 16, 16)
    label = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    among = torch.cat([torch.rand(2, 3), label, torch.rand(2, 2)], dim=1)  # faces, looks, mask
    with torch.no_grad():
        torch.testing.assert_close(both.generator(image, among), alone.averaged(image, label))
    again = fresh([data])
    again.start_from(tmp_path / "a" / "latest.pt")
    for key, value in alone.discriminator.state_dict().items():
        torch.testing.assert_close(again.discriminator.state_dict()[key], value)


def test_a_discriminator_grows_with_the_image_size(data, tmp_path):
    small = run(data, tmp_path / "a", d_conv_dim=16).discriminator
    large = fresh([data], image_size=32, d_layers=3, d_conv_dim=8)
    assert large.start_from(tmp_path / "a" / "latest.pt")
    assert not fresh([data], image_size=32, d_layers=3, d_conv_dim=16).start_from(tmp_path / "a" / "latest.pt")
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    halved = torch.nn.functional.avg_pool2d(image, 2)
    with torch.no_grad():
        scores, logits = large.discriminator(image)
        torch.testing.assert_close(logits, small(halved)[1])
        torch.testing.assert_close(scores, 2 * small(halved)[0])
        lengths = (
            network.score_gradient(x).flatten(1).norm(dim=1)
            for network, x in ((large.discriminator, image), (small, halved))
        )
        torch.testing.assert_close(*lengths)


def command(out, *flags):
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return [sys.executable, "-m", "training", "train", f"--out={out}", "--data=avatars?count=8", *small, *flags]


def test_the_command_survives_kill_and_resumes(root, tmp_path):
    environment = {**os.environ, "STARGAN_RT_CACHE": str(tmp_path / "cache")}
    flags = ("--iterations=100000", "--decay-iterations=0", "--save-every=5", "--sample-every=100000")
    out = tmp_path / "run"
    process = subprocess.Popen(command(out, *flags), cwd=root, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not (out / "latest.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = read_checkpoint(out / "latest.pt")["iteration"]
    assert reached >= 5

    call = lambda *line: subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)  # noqa: E731
    refused = call(*command(out, *flags))
    assert refused.returncode == 2
    assert "continue that run with --resume" in refused.stderr
    resumed = call(sys.executable, "-m", "training", "train", f"--out={out}", "--resume", f"--iterations={reached + 5}")
    assert resumed.returncode == 0, resumed.stderr
    assert read_checkpoint(out / "latest.pt")["iteration"] == reached + 5
    assert read_checkpoint(out / "latest.pt")["config"]["conv_dim"] == 4


def test_sigterm_saves_what_was_reached(root, tmp_path):
    environment = {**os.environ, "STARGAN_RT_CACHE": str(tmp_path / "cache")}
    flags = ("--iterations=100000", "--decay-iterations=0", "--save-every=100000", "--sample-every=100000")
    out = tmp_path / "run"
    line = command(out, *flags)
    process = subprocess.Popen(line, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not (out / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert b"Traceback" not in errors
    assert read_checkpoint(out / "latest.pt")["iteration"] >= 10


def test_two_processes_train_as_one(root, tmp_path):
    """Under torchrun the weights of all processes stay equal, and one of them writes."""
    environment = {**os.environ, "STARGAN_RT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    flags = ("--iterations=4", "--decay-iterations=0", "--sample-every=4")
    line = command(tmp_path / "run", *flags)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *line[1:]]
    done = subprocess.run([line[0], *torchrun], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "run" / "latest.pt")["iteration"] == 4
    assert [p.name for p in (tmp_path / "run" / "samples").iterdir()] == ["000004.png"]


def test_settings_come_from_flags_files_and_presets_in_this_order(tmp_path):
    for name, path in PRESETS.items():
        config = TrainConfig(**TrainConfig.read(path))
        # A student takes the image size of its teacher.
        assert f"-{config.image_size}" in name or "image_size" not in TrainConfig.read(path)
    (tmp_path / "a.toml").write_text("batch_sise = 4")
    with pytest.raises(InputError, match=r"unknown settings batch_sise; known: data, image_size"):
        TrainConfig.read(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text("= 4")
    for name in ("b.toml", "missing.toml"):
        with pytest.raises(InputError, match="can't read the settings"):
            TrainConfig.read(tmp_path / name)


def test_a_shortened_run_decays_in_proportion():
    preset = TrainConfig.read(PRESETS["avatars-128"])
    short = TrainConfig(**TrainConfig.merge(preset, {"iterations": 8}))
    assert (preset["decay_iterations"], short.decay_iterations) == (10_000, 4)
    assert TrainConfig.merge(preset, {"iterations": 40_000})["decay_iterations"] == 10_000
    assert TrainConfig.merge(preset, {"iterations": 8, "decay_iterations": 1})["decay_iterations"] == 1
    assert TrainConfig.merge({"iterations": 8}, {"data": ("avatars",)}) == {"iterations": 8, "data": ("avatars",)}


def test_tensorboard(data, tmp_path):
    run(data, tmp_path, iterations=10, tensorboard=True)
    assert any((tmp_path / "tensorboard").iterdir())


def test_the_alarm_when_outputs_do_not_depend_on_the_label(data, tmp_path, capsys):
    state = fresh([data])
    with torch.no_grad():
        state.averaged.main[0].weight[:, 3:] = 0
        state.generator.main[0].weight[:, 3:] = 0
    state.config = dataclasses.replace(state.config, g_lr=0.0)
    train(state, [data], tmp_path, ALONE)
    assert "do not depend on the label" in capsys.readouterr().out


def test_misuse_of_the_command_is_refused(root, tmp_path):
    (tmp_path / "file").touch()
    for line, message in (
        (("train", "--out", tmp_path / "file" / "x"), "can't make the folder"),
        (("train", "--out", tmp_path / "a", "--device", "cuda"), "finds no CUDA GPU"),
        (("train", "--out", tmp_path / "a", "--device", "abacus"), "unknown device 'abacus'"),
        (("train", "--out", tmp_path / "a", "--data", "avatars?labels=Hat"), "have no label Hat"),
        (("draw", "--out", tmp_path / "a", "--people=-1"), "must not be negative"),
        (("draw", "--out", tmp_path / "a", "--people", "x"), "numbers separated by commas"),
        (("draw", "--out", tmp_path / "a", "--image-size", "0"), "must lie in"),
    ):
        words = [sys.executable, "-m", "training", *map(str, line)]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True)
        assert done.returncode == 2, (line, done.stderr)
        assert message in done.stderr


def test_the_draw_command(root, tmp_path):
    line = [sys.executable, "-m", "training", "draw", f"--out={tmp_path}", "--people=3,4"]
    subprocess.run(line, cwd=root, check=True, capture_output=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00003.png", "00004.png"]


def test_a_checkpoint_knows_which_copy_of_the_weights_is_better(data, tmp_path):
    state = run(data, tmp_path)
    found = read_checkpoint(tmp_path / "latest.pt")
    assert found["scores"] == score(state, [data], "cpu")
    for better in ("averaged", "last"):
        chosen, weights = generator_weights(found | {"scores": {"averaged": 1.0, "last": 1.0, better: 0.5}})
        assert chosen == better
        expected = state.averaged if better == "averaged" else state.generator
        torch.testing.assert_close(weights, dict(expected.state_dict()))
    with torch.no_grad():
        for weight in state.averaged.parameters():
            weight.fill_(1.0)
    spoilt = score(state, [data], "cpu")
    assert spoilt["last"] == found["scores"]["last"]
    assert spoilt["averaged"] > found["scores"]["averaged"]


def test_noise_reaches_the_discriminator_alone(data):
    config = TrainConfig(**SMALL, noise=0.5)
    part = parts(joint_space([data]))[0]
    plain, noisy = (
        Batch.draw(data, part, dataclasses.replace(config, noise=noise), step_random(0, 3, 0), "cpu")
        for noise in (0, 0.5)
    )
    torch.testing.assert_close(noisy.real, plain.real)
    torch.testing.assert_close(noisy.mix, plain.mix)
    assert noisy.noise.shape == (2 * len(noisy.real), 3, 16, 16)
    strengths = noisy.noise.std(dim=(1, 2, 3))  # every image has its own
    assert strengths.max() < 0.55
    assert strengths.max() > 2 * strengths.min()
    seen = []

    def discriminator(images):
        seen.append(images)
        return torch.zeros(len(images), 1), torch.zeros(len(images), 4)

    generator_loss(lambda image, label: torch.zeros_like(image), discriminator, noisy, config)
    torch.testing.assert_close(seen[0], noisy.noise[len(noisy.real) :])


def test_cutout_hides_a_rectangle_from_the_discriminator_alone(data):
    config = TrainConfig(**SMALL, cutout=0.5)
    batch = Batch.draw(data, parts(joint_space([data]))[0], config, step_random(0, 3, 0), "cpu")
    assert batch.mask.shape == (2 * len(batch.real), 1, 16, 16)
    hidden = (batch.mask == 0).flatten(1).sum(dim=1)
    assert hidden.max() <= 8 * 8
    assert hidden.min() >= 3 * 3  # up to half of either side lies outside
    assert len({tuple(mask.flatten().tolist()) for mask in batch.mask}) > len(batch.real)
    images = torch.ones_like(batch.real)
    torch.testing.assert_close(batch.seen(images), images * batch.mask[len(images) :])
    both = torch.cat([batch.real, images])
    torch.testing.assert_close(batch.seen(both), both * batch.mask)


def test_discriminator_and_generator_learn_from_smoothed_labels(data):
    plain, smooth = (
        next(iterate(fresh([data], n_critic=1, g_lr=0, d_lr=0, label_smoothing=smoothing), [data], ALONE))
        for smoothing in (0, 0.5)
    )
    for name in plain:
        same = torch.equal(plain[name], smooth[name])
        assert same != name.endswith("/cls"), name


def test_checkpoints_of_the_first_version_still_load(data, tmp_path):
    run(data, tmp_path)
    stored = read_checkpoint(tmp_path / "latest.pt")
    # The settings of version 0.1.0, and the names of what it stored.
    config = SMALL | {
        "data": ("avatars",), "iterations": 6, "decay_iterations": 2, "warm_up": 0, "g_lr": 1e-4, "d_lr": 1e-4,
        "beta1": 0.5, "beta2": 0.999, "lambda_cls": 1.0, "lambda_rec": 10.0, "lambda_gp": 10.0, "partial_targets": 0.0,
        "noise": 0.0, "cutout": 0.0, "label_smoothing": 0.0, "teacher": "", "lambda_teacher": 500.0, "ema": 0.999,
        "seed": 0, "device": "cpu", "precision": "float32", "compile": False, "tensorboard": False, "sample_every": 5,
        "save_every": 3,
    }  # fmt: skip
    names = ("format", "version", "model", "image_size", "labels", "iteration", "generator", "averaged_generator")
    names += ("discriminator", "g_optimizer", "d_optimizer", "g_scaler", "d_scaler")
    path = tmp_path / "old.pt"
    torch.save({name: stored[name] for name in names} | {"config": config}, path)
    state = resume(path, [data], iterations=8)
    train(state, [data], tmp_path, ALONE)
    assert state.iteration == 8
