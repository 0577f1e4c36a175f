"""What every command line program of this project does with errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

import click

from stargan_rt.errors import InputError, StarGANError


def run(command: click.Command) -> NoReturn:
    """Runs a program and exits: 0 done, 2 misuse, 1 anything else; a traceback only with ``--debug``."""
    # A file may claim any size: OpenCV, where it reads this in time, refuses before it decodes (images.MAX_PIXELS).
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
    # Whoever takes the machine back says so by SIGTERM: leave as on Ctrl-C, with nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may hold what the terminal can't show
            stream.reconfigure(errors="replace")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        command.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
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
        _fail(f"unexpected error: {type(error).__name__}: {error}; see where with --debug", 1)
    raise SystemExit(0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(code) from None
