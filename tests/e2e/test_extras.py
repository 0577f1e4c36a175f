"""The extras resolve to wheels where a Jetson needs them."""

import subprocess
import sys

import pytest
import tomllib

CASES = [("cuda12", "3.10", 35), ("cuda13", "3.12", 39)]
"""Extra, Python and glibc 2.N of JetPack 6 (Ubuntu 22.04) and JetPack 7 (24.04)."""


@pytest.mark.slow
@pytest.mark.parametrize(("extra", "python", "glibc"), CASES)
def test_runtime_and_cuda_have_wheels_for_jetson(root, tmp_path, extra, python, glibc):
    """JetPack 6 has CUDA 12 and Python 3.10, JetPack 7 CUDA 13 and Python 3.12."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("\n".join([*project["dependencies"], *project["optional-dependencies"][extra]]))
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(glibc, 16, -1)]
    platforms.append("--platform=manylinux2014_aarch64")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={python}"]
    done = subprocess.run(
        [*command, *platforms, "--dest", str(tmp_path / "wheels"), "--requirement", str(wanted)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    names = [path.name for path in (tmp_path / "wheels").iterdir()]
    major = extra.removeprefix("cuda")
    assert any(name.startswith(f"cuda_bindings-{major}.") for name in names), names
