"""What a newcomer does: install from the folder, without torch, and see a picture."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(root)]
    subprocess.run(line, check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stargan_rt"}
    assert "stargan_rt/models/avatars.onnx" in names
    assert "stargan_rt/py.typed" in names
    assert any(name.endswith("NOTICE") for name in names)
    if shutil.which("nvcc"):
        # A fat binary, not an object file of the host: older versions of CMake make that without a word.
        assert zipfile.ZipFile(wheel).read("stargan_rt/cuda/frames.fatbin")[:4] == bytes.fromhex("50ed55ba")
    bundled = [i for i in zipfile.ZipFile(wheel).infolist() if "/models/" in i.filename]
    assert sum(i.file_size for i in bundled) < 20e6


def test_the_wheel_builds_quietly_without_a_cuda_compiler(root, tmp_path):
    environment = {**os.environ, "CUDACXX": "/nowhere/nvcc"}  # CMake looks here first, and then no further
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(root)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = tmp_path.glob("*.whl")
    assert "stargan_rt/cuda/frames.fatbin" not in zipfile.ZipFile(found).namelist()


def test_an_installed_wheel_works_without_torch_and_without_the_checkout(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True, cwd=tmp_path)
    call = lambda *line: subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120)  # noqa: E731
    assert call(python, "-c", "import torch").returncode != 0
    program = tmp_path / "venv" / "bin" / "stargan-rt"
    demo = call(program, "demo")
    assert demo.returncode == 0, demo.stderr
    assert "p50" in demo.stdout
    assert (tmp_path / "stargan-rt-demo.png").stat().st_size > 10_000
    doctor = call(program, "doctor", "--checkpoint", "G.ckpt")
    assert doctor.returncode == 1
    assert "in a checkout of stargan-rt run" in doctor.stderr
