"""Facts about this machine: processor, usable cores, GPUs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from stargan_rt import jetson


def cpu() -> str:
    """Return the model name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu() -> str | None:
    """Return name, driver version and memory of the first NVIDIA GPU, or None if there is none."""
    if (found := jetson.this_machine()) is not None:  # the model too: an engine of one does not fit the other
        return str(found)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return first_line(query)


def first_line(command: list[str], pick: str = "") -> str | None:
    """Return the first output line of a program that contains `pick`, or None if the program is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if pick in line), None)
