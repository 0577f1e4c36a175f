"""`python -m benchmarks`: every measurement that the documents quote.

Only click is imported here. A command's module is imported when the command runs, so that `--help` is quick and a
missing package stops only the commands that need it.
"""

from __future__ import annotations

import importlib

import click

from stargan_rt.cli import terminal
from stargan_rt.errors import MissingDependencyError

COMMANDS = {
    "compare": ("benchmarks.compare:main", "Our engines next to PyTorch, ONNX Runtime, OpenVINO and TensorRT."),
    "scaling": ("benchmarks.scaling:main", "Cost by image size, batch, threads and lanes; builds; training."),
    "mapping": ("benchmarks.mapping:main", "Engine.map over files, compared with the bare engine on arrays."),
    "lite": ("benchmarks.lite:main", "Generators with fewer multiplications next to the paper's."),
    "rewrites": ("benchmarks.rewrites:main", "What each rewrite of the graph gains on a CPU."),
    "plans": ("benchmarks.plans:main", "Size, build time and PSNR of TensorRT-RTX plans, without a GPU."),
    "training-step": ("benchmarks.training_step:main", "Training speed, compared with a plain loop."),
    "one-generator": ("benchmarks.one_generator:main", "A small reproduction of the paper's claim."),
    "faces": ("benchmarks.faces:main", "Faces found in drawn scenes, and whether their translations are recognised."),
    "video": ("benchmarks.video:main", "A clip through the faces of every frame: what is kept, and how fast."),
    "regressions": ("benchmarks.regressions:main", "Compare the package's own work with the committed baseline."),
    "gpu": ("benchmarks.gpu:main", "Everything there is to measure on a GPU, in one command."),
    "table": ("benchmarks.table:main", "Make the documents' tables from the committed results."),
}
"""Name → where the command is, and a line of help that needs no import."""


class LazyGroup(click.Group):
    """Imports the module of a command when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
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
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Measurements on this machine; with --debug, errors show their traceback."""


if __name__ == "__main__":
    terminal.run(main)
