import sys

import click
import pytest
from command_line import run_process

from stargan_rt import InputError, StarGANError
from stargan_rt.cli import terminal


def test_help_and_version():
    result = run_process("--help")
    assert result.returncode == 0
    for command in ("demo", "translate", "build", "bench", "cache", "info", "doctor"):
        assert f"  {command} " in result.stdout
    assert "0.1.0" in run_process("--version").stdout


def run(monkeypatch, capsys, command, *arguments):
    """Return the exit code and what went to stderr."""
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        terminal.run(command)
    return end.value.code, capsys.readouterr().err


@click.group()
def program():
    pass


@program.command()
@click.argument("error", required=False)
@click.argument("rest", nargs=-1)
@click.pass_context
def fail(ctx, error, rest):
    known = {"input": InputError("bad input"), "own": StarGANError("own error"), "other": ZeroDivisionError("other")}
    if error in known:
        raise known[error]
    ctx.exit(int(error or 0))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fail"], 0, ""),
        (["fail", "3"], 3, ""),
        (["fail", "input"], 2, "error: bad input"),
        (["fail", "own"], 1, "error: own error"),
        (["fail", "other"], 1, "unexpected error: ZeroDivisionError: other; for the traceback, put --debug first"),
        (["fail", "--wrong"], 2, "--wrong"),
        (["missing"], 2, "No such command 'missing'"),
        (["fail", "--debug"], 2, "--debug"),
        (["fail", "input", "--", "--debug"], 2, "error: bad input"),
    ],
)
def test_exit_codes(monkeypatch, capsys, arguments, code, message):
    found, errors = run(monkeypatch, capsys, program, *arguments)
    assert found == code
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("error", "kind"), [("input", InputError), ("other", ZeroDivisionError)])
def test_debug_before_the_command_lets_an_error_through(monkeypatch, error, kind):
    monkeypatch.setattr(sys, "argv", ["program", "--debug", "fail", error])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(kind):
        terminal.run(program)


def test_a_traceback_only_with_debug(model, tmp_path):
    line = ("translate", tmp_path / "face.png", "--engine", model, "--label", "nope", "--output", tmp_path / "o.png")
    assert "Traceback" not in run_process(*line).stderr
    assert "Traceback" in run_process("--debug", *line).stderr
