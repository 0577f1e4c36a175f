"""Every command and every Python example of the README and docs/ runs as printed, or says why it can't.

Each runs by itself in a folder that holds what a reader has by then; tests/documentation.py has the reasons.
Training takes fewer steps and a smaller network, which has nothing to lose in int8.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from documentation import commands, pages, program_of, python_examples, why_not_run

from stargan_rt.cli import terminal
from stargan_rt.images import write_image
from stargan_rt.models import bundled_faces, bundled_model
from training.model import Generator

pytestmark = pytest.mark.slow

SMALL = "--iterations 2 --batch-size 2 --image-size 32 --d-layers 3 --conv-dim 8 --d-conv-dim 8 --blocks 1"
CPU = "--device cpu --precision float32 --no-compile"
FACES = "avatars?count=16&name=faces&labels=Black_Hair,Blond_Hair,Beard,happy,sad"
ADDED = {
    "training train": f"{SMALL} {CPU}",
    "training train --out": "--data avatars?count=16",
    "training train --preset avatars-128 --out": "--data avatars?count=16",
    "training distill": f"--iterations 2 --distill-iterations 2 --pairs 4 --batch-size 2 {CPU}",
    "training evaluate --checkpoint": f"--classifier-steps 2 --seen {FACES} --data {FACES}&seed=1",
    "stargan-rt build": "--min-psnr 10 --force",
    "--int8": "--calib-count 8",
    "stargan-rt bench": "--seconds 0.2 --batches 1 --callers 1",
}
"""Part of a command → what the test adds to it."""
PAGES_NOT_RUN = {
    "video.md": "needs a photograph; tests/unit/cli/test_faces.py translates one",
    "gpu.md": "needs a GPU; tests/gpu/test_docs.py runs these examples on one",
    "build.md": "int8 of an untrained network misses its budget; tests/unit/builder builds the bundled model",
}

ROOT = Path(__file__).parents[2]
COMMANDS = [command for command in commands(ROOT) if not why_not_run(command.text)]


@pytest.fixture(scope="module")
def template(tmp_path_factory, checkpoint, model):
    """What a reader of the pages has: images, checkpoints, exported and built models."""
    folder = tmp_path_factory.mktemp("template")
    samples = sorted((ROOT / "stargan_rt" / "models" / "samples").glob("*.png"))
    shutil.copy(samples[0], folder / "face.png")
    for name in ("photos", "people"):
        (folder / name).mkdir()
        shutil.copy(samples[0], folder / name / "00004.png")
    for number, face in enumerate(bundled_faces()[:12]):
        write_image(folder / "faces" / ("happy", "sad", "angry")[number % 3] / f"{number}.jpg", face)
    for number, face in enumerate(bundled_faces()[12:16]):
        write_image(folder / "PICTURES" / f"{number}.png", face)
    for run in ("a", "mine", "lite"):
        (folder / "runs" / run).mkdir(parents=True)
        shutil.copy(checkpoint, folder / "runs" / run / "latest.pt")
    torch.save({f"module.{k}": v for k, v in Generator(5, 8, 2).state_dict().items()}, folder / "200000-G.ckpt")
    for name in ("g.onnx", "g.int8.onnx", "lite.onnx", "lite.int8.onnx"):
        shutil.copy(model, folder / name)
    shutil.copy(bundled_model("avatars"), folder / "avatars.onnx")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def workspace(template, cache, tmp_path, monkeypatch):
    folder = tmp_path / "reader"
    shutil.copytree(template, folder, copy_function=os.link)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STARGAN_RT_CACHE", str(cache))
    return folder


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if not why_not_run(c.text)], ids=lambda c: f"{c.page}: {c.text}"
)
def test_the_command_runs(command, workspace, monkeypatch, capsys):
    program, arguments = program_of(command)
    for part, added in ADDED.items():
        if part in command.text:
            arguments = [*arguments, *added.split()]
    if "training train" in command.text or "distill" in command.text:
        shutil.rmtree(workspace / "runs")
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        terminal.run(program)
    errors = capsys.readouterr().err
    # A network without training may ignore its labels, and doctor reports that by its exit code.
    assert end.value.code in ((0, 1) if "doctor --engine" in command.text else (0,)), errors
    if "--output" in arguments:
        assert os.path.exists(arguments[arguments.index("--output") + 1])


@pytest.mark.parametrize("page", [p for p in pages(ROOT) if python_examples(p)], ids=lambda page: page.name)
def test_the_python_examples_run(page, workspace):
    """The examples of a page run one after the other, as a reader would type them."""
    if page.name in PAGES_NOT_RUN:
        pytest.skip(PAGES_NOT_RUN[page.name])
    names = {}
    for number, example in enumerate(python_examples(page), 1):
        exec(compile(example, f"{page.name}, example {number}", "exec"), names)
