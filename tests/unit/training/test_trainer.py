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
from training.checkpoint import TrainState, read_checkpoint
from training.config import TrainConfig
from training.data.avatars import STYLES
from training.data.dataset import Dataset, to_network, to_pictures
from training.trainer import train

SMALL = {"image_size": 16, "conv_dim": 4, "blocks": 1, "d_conv_dim": 4, "d_layers": 2, "batch_size": 4, "n_critic": 2}


@pytest.fixture
def data(random):
    space = STYLES["avataaars"].label_space
    labels = (random.random((20, 15)) < 0.3).astype(np.float32)
    return Dataset(random.integers(0, 256, (20, 16, 16, 3), np.uint8), labels, space)


def run(data, out, **changes):
    settings = {**SMALL, "iterations": 6, "decay_iterations": 2, "save_every": 3, "sample_every": 5, **changes}
    state = TrainState.fresh(TrainConfig(**settings), data.space)
    out.mkdir(exist_ok=True)
    train(state, data, out)
    return state


def losses(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "it_per_s"} for line in lines]


def test_a_run_leaves_a_checkpoint_samples_and_a_log(data, tmp_path):
    run(data, tmp_path, iterations=10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.pt", "log.jsonl", "samples"]
    assert read_image(tmp_path / "samples" / "000010.png").shape == (8 * 16, 16 * 16, 3)
    assert set(losses(tmp_path)[0]) == {"iteration", "D/adv", "D/cls", "D/gp", "G/adv", "G/cls", "G/rec"}


def test_the_checkpoint_tells_everything(data, tmp_path):
    state = run(data, tmp_path)
    found = read_checkpoint(tmp_path / "latest.pt")
    assert found["iteration"] == 6
    assert found["model"] == {"label_dim": 15, "conv_dim": 4, "blocks": 1}
    assert found["labels"] == data.space.to_dict()
    assert found["config"]["batch_size"] == 4
    assert {"g_optimizer", "d_optimizer", "random", "averaged_generator", "discriminator"} <= set(found)
    for key, value in state.generator.state_dict().items():
        torch.testing.assert_close(found["generator"][key], value)


def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path):
    whole = run(data, tmp_path / "whole", iterations=40, decay_iterations=20)
    config = TrainConfig(**SMALL, iterations=40, decay_iterations=20, save_every=3, sample_every=50)
    out = tmp_path / "parts"
    out.mkdir()
    state = TrainState.fresh(config, data.space)

    class Stopped(BaseException):
        pass

    def stop_at_17(size, random):
        if state.iteration == 17:
            raise Stopped
        return data.batch(size, random)

    class Interrupted:
        images, labels, space, batch = data.images, data.labels, data.space, staticmethod(stop_at_17)

    with pytest.raises(Stopped):
        train(state, Interrupted, out)
    resumed = TrainState.resume(out / "latest.pt", {})
    assert resumed.iteration == 17
    assert resumed.config == config
    train(resumed, data, out)
    for key, value in whole.generator.state_dict().items():
        torch.testing.assert_close(resumed.generator.state_dict()[key], value, rtol=0, atol=0)
    assert losses(out) == losses(tmp_path / "whole")


def test_the_learning_rate_falls_to_zero_over_the_last_steps():
    config = TrainConfig(iterations=200, decay_iterations=100)
    factors = [config.learning_rate_factor(i) for i in (0, 100, 150, 199)]
    assert factors == [1.0, 1.0, 0.5, 0.01]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(data, tmp_path):
    state = run(data, tmp_path)
    good = (tmp_path / "latest.pt").read_bytes()
    state = TrainState.resume(tmp_path / "latest.pt", {"iterations": 20})
    with torch.no_grad():
        state.discriminator.conv1.weight.fill_(float("nan"))
    with pytest.raises(StarGANError, match="no longer finite at step 7"):
        train(state, data, tmp_path)
    assert (tmp_path / "latest.pt").read_bytes() == good


