"""The command line in a process of its own, and what every refusal looks like."""

import os
import subprocess
import sys

PROGRAM = (sys.executable, "-c", "from stargan_rt.cli import entry; entry()")


def run_process(*arguments, cwd=None, **environment):
    """Run `stargan-rt` as a shell would."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )


def refused(result, code, *words):
    """Assert a clear, short error: the exit code, no traceback, and the words in it."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 4, result.stderr
    for word in words:
        assert word in result.stderr
