"""The kernels compile; what they compute is tested in tests/gpu."""

import shutil
import subprocess

import pytest


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no CUDA compiler on this machine")
def test_the_kernels_compile_for_every_architecture(root, tmp_path):
    binary = tmp_path / "frames.fatbin"
    source = root / "stargan_rt" / "cuda" / "frames.cu"
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in (75, 80, 86, 89, 90)]
    done = subprocess.run(
        ["nvcc", "-fatbin", "-Xfatbin", "-compress=false", *targets, "-o", binary, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert binary.read_bytes().count(b".text.crop_resize") >= len(targets)
