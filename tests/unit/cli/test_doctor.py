import json

import pytest
import torch

from export.__main__ import main as export_main


def test_doctor_prints_the_environment(cli):
    facts = json.loads(cli("doctor", "--json").stdout)
    assert facts["backend openvino"].startswith("ready")
    assert {"GPU", "CUDA compiler", "TensorRT", "Python", "CPU"} <= set(facts)
    assert "backend onnxruntime:" in cli("doctor").stdout


def test_doctor_says_what_tensorrt_can_do_without_a_gpu(cli, rtx):
    facts = json.loads(cli("doctor", "--json").stdout)
    if facts["GPU"].startswith("no "):
        found = facts["backend tensorrt-rtx"]
        assert "no usable GPU" in found
        assert "stargan-rt build --target" in found
        assert not found.startswith("ready")


def test_doctor_prints_the_effect_of_each_label(cli, model):
    result = cli("doctor", "--engine", model, "--json")
    effects = json.loads(result.stdout)
    assert set(effects["mean_levels"]) == {"Black_Hair", "Blond_Hair", "Beard", "happy", "sad"}
    assert effects["without_effect"] == []
    assert result.returncode == 0


def test_doctor_finds_labels_without_effect(cli, deaf_model):
    result = cli("doctor", "--engine", deaf_model)
    assert result.returncode == 1
    assert "NO EFFECT" in result.stdout
    assert "5 of 5 labels have no effect" in result.stderr


@pytest.fixture
def deaf_model(checkpoint, tmp_path):
    """A generator that ignores its label."""
    data = torch.load(checkpoint, weights_only=True)
    data["averaged_generator"]["main.0.weight"][:, 3:] = 0
    torch.save(data, tmp_path / "deaf.pt")
    path = tmp_path / "deaf.onnx"
    export_main(["--checkpoint", str(tmp_path / "deaf.pt"), "--output", str(path)], standalone_mode=False)
    return path