def test_mixed_precision_and_partial_targets_run(data, tmp_path):
    state = run(data, tmp_path, precision="bfloat16", partial_targets=0.8)
    assert all(p.dtype == torch.float32 for p in state.generator.parameters())


def test_training_learns_to_tell_labels_apart(data, tmp_path):
    """The classification loss of a tiny set must fall, or no label would ever be learned."""
    run(data, tmp_path, iterations=120, decay_iterations=0, d_lr=2e-3, g_lr=2e-3, sample_every=500, save_every=500)
    log = losses(tmp_path)
    assert log[-1]["D/cls"] < 0.8 * log[0]["D/cls"]


def test_pictures_survive_the_way_to_the_network_and_back(data):
    np.testing.assert_array_equal(to_pictures(to_network(data.images)), data.images)
    assert to_network(data.images).min() >= -1
    assert to_network(data.images).max() <= 1


def test_batches_are_mirrored_half_of_the_time(data):
    batch, labels = data.batch(400, torch.Generator().manual_seed(0))
    assert batch.shape == (400, 3, 16, 16)
    assert labels.shape == (400, 15)
    straight = {i.tobytes() for i in data.images}
    share = np.mean([i.tobytes() in straight for i in to_pictures(batch)])
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "multiple of 4 and of"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"n_critic": 0}, "n_critic must be at least 1"),
        ({"decay_iterations": 300_000}, "decay_iterations must lie in"),
        ({"ema": 1.0}, "ema in"),
        ({"precision": "int8"}, "precision is"),
        ({"data": "imagenet"}, "unknown data set"),
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
    (tmp_path / "text.pt").write_text("hello")
    for name, message in (
        ("missing.pt", "no checkpoint at"),
        ("cut.pt", "damaged or no PyTorch checkpoint"),
        ("text.pt", "not a checkpoint|damaged"),
        ("bare.pt", "not a checkpoint of `python -m training train`"),
        ("list.pt", "holds a list"),
        ("code.pt", "unpickling other objects can run code"),
    ):
        with pytest.raises(InputError, match=message):
            TrainState.resume(tmp_path / name, {})
    with pytest.raises(InputError, match="another architecture"):
        TrainState.resume(latest, {"conv_dim": 8})


def test_a_run_can_start_from_the_generator_of_a_smaller_size(data, tmp_path):
    small = run(data, tmp_path / "a")
    state = TrainState.fresh(TrainConfig(**{**SMALL, "image_size": 32, "d_layers": 3}), data.space)
    state.start_from(tmp_path / "a" / "latest.pt")
    for key, value in small.averaged.state_dict().items():
        torch.testing.assert_close(state.generator.state_dict()[key], value)
    with pytest.raises(InputError, match="another width or depth"):
        TrainState.fresh(TrainConfig(**{**SMALL, "conv_dim": 8}), data.space).start_from(tmp_path / "a" / "latest.pt")
    with pytest.raises(InputError, match="other labels"):
        TrainState.fresh(TrainConfig(**SMALL), STYLES["toon-head"].label_space).start_from(tmp_path / "a" / "latest.pt")


def command(out, *flags):
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return [sys.executable, "-m", "training", "train", f"--out={out}", "--count=8", *small, *flags]


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
    assert "go on with it by --resume" in refused.stderr
    resumed = call(sys.executable, "-m", "training", "train", f"--out={out}", "--resume", f"--iterations={reached + 5}")
    assert resumed.returncode == 0, resumed.stderr
    assert read_checkpoint(out / "latest.pt")["iteration"] == reached + 5
    assert read_checkpoint(out / "latest.pt")["config"]["conv_dim"] == 4


def test_the_draw_command(root, tmp_path):
    line = [sys.executable, "-m", "training", "draw", f"--out={tmp_path}", "--people=3,4"]
    subprocess.run(line, cwd=root, check=True, capture_output=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00003.png", "00004.png"]
