"""The GPU side: kernels, compiled by CMake into one fat binary where a CUDA compiler is found.

Private: `Engine` is the interface.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

FATBIN = Path(str(files(__name__) / "frames.fatbin"))
"""The compiled kernels; not there where the package was installed without a CUDA compiler."""
