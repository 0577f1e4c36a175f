"""How every command line program of this project runs: exit codes, errors, ``--debug``."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

import click

from stargan_rt.errors import InputError, StarGANError


def run(command: click.Command) -> NoReturn:
    """Run a program and exit with 0 when it is done, 2 on misuse and 1 on any other error.

    The program gets an option ``--debug``, which stands before a command and shows the traceback of an error.
    """
    # A file may claim any size: OpenCV reads this limit on import and refuses before it decodes (images.MAX_PIXELS).
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
    # Schedulers stop a program with SIGTERM: end as on Ctrl-C, with nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold characters that the terminal can't show
            stream.reconfigure(errors="replace")
    with _debug_option(command) as debug:
        try:
            code = command.main(standalone_mode=False)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 1)
        except BrokenPipeError:  # `stargan-rt info … | head`
            sys.stderr.close()
            raise SystemExit(1) from None
        except StarGANError as error:
            if debug:
                raise
            _fail(f"error: {error}", 2 if isinstance(error, InputError) else 1)
        except Exception as error:
            if debug:
                raise
            _fail(f"unexpected error: {type(error).__name__}: {error}; for the traceback, put --debug first", 1)
    raise SystemExit(code if isinstance(code, int) else 0)  # what a command gave to `ctx.exit`


@contextlib.contextmanager
def _debug_option(command: click.Command) -> Iterator[list[bool]]:
    """Add ``--debug`` to a program while it runs; the list that it gives is empty unless the option was given."""
    given: list[bool] = []

    def remember(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            given.append(value)

    option = click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show the traceback of an error.",
    )
    command.params.append(option)
    try:
        yield given
    finally:
        command.params.remove(option)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(code) from None
