from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from stargan_rt.backends import BACKENDS
from stargan_rt.bench.config import BenchConfig
from stargan_rt.builder import BUDGET_DB, BuildConfig
from stargan_rt.builder.config import PRECISIONS
from stargan_rt.cli import main
from stargan_rt.cli.flags import given, setting_flags
from stargan_rt.settings import check, setting


@dataclass(frozen=True)
class Example:
    batch_size: int = setting(8, "Images per step.", at_least=1)
    rate: float | None = setting(None, "Rate.", shown_default="half")
    precision: str = setting("fp16", "Precision.", choices={"fp32": "Single.", "fp16": "Half."})
    backend: str = setting("auto", "Backend.", choices=("auto", "cpu"))
    data: tuple[str, ...] = setting(("avatars",), "Data sets.", repeat=True)
    targets: tuple[str, ...] = setting((), "Targets.", flag="target")
    counts: tuple[int, ...] = setting((1, 2), "Counts.")
    compile: bool = setting(True, "Compile.")
    path: str | None = setting(None, "Path.", metavar="FILE")

    def __post_init__(self) -> None:
        check(self)


def parse(*arguments: str, settings: type = Example):
    """Return what a command with the flags of `settings` is called with."""
    seen = {}

    @click.command()
    @setting_flags(settings)
    def command(**flags):
        seen.update(flags)

    result = CliRunner().invoke(command, arguments)
    return (given(seen) if result.exit_code == 0 else None), result.output


def test_flags_that_are_not_given_are_left_out():
    assert parse() == ({}, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--batch-size 3", {"batch_size": 3}),
        ("--rate 0", {"rate": 0.0}),
        ("--fp32", {"precision": "fp32"}),
        ("--fp16", {"precision": "fp16"}),
        ("--backend cpu", {"backend": "cpu"}),
        ("--data a,b --data c", {"data": ("a,b", "c")}),
        ("--target sm86,sm89", {"targets": ("sm86", "sm89")}),
        ("--counts 4,8", {"counts": (4, 8)}),
        ("--no-compile", {"compile": False}),
        ("--compile", {"compile": True}),
        ("--path x", {"path": "x"}),
    ],
)
def test_a_flag_gives_the_value_of_its_field(arguments, expected):
    found, _ = parse(*arguments.split())
    assert found == expected
    Example(**found)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("--batch-size many", "not a valid integer"),
        ("--backend tpu", "'auto', 'cpu'"),
        ("--target sm86,,sm89", "empty item"),
        ("--counts 1,x", "numbers separated by commas"),
    ],
)
def test_a_wrong_value_is_misuse(arguments, word):
    found, output = parse(*arguments.split())
    assert found is None
    assert word in output


def test_help_shows_each_default_once_and_none_for_switches():
    help = " ".join(parse("--help")[1].split())
    assert "Images per step. [default: 8]" in help
    assert "Rate. [default: half]" in help
    assert "Data sets. [default: avatars]" in help
    assert "Counts. [default: 1,2]" in help
    assert "Compile. [default: on]" in help
    assert "Targets. --" in help
    assert "--path FILE" in help


@pytest.mark.parametrize(("command", "settings"), [("build", BuildConfig), ("bench", BenchConfig)])
def test_a_command_has_a_documented_flag_for_every_setting(command, settings):
    options = {parameter.name: parameter for parameter in main.commands[command].params}
    for field in dataclasses.fields(settings):
        assert options[field.name].help, field.name
    help = CliRunner().invoke(main, [command, "--help"]).output
    assert "[default: False]" not in help


def test_the_api_and_the_command_build_the_same_by_default():
    assert parse(settings=BuildConfig)[0] == {}
    assert BuildConfig().precision == "fp16"
    assert list(PRECISIONS) == list(BUDGET_DB)
    assert BuildConfig(backend=next(iter(BACKENDS))).backend == "tensorrt"
