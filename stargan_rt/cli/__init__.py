"""The command line: `stargan-rt demo | translate | video | detector | build | bench | cache | info | doctor`.

Private: the commands are the interface. Each command has a file of its own, which imports what the command needs when
it runs, so that `--help` is quick.
"""

from __future__ import annotations

from typing import NoReturn

import click

from stargan_rt.cli import terminal
from stargan_rt.cli.bench import bench
from stargan_rt.cli.build import build
from stargan_rt.cli.cache import cache
from stargan_rt.cli.demo import demo
from stargan_rt.cli.detector import detector
from stargan_rt.cli.doctor import doctor
from stargan_rt.cli.info import info
from stargan_rt.cli.translate import translate
from stargan_rt.cli.video import video


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stargan-rt")
def main() -> None:
    """StarGAN, fast and easy to deploy: one generator, many domains."""


for command in (demo, translate, video, detector, build, bench, cache, info, doctor):
    main.add_command(command)


def entry() -> NoReturn:
    """Run the console script."""
    terminal.run(main)
