"""Every command and every Python example of the README and docs/ runs as printed, or says here why it can't.

Each runs by itself in a folder that holds what a reader has by then. Training takes fewer steps and a smaller network,
which has nothing to lose in int8.
"""

import os
import shutil
import sys
from pathlib import Path

import click
import pytest
import torch
from documentation import commands, inline_commands, pages, python_examples

import benchmarks.__main__
import export.__main__
import training.__main__
from stargan_rt import cli
from stargan_rt.cli import terminal
from stargan_rt.images import write_image
from stargan_rt.models import bundled_faces, bundled_model
from training.model import Generator

pytestmark = pytest.mark.slow

PROGRAMS = {
    "stargan-rt": cli.main,
    "python -m training": training.__main__.main,
    "python -m export": export.__main__.main,
    "python -m benchmarks": benchmarks.__main__.main,
}
SMALL = "--iterations 2 --batch-size 2 --image-size 32 --d-layers 3 --conv-dim 8 --d-conv-dim 8 --blocks 1"
CPU = "--device cpu --precision float32 --no-compile"
FACES = "avatars?count=16&name=faces&labels=Black_Hair,Blond_Hair,Beard,happy,sad"
ADDED = {
    "training train": f"{SMALL} {CPU}",
    "training train --out": "--data avatars?count=16",
    "training train --preset avatars-128 --out": "--data avatars?count=16",
    "training evaluate --checkpoint": f"--classifier-steps 2 --seen {FACES} --data {FACES}&seed=1",
    "stargan-rt build": "--min-psnr 10 --force",
    "--int8": "--calib-count 8",
    "stargan-rt bench": "--seconds 0.2 --batches 1 --callers 1",
}
"""Part of a command → what the test adds to it."""
NOT_RUN = {
    "pip install": "installs; tests/e2e/test_install.py installs the wheel, and .ci/run runs the README's commands",
    "pytest": "runs the tests themselves",
    "torchrun": "needs several GPUs",
    "--device cuda": "needs a GPU",
    "--resume": "goes on with a run of an earlier command; tests/unit/training resumes runs",
    "--init": "goes on with a run of an earlier command; tests/unit/training/test_trainer.py starts from checkpoints",
    "python -m benchmarks": "takes minutes; tests/unit/benchmarks runs each measurement in small",
    "evaluate --engine": "draws data sets and trains a classifier; tests/unit/training/test_evaluate.py does so",
    "runs/one": "a step of the bundled model's recipe, which takes nine hours",
    "runs/full": "the last step of the bundled model's recipe, which takes nine hours",
    "runs/joint": "takes minutes; tests/unit/training/test_trainer.py trains jointly",
    "cp ": "a step of the bundled model's recipe, which takes nine hours",
    "avatars.onnx --int8": "takes a minute; tests/unit/builder/test_build.py builds the bundled model in int8",
    "--target": "needs TensorRT-RTX; tests/unit/builder/test_rtx.py builds for named GPUs",
    "--timing-cache": "needs a GPU",
    "--dla-core": "needs a Jetson",
    "--preset celeba-128": "needs CelebA, which can't be downloaded without its licence",
}
"""Part of a command → why it can't run here. Its options are checked all the same."""
PAGES_NOT_RUN = {
    "gpu.md": "needs a GPU; tests/gpu/test_docs.py runs these examples on one",
    "build.md": "int8 of an untrained network misses its budget; tests/unit/builder builds the bundled model",
}

ROOT = Path(__file__).parents[2]
COMMANDS = commands(ROOT)


def reason(text: str) -> str | None:
    return next((why for part, why in NOT_RUN.items() if part in text), None)


def program_of(command):
    """Return the click program of a command and its arguments; None for other programs."""
    words = command.words
    if words[0] == "python" and words[1] == "-m":
        words = [" ".join(words[:3]), *words[3:]]
    return (PROGRAMS[words[0]], words[1:]) if words[0] in PROGRAMS else None


def test_every_command_has_options_that_exist(monkeypatch):
    """Parse every command without running it, also those that can't run here and those within sentences."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)
    checked, failed = 0, []
    for command in [*COMMANDS, *inline_commands(ROOT)]:
        if found := program_of(command):
            program, arguments = found
            checked += 1
            try:
                program.main(arguments, standalone_mode=False)
            except (click.exceptions.NoArgsIsHelpError, click.MissingParameter):
                assert command not in COMMANDS, command  # within a sentence, a command may stand by its name alone
            except click.ClickException as error:
                failed.append(f"{command.page}: {command.text}: {error.format_message()}")
    assert failed == []
    assert checked > 40


def test_every_reason_is_needed():
    unused = [part for part in NOT_RUN if not any(part in command.text for command in COMMANDS)]
    assert unused == []
    names = {page.name for page in pages(ROOT)}
    assert [page for page in PAGES_NOT_RUN if page not in names] == []


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
    for run in ("a", "mine"):
        (folder / "runs" / run).mkdir(parents=True)
        shutil.copy(checkpoint, folder / "runs" / run / "latest.pt")
    torch.save({f"module.{k}": v for k, v in Generator(5, 8, 2).state_dict().items()}, folder / "200000-G.ckpt")
    for name in ("g.onnx", "g.int8.onnx"):
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


@pytest.mark.parametrize("command", [c for c in COMMANDS if not reason(c.text)], ids=lambda c: f"{c.page}: {c.text}")
def test_the_command_runs(command, workspace, monkeypatch, capsys):
    program, arguments = program_of(command)
    for part, added in ADDED.items():
        if part in command.text:
            arguments = [*arguments, *added.split()]
    if "training train" in command.text:
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
