"""What a newcomer does: install from the folder, without torch, and see a picture."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

pytestmark = pytest.mark.slow


def build_wheel(root, folder, **environment):
    """Build the wheel of the checkout as pip does, and return its path."""
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(root)]
    done = subprocess.run(line, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel for every platform."""
    return build_wheel(root, tmp_path_factory.mktemp("wheel"), CUDACXX="/nowhere/nvcc")


def test_a_wheel_without_a_cuda_compiler_is_for_every_platform(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stargan_rt"}
    assert "stargan_rt/models/avatars.onnx" in names
    assert "stargan_rt/py.typed" in names
    assert "stargan_rt/cuda/frames.fatbin" not in names
    assert any(name.endswith("NOTICE") for name in names)
    bundled = [i for i in zipfile.ZipFile(wheel).infolist() if "/models/" in i.filename]
    assert sum(i.file_size for i in bundled) < 20e6


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs a CUDA compiler, nvcc, on the path")
def test_a_wheel_with_a_cuda_compiler_is_for_one_platform(root, tmp_path):
    wheel = build_wheel(root, tmp_path)
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    # A fat binary, not an object file of the host, which versions of CMake that ignore the setting would make.
    assert zipfile.ZipFile(wheel).read("stargan_rt/cuda/frames.fatbin")[:4] == bytes.fromhex("50ed55ba")


def test_the_source_archive_holds_what_its_tests_read(root, tmp_path):
    code = "import sys; from scikit_build_core.build import build_sdist; print(build_sdist(sys.argv[1]))"
    line = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    needed = ["README.md", "docs/api.md", "packaging/wheel_backend.py", "tests/conftest.py", "training/model.py"]
    assert set(needed) <= names


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
