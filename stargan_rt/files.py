"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from stargan_rt.errors import InputError


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str], mend: str = "choose another --output") -> Iterator[Path]:
    """Gives a temporary path beside `path`; on success it is synced and renamed to it, else removed.

    The folder is made if it is not there. A reader sees the old file or the new one, never a part.

    Args:
        path: the file to write.
        mend: what the user can do where it can't be written.

    Raises:
        InputError: the folder can't be made or written to, or the disk is full.
    """
    target = Path(path)
    # The suffix stays, since encoders choose the format by it.
    temporary = target.with_name(f".{secrets.token_hex(4)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"can't write {target}: {error.strerror or error}; {mend}") from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be what could not be made
            temporary.unlink(missing_ok=True)


CACHE_MEND = "make room, or set STARGAN_RT_CACHE to another folder"
"""For `written_whole` in the cache."""


def cache_folder() -> Path:
    """Where stargan-rt keeps what it can make again: ``$STARGAN_RT_CACHE``, else the user's cache folder."""
    if chosen := os.environ.get("STARGAN_RT_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "stargan-rt"
