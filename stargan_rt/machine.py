"""The machine at hand."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path


def cpu() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu() -> str | None:
    """Name, driver and memory of the NVIDIA GPUs; None where there is none."""
    jetson = Path("/etc/nv_tegra_release")
    if jetson.is_file():
        return f"Jetson, {jetson.read_text().splitlines()[0].lstrip('# ')}"
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return first_line(query)


def first_line(command: list[str], pick: str = "") -> str | None:
    """The first line with `pick` in it of what a program prints; None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if pick in line), None)
