"""The stand-in CUDA driver of tests/driver/standin: how it is built, loaded and asked.

Tests under tests/driver run in a process whose ``libcuda.so.1`` it is; tests/driver/conftest.py starts that process.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "driver" / "standin"
COMPILER = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"]
ACTIVE = "STARGAN_RT_STANDIN"
"""Set in processes that have the stand-in as their driver."""


@functools.cache
def build() -> Path:
    """Compile the stand-in, unless that was done before, and return the folder that holds ``libcuda.so.1``."""
    assert COMPILER is not None, "the stand-in driver needs a C compiler"
    sources = sorted(SOURCES.glob("*.c"))
    text = b"".join(path.read_bytes() for path in [*sources, SOURCES / "standin.h"])
    folder = Path(tempfile.gettempdir()) / f"stargan-rt-standin-{os.getuid()}-{hashlib.sha256(text).hexdigest()[:16]}"
    library = folder / "libcuda.so.1"
    if not library.is_file():
        folder.mkdir(exist_ok=True)
        built = folder / f"{os.getpid()}.so"
        command = [COMPILER, *FLAGS, "-Wl,-soname,libcuda.so.1", "-o", str(built), *map(str, sources), "-ldl"]
        subprocess.run(command, check=True)
        built.replace(library)  # another process may build it too
        (folder / "libcuda.so").unlink(missing_ok=True)
        (folder / "libcuda.so").symlink_to(library.name)
    return folder


def environment(settings: Mapping[str, object] | None = None) -> dict[str, str]:
    """Return the environment of a process that runs on the stand-in.

    Args:
        settings: name → value of what ``read_settings`` in calls.c reads, such as ``{"version": 12060}``.
    """
    search = os.pathsep.join(filter(None, [str(build()), os.environ.get("LD_LIBRARY_PATH")]))
    chosen = {f"STANDIN_{name.upper()}": str(value) for name, value in (settings or {}).items()}
    return {**os.environ, "LD_LIBRARY_PATH": search, ACTIVE: "1", **chosen}


@dataclass(frozen=True)
class Line:
    """A line of the stand-in's log: a call of the driver, or with ``ran`` something that was executed."""

    name: str
    ran: bool
    fields: Mapping[str, str]

    @property
    def stream(self) -> int:
        return int(self.fields["stream"].replace("(nil)", "0"), 0)

    @property
    def bytes(self) -> int:
        return int(self.fields["bytes"])


class StandIn:
    """The stand-in of this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.standin_log.restype = ctypes.c_char_p
        self._library.standin_bytes.restype = ctypes.c_size_t
        self._kernels: list[object] = []

    def log(self) -> list[Line]:
        """Return what was called and what ran since `clear`."""
        lines = []
        for text in self._library.standin_log().decode().splitlines():
            ran = text.startswith("run ")
            name, *fields = text.removeprefix("run ").split()
            lines.append(Line(name, ran, dict(field.split("=", 1) for field in fields)))
        return lines

    def calls(self, pattern: str = "") -> list[str]:
        """Return the names of the calls that contain a match of the pattern."""
        return [line.name for line in self.log() if not line.ran and re.search(pattern, line.name)]

    def ran(self) -> list[str]:
        """Return what was executed: ``"copy"``, ``"graph"``, ``"kernel"``."""
        return [line.name for line in self.log() if line.ran]

    def clear(self) -> None:
        self._library.standin_clear()

    def logging(self, on: bool) -> None:
        self._library.standin_logging(int(on))

    def fail(self, name: str, code: int, nth: int = 1, always: bool = False) -> None:
        """Make the n-th call of a function from now on fail with an error code; with `always`, all later ones too."""
        self._library.standin_fail(name.encode(), nth, code, int(always))

    def repair(self) -> None:
        """Forget all errors that `fail` asked for."""
        self._library.standin_mend()

    def integrated(self, on: bool) -> None:
        """Say that the GPU shares its memory with the CPU."""
        self._library.standin_integrated(int(on))

    def device_bytes(self) -> int:
        """Return the bytes of device memory that are allocated, or kept by the device's default pools."""
        return int(self._library.standin_bytes(2))

    def pinned_bytes(self) -> int:
        """Return the bytes of pinned host memory that are allocated."""
        return int(self._library.standin_bytes(1))
