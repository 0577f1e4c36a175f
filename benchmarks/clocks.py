"""Clocks, power and temperature of a GPU while something runs on it, by nvidia-smi or, on a Jetson, tegrastats."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from statistics import median
from types import TracebackType
from typing import Any

from stargan_rt import machine

INTERVAL_MS = 500
FIELDS = {
    "sm_clock_mhz": "clocks.sm",
    "memory_clock_mhz": "clocks.mem",
    "power_w": "power.draw",
    "temperature_c": "temperature.gpu",
    "utilization_percent": "utilization.gpu",
}
"""Name → what nvidia-smi calls it."""
TEGRA = {
    "gpu_clock_mhz": r"GR3D_FREQ \d+%@\[?(\d+)",
    "memory_clock_mhz": r"EMC_FREQ \d+%@(\d+)",
    "power_mw": r"(?:VDD_IN|POM_5V_IN) (\d+)",
    "temperature_c": r"(?i:gpu)@([\d.]+)C",
    "utilization_percent": r"GR3D_FREQ (\d+)%",
}
"""Name → where it stands in a line of tegrastats."""


class Watch:
    """Samples the GPU as long as the context lasts; `summary` has the result afterwards.

    Attributes:
        summary: ``"source"``, ``"driver"``, the number of ``"samples"``, and for each name of `FIELDS` or `TEGRA` the
            smallest, median and largest value; or ``"not_measured"`` with the reason.
    """

    def __enter__(self) -> Watch:
        self.summary: dict[str, Any] = {}
        self._output = tempfile.TemporaryFile("w+")  # read in __exit__
        self._program, command = _command()
        self._process = subprocess.Popen(command, stdout=self._output, stderr=self._output) if command else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            self._output.close()
            self.summary = {"not_measured": "neither nvidia-smi nor tegrastats is on the PATH"}
            return
        self._process.terminate()
        self._process.wait()
        self._output.seek(0)
        text = self._output.read()
        self._output.close()
        parse = parse_tegrastats if self._program == "tegrastats" else parse_nvidia_smi
        self.summary = {"source": self._program, **_state(self._program), **summarise(text, parse)}


def summarise(text: str, parse: Callable[[str], Mapping[str, float]]) -> dict[str, Any]:
    """Return the smallest, median and largest value of every figure in the lines of a program."""
    samples = [sample for line in text.splitlines() if (sample := parse(line))]
    if not samples:
        return {"not_measured": next(iter(text.strip().splitlines()), "the program printed nothing")}
    names = {name for sample in samples for name in sample}
    columns = {name: [sample[name] for sample in samples if name in sample] for name in sorted(names)}
    figures = {name: {"min": min(v), "median": median(v), "max": max(v)} for name, v in columns.items()}
    return {"samples": len(samples), **figures}


def parse_nvidia_smi(line: str) -> dict[str, float]:
    """Read a line of nvidia-smi; values such as ``[N/A]`` are left out."""
    values = [value.strip() for value in line.split(",")]
    if len(values) != len(FIELDS):
        return {}
    pairs = zip(FIELDS, values, strict=True)
    return {name: float(value) for name, value in pairs if re.fullmatch(r"\d+(\.\d+)?", value)}


def parse_tegrastats(line: str) -> dict[str, float]:
    """Read a line of tegrastats, whose format differs from board to board."""
    return {name: float(found[1]) for name, pattern in TEGRA.items() if (found := re.search(pattern, line))}


def _command() -> tuple[str, list[str]]:
    if shutil.which("tegrastats"):
        return "tegrastats", ["tegrastats", "--interval", str(INTERVAL_MS)]
    if shutil.which("nvidia-smi"):
        return "nvidia-smi", [*_query(",".join(FIELDS.values())), "--loop-ms", str(INTERVAL_MS)]
    return "", []


def _query(fields: str) -> list[str]:
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0] or "0"
    return ["nvidia-smi", f"--id={gpu}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]


def _state(program: str) -> dict[str, str | None]:
    """Return the driver and what limits the clocks; None for what the program does not say."""
    if program == "tegrastats":
        return {"driver": machine.gpu(), "power_mode": machine.first_line(["nvpmodel", "-q"], "Mode")}
    return {
        "driver": machine.first_line(_query("driver_version")),
        "power_limit_w": machine.first_line(_query("power.limit")),
        "largest_sm_clock_mhz": machine.first_line(_query("clocks.max.sm")),
        "throttle_reasons": machine.first_line(_query("clocks_throttle_reasons.active")),
    }
