"""PyAV, imported when it is first used."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from stargan_rt.errors import MissingDependencyError


@functools.cache
def av() -> Any:
    """Return the module `av`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise MissingDependencyError(f"video needs PyAV ({error}); run: pip install 'stargan-rt[video]'") from None
