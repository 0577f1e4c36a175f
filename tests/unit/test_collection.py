"""pytest collects every test file; what is marked slow is left to `pytest -m slow`."""

import subprocess
import sys


def test_every_test_file_is_collected(root):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-m", "", "-p", "no:cacheprovider"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    collected = {line.partition("::")[0].partition(":")[0] for line in done.stdout.splitlines()}
    files = {str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py")}
    assert len(files) > 40
    assert files - collected == set()
