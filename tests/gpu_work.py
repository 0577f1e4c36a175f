"""Jobs for `benchmarks.gpu`, to be run in its processes: some go wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def works(folder: Path) -> dict[str, Any]:
    with (folder.parent / "calls").open("a") as file:
        file.write("x")
    return {"ms": 1.5}


def fails(folder: Path) -> dict[str, Any]:
    raise RuntimeError(f"{folder}/deep/g.engine is refused")


def dies(folder: Path) -> dict[str, Any]:
    print("illegal instruction", flush=True)
    os._exit(3)
