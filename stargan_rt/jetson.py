"""NVIDIA Jetson: which module and release this is, how it is set up, and what is known to go wrong there."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

JETPACKS = (
    # First L4T release of each, what it is called, and what it comes with.
    ((36, 4), "6.2", "CUDA 12.6, TensorRT 10.3, Python 3.10"),
    ((38, 4), "7.1", "CUDA 13.0, TensorRT 10.13, Python 3.12"),
    ((39, 2), "7.2", "CUDA 13.2, TensorRT 10.16.2, Python 3.12"),
)
TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")
"""Where JetPack installs trtexec, which is not on the PATH."""
_NVDLA = tuple(f"usr/lib/aarch64-linux-gnu/{folder}/libnvdla_compiler.so" for folder in ("nvidia", "tegra"))


@dataclass(frozen=True)
class Jetson:
    """A Jetson.

    Attributes:
        model: of the module, such as ``"NVIDIA Jetson AGX Orin Developer Kit"``.
        l4t: release of Jetson Linux, such as ``(36, 4, 3)``.
    """

    model: str
    l4t: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.model}, L4T {'.'.join(map(str, self.l4t))}"

    @property
    def jetpack(self) -> str:
        """The JetPack release that it belongs to, with what that comes with."""
        known = [(name, holds) for first, name, holds in JETPACKS if first[0] == self.l4t[0] and first <= self.l4t[:2]]
        return f"JetPack {known[-1][0]} ({known[-1][1]})" if known else "unknown JetPack release"


def this_machine(root: Path = Path("/")) -> Jetson | None:
    """Return the Jetson that this is, or None; containers see the same files.

    Args:
        root: of the file system; tests have another one.
    """
    try:
        text = (root / "etc/nv_tegra_release").read_text()
    except OSError:
        return None
    release = re.search(r"R(\d+).*?REVISION: ([\d.]+)", text, re.S)
    numbers = f"{release[1]}.{release[2]}" if release else "0"
    try:
        model = (root / "proc/device-tree/model").read_bytes().rstrip(b"\0").decode()
    except OSError:
        model = "Jetson"
    return Jetson(model, tuple(int(number) for number in numbers.split(".") if number))


def trtexec() -> str | None:
    """Return the path of trtexec, or None: on the PATH, or where JetPack has it."""
    return shutil.which("trtexec") or (str(TRTEXEC) if os.access(TRTEXEC, os.X_OK) else None)


def settings() -> dict[str, str]:
    """Return what the speed of a Jetson depends on: power mode, clocks and a line of tegrastats, where available."""
    found = {}
    if mode := power_mode():
        found["power_mode"] = mode
    if clocks := _output("jetson_clocks", "--show"):  # needs root
        lines = (line.strip() for line in clocks.splitlines())
        found["jetson_clocks"] = "; ".join(line for line in lines if re.match(r"(GPU|EMC) ", line))
    if line := _first_line_of_endless("tegrastats", "--interval", "200"):
        found["tegrastats"] = line
    return found


def traps(jetson: Jetson, root: Path = Path("/")) -> dict[str, str]:
    """Return what is known to go wrong on a Jetson and does here, with the fix; name → sentence."""
    found = {}
    pip_tensorrt = next(filter(_version, ("tensorrt-cu12", "tensorrt-cu13")), None)
    if pip_tensorrt:
        found["TensorRT of pip"] = (
            f"{pip_tensorrt} {_version(pip_tensorrt)} is installed; pip's TensorRT fails on Tegra. pip uninstall "
            f"{pip_tensorrt}, and use JetPack's"
        )
    elif sys.prefix != sys.base_prefix and not _sees_system_packages():
        found["virtual environment"] = (
            "this one does not see JetPack's TensorRT; make it with python3 -m venv --system-site-packages"
        )
    cuda = "13" if jetson.l4t[0] >= 38 else "12"
    bindings = _version("cuda-bindings")
    if bindings and not bindings.startswith(f"{cuda}."):
        found["CUDA bindings"] = (
            f"cuda-bindings {bindings} is for another CUDA than this L4T's; pip install 'stargan-rt[cuda{cuda}]'"
        )
    if jetson.l4t[0] == 39 and not any((root / path).exists() for path in _NVDLA):
        found["libnvdla_compiler.so"] = (
            "not found, as in some containers of L4T R39, and TensorRT needs it to load; mount it from the host or "
            "install the package nvidia-l4t-dla-compiler"
        )
    mode = power_mode()
    if mode and "MAXN" not in mode:
        found["power mode"] = f"{mode}; before measuring, sudo nvpmodel -m 0 && sudo jetson_clocks"
    return found


def power_mode() -> str | None:
    """Return the name of the power mode, or None where nvpmodel is missing."""
    match = re.search(r"NV Power Mode:\s*(\S+)", _output("nvpmodel", "-q") or "")
    return match[1] if match else None


def _sees_system_packages() -> bool:
    try:
        text = (Path(sys.prefix) / "pyvenv.cfg").read_text()
    except OSError:
        return True
    return re.search(r"include-system-site-packages\s*=\s*true", text) is not None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return None


def _first_line_of_endless(*command: str) -> str | None:
    """Return the first line of a program that does not end by itself, and end it."""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    assert process.stdout is not None
    try:
        return process.stdout.readline().strip() or None
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
