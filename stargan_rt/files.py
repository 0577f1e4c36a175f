"""Atomic file writes, and the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from stargan_rt.errors import InputError


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str], hint: str = "choose another --output") -> Iterator[Path]:
    """Write a file atomically: readers see the old file or the new one, never a part of it.

    Yields a temporary path in the same folder, with the same suffix. When the block ends without an error, the
    temporary file is synced to disk and renamed to `path`; otherwise it is deleted. Missing folders are created.

    Args:
        path: The file to write.
        hint: What the user can do if the file cannot be written; the end of the error message.

    Raises:
        InputError: The folder cannot be created or written to, or the disk is full.
    """
    target = Path(path)
    # Encoders choose the format by the suffix, so the temporary file keeps it.
    temporary = target.with_name(f".{secrets.token_hex(4)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"can't write {target}: {error.strerror or error}; {hint}") from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be missing
            temporary.unlink(missing_ok=True)


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


CACHE_HINT = "make room, or set STARGAN_RT_CACHE to another folder"
"""For `written_whole` in the cache."""


def cache_folder() -> Path:
    """Return the folder for files that can be made again: ``$STARGAN_RT_CACHE``, else in the user's cache folder."""
    if chosen := os.environ.get("STARGAN_RT_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("stargan-rt", appauthor=False)
