"""The CUDA driver and the GPU, reached through ``cuda.core``, which is imported when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

from stargan_rt.errors import MissingDependencyError


def cuda() -> Any:
    """Return the module ``cuda.core``.

    Raises:
        MissingDependencyError: it can't be imported.
    """
    try:
        return importlib.import_module("cuda.core")
    except ImportError as error:
        raise MissingDependencyError(f"cuda.core can't be imported ({error}); pip install 'stargan-rt[cuda]'") from None


def gpu() -> tuple[str, str]:
    """Return the architecture of the first GPU, such as ``"sm86"``; without one, an empty string and the reason.

    Raises:
        MissingDependencyError: cuda.core is not installed.
    """
    core = cuda()
    try:
        major, minor = core.Device(0).compute_capability
    except Exception as error:  # its exceptions derive from nothing narrower
        return "", str(error)
    return f"sm{major}{minor}", ""
