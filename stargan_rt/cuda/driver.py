"""The CUDA driver and the GPUs, reached through ``cuda.core``, which is imported when it is first needed."""

from __future__ import annotations

import importlib
import re
from typing import Any

from stargan_rt.errors import InputError, MissingDependencyError

INSTALL = "pip install 'stargan-rt[cuda13]', or [cuda12] for drivers before 580 and JetPack 6"


def cuda() -> Any:
    """Return the module ``cuda.core``.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module("cuda.core")
    except ImportError as error:
        raise MissingDependencyError(f"cuda.core can't be imported ({error}); {INSTALL}") from None


def bindings() -> Any:
    """Return the module ``cuda.bindings.driver``, for what ``cuda.core`` does not cover.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise MissingDependencyError(f"cuda.bindings can't be imported ({error}); {INSTALL}") from None


def checked(result: tuple[Any, ...]) -> Any:
    """Return the value of a call of `bindings`, or None where it has none.

    Raises:
        RuntimeError: the driver returned an error, which the message names.
    """
    status, *values = result
    if int(status):
        raise RuntimeError(f"the CUDA driver returned {status.name}")
    return values[0] if values else None


def device_number(device: int | str | None) -> int:
    """Return the number of a CUDA device given as a number, ``"1"`` or ``"cuda:1"``; None is the first.

    Raises:
        InputError: it is none of these.
    """
    text = "0" if device is None else str(device)
    match = re.fullmatch(r"(?:cuda:)?(\d+)|cuda", text)
    if match is None or isinstance(device, bool):
        raise InputError(f"device= is the number of a GPU, such as 1 or 'cuda:1'; got {device!r}")
    return int(match[1] or 0)


def gpu(device: int = 0) -> tuple[str, str]:
    """Return the architecture of a GPU, such as ``"sm86"``; if it can't be used, an empty string and the reason.

    Raises:
        MissingDependencyError: cuda.core is not installed.
    """
    core = cuda()
    if reason := _unfit_bindings():
        return "", reason
    try:
        major, minor = core.Device(device).compute_capability
    except Exception as error:  # its exceptions derive from nothing narrower
        return "", str(error)
    return f"sm{major}{minor}", ""


def _unfit_bindings() -> str:
    """Return why the installed cuda-bindings do not fit the driver; empty where they do, or where no driver is."""
    try:
        version = int(checked(bindings().cuDriverGetVersion()))
    except Exception:  # no driver: whoever uses the device says so
        return ""
    installed = importlib.import_module("cuda.bindings").__version__
    major = int(installed.partition(".")[0])
    if major <= version // 1000:
        return ""
    return (
        f"cuda-bindings {installed} needs a driver for CUDA {major}; this one is for CUDA {version // 1000}."
        f"{version % 1000 // 10}: pip install 'stargan-rt[cuda{version // 1000}]'"
    )
