"""`stargan-rt doctor`: what is here, and whether a model does what it should."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

import stargan_rt
from stargan_rt import backends, machine
from stargan_rt.engine import Engine
from stargan_rt.errors import MissingDependencyError
from stargan_rt.images import read_image, resize
from stargan_rt.models import bundled_samples

MIN_EFFECT = 0.5
"""Mean change in levels of 255 below which a label is said to do nothing."""


def environment() -> dict[str, str]:
    """Name → finding: versions, GPU, driver, CUDA, TensorRT and backends, with the reason of what is missing."""
    found = {
        "stargan-rt": importlib.metadata.version("stargan-rt"),
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "CPU": f"{machine.cpu()}, {os.cpu_count()} cores",
        "GPU": machine.gpu() or "no NVIDIA GPU found (nvidia-smi is missing or fails)",
        "CUDA compiler": machine.first_line(["nvcc", "--version"], pick="release") or "nvcc not found",
        "TensorRT": _package("tensorrt"),
        "TensorRT-RTX": _package("tensorrt-rtx-cu13"),
        "cuda-core": _package("cuda-core"),
        "PyTorch": _package("torch"),
        "OpenCV": cv2.__version__,
    }
    for name in backends.BACKENDS:
        reason = backends.unavailable(name)
        found[f"backend {name}"] = reason or f"ready, {backends.version(name)}"
    return found


def label_effects(engine: Engine) -> dict[str, float]:
    """Label → how much it changes the picture: mean difference in levels of 255 between setting it and not.

    A label whose output equals that of the opposite request was never learned, or is not wired in.
    """
    images = [resize(read_image(path), engine.size) for path in bundled_samples()]
    effects = {}
    for index, name in enumerate(engine.labels.names):
        on = engine.labels.encode(name)
        off = on.copy()
        off[index] = 0.0
        changed = engine.translate(images, on).astype(np.int16) - engine.translate(images, off)
        effects[name] = float(np.abs(changed).mean())
    return effects


def render_norm_modes(checkpoint: Path, labels: tuple[str, ...], output: Path) -> None:
    """Renders a checkpoint with instance and with running statistics and says which is right.

    The networks live in the checkout, not in the installed package, so a process of its own does it.

    Raises:
        MissingDependencyError: not run from a checkout, or PyTorch is not installed.
        SystemExit: the checkpoint can't be rendered; its message has been printed.
    """
    checkout = Path(stargan_rt.__file__).parents[1]
    if not (checkout / "export" / "norms.py").is_file() or importlib.util.find_spec("torch") is None:
        raise MissingDependencyError(
            "rendering a checkpoint needs PyTorch and the networks, which are not in the installed package; "
            "in a checkout of stargan-rt run: pip install -e '.[export]' && stargan-rt doctor --checkpoint CKPT"
        )
    command = [sys.executable, "-m", "export.norms"]
    command += ["--checkpoint", str(checkpoint.resolve()), "--output", str(output.resolve())]
    for entry in labels:
        command += ["--labels", entry]
    if code := subprocess.run(command, cwd=checkout, check=False).returncode:
        raise SystemExit(code)


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"not installed: pip install {name}"
