"""`python -m benchmarks`: every measurement that the documents quote.

Only click is imported here; a command's module is imported when it is called, so that `--help` is quick and a
package that is missing stops only those who need it.
"""

from __future__ import annotations

import importlib

import click

from stargan_rt.cli import terminal
from stargan_rt.errors import MissingDependencyError

COMMANDS = {
    "compare": ("benchmarks.compare:main", "Our engines beside PyTorch, ONNX Runtime, OpenVINO and TensorRT."),
    "scaling": ("benchmarks.scaling:main", "Cost of a pixel by size, batch, threads and lanes; builds; training."),
    "table": ("benchmarks.table:main", "The documents' tables from the committed results."),
    "rewrites": ("benchmarks.rewrites:main", "What each rewrite of the graph gains on a CPU."),
    "mapping": ("benchmarks.mapping:main", "Engine.map over files, against the bare engine on arrays."),
    "regressions": ("benchmarks.regressions:main", "Slower than the committed baseline?"),
    "training-step": ("benchmarks.training_step:main", "Training speed against a plain loop."),
    "one-generator": ("benchmarks.one_generator:main", "The paper's claim, reproduced small."),
}
"""Name → where it lives, and a line of help that needs no import."""


class LazyGroup(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"`{cmd_name}` needs {error.name}, which is not installed: pip install -e '.[dev]'"
            ) from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measurements side by side, on this machine; with --debug anywhere an error shows its traceback."""


if __name__ == "__main__":
    terminal.run(main)
