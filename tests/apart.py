"""Code that runs in a process of its own, with the modules that tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_python(code: str) -> str:
    """Run code in another process and return what it prints; its error fails the test."""
    search = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": search}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
