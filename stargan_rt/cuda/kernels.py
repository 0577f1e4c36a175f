"""The code of the frame kernels: the fat binary of the installation, or compiled on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import stargan_rt
from stargan_rt.errors import MissingDependencyError, StarGANError
from stargan_rt.files import CACHE_HINT, cache_folder, written_whole

SOURCE = Path(__file__).with_name("frames.cu")


def load(cuda: Any, fatbin: Path) -> Any:
    """Return the kernels as an ``ObjectCode`` of ``cuda.core``.

    Where the package was installed without a CUDA compiler, there is no fat binary; NVRTC then compiles the kernels for
    the current GPU, once, and they are kept in the cache folder.

    Args:
        cuda: the module ``cuda.core``.
        fatbin: the file that CMake builds; it need not exist.

    Raises:
        MissingDependencyError: there is no fat binary, and NVRTC is not installed.
        StarGANError: NVRTC refuses the kernels.
        InputError: the cache folder can't be written.
    """
    if fatbin.is_file():
        return cuda.ObjectCode.from_fatbin(str(fatbin))
    architecture = f"sm_{cuda.Device().arch}"
    path = _cached(architecture)
    if not path.is_file():
        code = _compiled(cuda, architecture)
        with written_whole(path, CACHE_HINT) as temporary:
            temporary.write_bytes(code)
    return cuda.ObjectCode.from_cubin(str(path))


def _cached(architecture: str) -> Path:
    source = b"".join(path.read_bytes() for path in sorted(SOURCE.parent.glob("frames.cu*")))
    key = hashlib.sha256(source + f"{stargan_rt.__version__} {architecture}".encode()).hexdigest()
    return cache_folder() / "kernels" / f"frames-{architecture}-{key[:16]}.cubin"


def _compiled(cuda: Any, architecture: str) -> bytes:
    options = cuda.ProgramOptions(std="c++17", arch=architecture, include_path=[str(SOURCE.parent)])
    try:
        return bytes(cuda.Program(SOURCE.read_text(), "c++", options).compile("cubin").code)
    except Exception as error:  # of pathfinder where the library is missing, of cuda.core where it fails
        if "compilation log" in str(error):
            raise StarGANError(f"NVRTC can't compile the frame kernels for {architecture}: {error}") from error
        raise MissingDependencyError(
            "stargan-rt was installed without its GPU kernels, since no CUDA compiler was found, and NVRTC, which "
            f"would compile them now, can't be loaded ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "pip install nvidia-cuda-nvrtc, or nvidia-cuda-nvrtc-cu12 for CUDA 12"
        ) from None
