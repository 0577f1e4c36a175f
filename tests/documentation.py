"""The commands and Python examples of the README and docs/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

import benchmarks.__main__
import export.__main__
import training.__main__
from stargan_rt import cli

SHELL = ("python", "stargan-rt", "pip", "pytest", "torchrun", "ruff", "mypy", "pre-commit", "bash", "cp", "trtexec")


@dataclass(frozen=True)
class Command:
    """A command of a page, as it is printed but for comments and line breaks."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the command, as a shell would split them."""
        return shlex.split(self.text)


def pages(root: Path) -> list[Path]:
    """Return the README and the pages of docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Return the language and the text of every fenced block."""
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.S | re.M):
        yield match[2], re.sub(f"^{match[1]}", "", match[3], flags=re.M)


def commands(root: Path) -> list[Command]:
    """Return every command of the pages once, in the order of the pages."""
    found: dict[str, Command] = {}
    for page in pages(root):
        for language, text in blocks(page.read_text("utf-8")):
            if language in ("", "bash", "sh"):
                for line in _lines(text):
                    found.setdefault(line, Command(page.name, line))
    return list(found.values())


def inline_commands(root: Path) -> list[Command]:
    """Return every command within a sentence; one with an ellipsis is part of a command."""
    found: dict[str, Command] = {}
    for page in pages(root):
        text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.S | re.M)
        for code in re.findall(r"`([^`]+)`", text):
            line = " ".join(code.split())
            if re.match(r"(stargan-rt|python -m (training|export|benchmarks)) ", line) and "…" not in line:
                found.setdefault(line, Command(page.name, line))
    return list(found.values())


def python_examples(page: Path) -> list[str]:
    """Return the Python examples of a page."""
    return [text for language, text in blocks(page.read_text("utf-8")) if language == "python"]


def _lines(block: str) -> Iterator[str]:
    variables: dict[str, str] = {}
    for line in re.sub(r" *\\\n *", " ", block).splitlines():
        if match := re.fullmatch(r"([A-Z]+)=(\S+|\"[^\"]*\")", line.strip()):
            variables[match[1]] = match[2].strip('"')
            continue
        for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
            for name, value in variables.items():
                part = part.replace(f"${name}", value)
            if part.split() and part.split()[0] in SHELL:
                yield " ".join(part.split())


PROGRAMS = {
    "stargan-rt": cli.main,
    "python -m training": training.__main__.main,
    "python -m export": export.__main__.main,
    "python -m benchmarks": benchmarks.__main__.main,
}

NOT_RUN = {
    "detector install": "downloads; tests/unit/faces/test_install.py installs from a wheel",
    "--faces": "needs a detector and a photograph; tests/unit/cli/test_faces.py translates one",
    "--image face": "needs a detector; tests/unit/cli/test_faces.py checks an image",
    "stargan-rt video": "needs a clip or a camera; tests/unit/video/test_video.py translates clips",
    "pip uninstall": "removes a package that the other tests need",
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
    "training recipe": "takes a quarter of an hour or more; tests/unit/training/test_recipe.py runs one in small",
    "training search": "trains for hours; tests/unit/training/test_search.py runs one in small",
    "--target": "needs TensorRT-RTX; tests/unit/builder/test_rtx.py builds for named GPUs",
    "--timing-cache": "needs a GPU",
    "--device 1": "needs a GPU",
    "avatars.engine": "needs a Jetson",
    "--dla-core": "needs a Jetson",
    "--preset celeba-128": "needs CelebA, which can't be downloaded without its licence",
}
"""Part of a command → why it can't run here. Its options are checked all the same."""


def why_not_run(text: str) -> str | None:
    """Return why a command can't run in a test; None where it can."""
    return next((why for part, why in NOT_RUN.items() if part in text), None)


def program_of(command: Command) -> tuple[click.Group, list[str]] | None:
    """Return the program of a command and its arguments; None for programs that are not of this project."""
    words = command.words
    if words[0] == "python" and words[1] == "-m":
        words = [" ".join(words[:3]), *words[3:]]
    return (PROGRAMS[words[0]], words[1:]) if words[0] in PROGRAMS else None
