"""The commands of the README do what it says."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch

from stargan_rt.images import write_image
from stargan_rt.models import bundled_faces
from training.model import Generator

pytestmark = pytest.mark.slow


PROGRAMS = {
    "python": [sys.executable],
    "stargan-rt": [sys.executable, "-c", "from stargan_rt.cli import entry; entry()"],
}
SHORT = (
    "--data avatars?count=32 --iterations 4 --decay-iterations 0 "
    "--image-size 32 --d-layers 3 --conv-dim 8 --d-conv-dim 8"
)
ADDED = {
    "runs/a": SHORT,
    "runs/mine": "--iterations 10 --decay-iterations 0 --no-compile",
    "--int8": "--calib-count 8 --min-psnr 10 --force",  # a network without training has nothing to lose or to gain
}
"""Word in a command → what the test adds to it; everything else runs as it stands."""


def test_the_user_s_day(root, tmp_path, monkeypatch):
    """Every command of the README, in one folder; training takes fewer steps."""
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    samples = sorted((root / "stargan_rt" / "models" / "samples").glob("*.png"))
    (tmp_path / "photos").mkdir()
    shutil.copy(samples[0], tmp_path / "face.png")
    shutil.copy(samples[1], tmp_path / "photos" / "a.png")
    for number, face in enumerate(bundled_faces()[:20]):
        write_image(tmp_path / "faces" / ("happy", "sad", "angry")[number % 3] / f"{number}.jpg", face)
    torch.save({f"module.{k}": v for k, v in Generator(5, 8, 2).state_dict().items()}, tmp_path / "200000-G.ckpt")

    text = (root / "README.md").read_text()
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^(?:python -m|stargan-rt) .*$", text, re.M)]
    commands.sort(key=lambda words: words[0] != "python")  # what makes g.onnx comes before what uses it
    assert len(commands) >= 8
    for program, *words in commands:
        for word in [word for word in words if word in ADDED and "export" not in words]:
            words += ADDED[word].split()
        done = subprocess.run([*PROGRAMS[program], *words], cwd=tmp_path, capture_output=True, text=True)
        # A generator that was hardly trained may ignore its labels, and doctor then says so.
        allowed = (0, 1) if words[:2] == ["doctor", "--engine"] else (0,)
        assert done.returncode in allowed, (words, done.stderr)
        assert "Traceback" not in done.stderr
    made = {"out.png", "g.onnx", "mine.onnx", "g.int8.onnx", "celeba.onnx", "results", "runs"}
    assert made <= {path.name for path in tmp_path.iterdir()}


def test_python_examples_of_the_readme_run(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(root / "stargan_rt" / "models" / "samples" / "00004.png", tmp_path / "face.png")
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
