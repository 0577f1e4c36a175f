"""The commands and Python examples of the README and docs/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("python", "stargan-rt", "pip", "pytest", "torchrun", "ruff", "mypy", "pre-commit", "bash", "cp", "trtexec")


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
            if part.split() and part.split()[0] in PROGRAMS:
                yield " ".join(part.split())
