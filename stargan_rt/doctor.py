"""What `stargan-rt doctor` checks: the machine, the effect of an engine's labels, and how an image fits an engine."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass

import cv2
import numpy as np

from stargan_rt import backends, jetson, machine
from stargan_rt.cuda.driver import gpu
from stargan_rt.engine import Engine
from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.faces import FaceDetector
from stargan_rt.faces.alignment import misalignment
from stargan_rt.images import Pixels, read_image, resize
from stargan_rt.models import bundled_samples

MIN_EFFECT = 0.5
"""Mean change in levels of 255 below which a label counts as having no effect."""


def environment() -> dict[str, str]:
    """Return versions, GPU, driver, CUDA, TensorRT and backends by name, with the reason why something is missing."""
    found = {
        "stargan-rt": importlib.metadata.version("stargan-rt"),
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "CPU": f"{machine.cpu()}, {machine.cores()} cores",
        "GPU": machine.gpu() or "no NVIDIA GPU found (nvidia-smi is missing or fails)",
        "CUDA compiler": machine.first_line(["nvcc", "--version"], pick="release") or "nvcc not found",
        "TensorRT": backends.version("tensorrt") or _package("tensorrt"),
        "TensorRT-RTX": _package("tensorrt-rtx-cu13"),
        "cuda-core": _package("cuda-core"),
        "cuda-bindings": _package("cuda-bindings"),
        "PyTorch": _package("torch"),
        "OpenCV": cv2.__version__,
    }
    if (board := jetson.this_machine()) is not None:
        found |= {"Jetson": f"{board}, {board.jetpack}", **jetson.settings()}
        found |= {f"Jetson: {name}": sentence for name, sentence in jetson.traps(board).items()}
        found["trtexec"] = jetson.trtexec() or f"not found, also not at {jetson.TRTEXEC}"
    return found | {f"backend {name}": _backend(name) for name in backends.BACKENDS}


def label_effects(engine: Engine) -> dict[str, float]:
    """Return how much each label changes the output: the mean difference, in levels of 255, between setting it and not.

    A label whose output equals that of the opposite request was never learned, or is not connected in the graph.
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


@dataclass(frozen=True)
class Misalignment:
    """How far a face is from where the training set has faces.

    Attributes:
        size: factor by which the face is too large.
        angle: degrees by which it is turned clockwise.
        distance: distance from its place, as a part of the image's height.
    """

    size: float
    angle: float
    distance: float

    @property
    def fits(self) -> bool:
        """Whether the image can go to the model as it is."""
        return abs(self.size - 1) < 0.15 and abs(self.angle) < 8 and self.distance < 0.08


def misalignments(engine: Engine, image: Pixels, detector: FaceDetector) -> list[Misalignment]:
    """Compare each face in an image with the alignment of the model's training set, the largest face first.

    Args:
        engine: a model whose alignment is known.
        image: uint8 ``(H, W, 3)``, RGB, as it would be given to `Engine.translate`.
        detector: finds the faces.

    Raises:
        InputError: no face was found, or the alignment of the model is not known.
    """
    alignment = engine.manifest.alignment
    if alignment == "none":
        raise InputError(
            "this model does not say how its training set shows faces; export it again with --alignment, such as celeba"
        )
    shape = (image.shape[0], image.shape[1])
    faces = detector.find(image, min_size=min(32, min(shape) / 4))
    if not faces:
        raise InputError("no face was found in the image")
    return [Misalignment(*misalignment(face, alignment, shape)) for face in faces]


def _backend(name: str) -> str:
    if reason := backends.unavailable(name):
        return reason
    version = backends.version(name)
    if name == "onnxruntime":
        from stargan_rt.backends.onnxruntime import providers

        return f"ready, {version}, devices: {', '.join(providers())}{_two_onnxruntimes()}"
    if name not in backends.PLANS or (reason := _no_gpu()) is None:
        return f"ready, {version}"
    builds = "; builds engines for named GPUs with stargan-rt build --target" if name == "tensorrt-rtx" else ""
    return f"installed ({version}), but no usable GPU: {reason}{builds}"


def _two_onnxruntimes() -> str:
    """Return a warning where packages are installed that overwrite each other's files; otherwise nothing."""
    variants = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
    found = [name for name in variants if _installed(name)]
    if len(found) < 2:
        return ""
    return (
        f"; {' and '.join(found)} overwrite each other's files: pip uninstall -y {' '.join(found)} && "
        f"pip install {found[-1]}"
    )


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _no_gpu() -> str | None:
    """Return why no GPU can be used; None where one can."""
    try:
        architecture, reason = gpu()
    except MissingDependencyError as error:
        return str(error)
    return None if architecture else reason


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"not installed: pip install {name}"
