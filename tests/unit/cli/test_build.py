"""`stargan-rt build` and `stargan-rt cache`."""

import json
import shutil

import pytest


@pytest.fixture
def here(model, tmp_path, monkeypatch):
    """A folder with g.onnx, and an empty cache."""
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(model, tmp_path / "g.onnx")


def test_build_then_look_then_clear(cli, here):
    line = ("build", "--onnx", "g.onnx", "--fp32", "--backend", "openvino")
    done = cli(*line, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["path"] == "g.fp32.onnx"
    assert not facts["cached"]
    done = cli(*line)
    assert "cached: built before" in done.stdout
    assert "convolutions 8 fp32" in done.stdout
    assert "worst label" in cli("info", "g.fp32.onnx").stdout
    assert "openvino" in cli("cache", "list").stdout
    assert json.loads(cli("cache", "list", "--json").stdout)[0]["precision"] == "fp32"
    assert json.loads(cli("cache", "clear", "--json").stdout)["freed_bytes"] > 0
    assert json.loads(cli("cache", "list", "--json").stdout) == []
    assert cli("cache", "clear").stdout.startswith("freed 0.0 MB")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--onnx", "g.onnx", "--int8"), "add --calib FOLDER"),
        (("--onnx", "avatars", "--fp32"), "needs --output"),
        (("--onnx", "g.onnx", "--max-batch", "0"), "set it with --max-batch"),
        (("--onnx", "g.onnx", "--target", "sm86", "--backend", "openvino"), "--target: only plans have"),
        (("--fp32",), "Missing option '--onnx'"),
    ],
)
def test_misuse_names_the_flag(cli, here, arguments, message):
    done = cli("build", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
