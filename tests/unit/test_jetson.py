"""Jetson: a made-up file system and programs stand for the board."""

import os
import sys

import pytest

from stargan_rt import doctor, jetson, machine
from stargan_rt.builder import cache

RELEASES = {
    "6.2": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: x",
    "7.1": "# R38 (release), REVISION: 4.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
    "7.2": "# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x",
}


@pytest.fixture
def board(tmp_path):
    """Write what a board's file system says."""

    def write(jetpack, model="NVIDIA Jetson AGX Orin Developer Kit"):
        for path, text in (
            ("etc/nv_tegra_release", RELEASES[jetpack] + "\n"),
            ("proc/device-tree/model", model + "\0"),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    return write


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs on the PATH that print a text."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name, text, then=""):
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n{then}\n")
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def packages(monkeypatch):
    """Say which versions of packages are installed."""
    versions = {}
    monkeypatch.setattr(jetson, "_version", versions.get)
    return versions


def test_other_machines_are_no_jetson(tmp_path):
    assert jetson.this_machine(tmp_path) is None


@pytest.mark.parametrize(
    ("jetpack", "l4t", "holds"),
    [
        ("6.2", (36, 4, 3), r"JetPack 6.2 (CUDA 12.6, TensorRT 10.3, Python 3.10)"),
        ("7.1", (38, 4, 0), r"JetPack 7.1 (CUDA 13.0, TensorRT 10.13, Python 3.12)"),
        ("7.2", (39, 2, 0), r"JetPack 7.2 (CUDA 13.2, TensorRT 10.16.2, Python 3.12)"),
    ],
)
def test_the_release_is_read(board, jetpack, l4t, holds):
    found = jetson.this_machine(board(jetpack))
    assert (found.l4t, found.jetpack) == (l4t, holds)
    assert str(found) == f"NVIDIA Jetson AGX Orin Developer Kit, L4T {'.'.join(map(str, l4t))}"


def test_an_unknown_release_is_said_to_be_unknown():
    assert jetson.Jetson("Jetson", (35, 6, 0)).jetpack == "unknown JetPack release"


def test_engines_of_two_models_are_kept_apart(board, monkeypatch, model):
    """An Orin NX has other kernels than an AGX, under the same release."""
    import onnx

    from stargan_rt.builder.config import BuildConfig

    keys, real = set(), jetson.this_machine
    for name in ("NVIDIA Jetson Orin NX", "NVIDIA Jetson AGX Orin", "NVIDIA Jetson AGX Orin"):
        root = board("6.2", name)
        monkeypatch.setattr(jetson, "this_machine", lambda root=root: real(root))
        assert machine.gpu() == f"{name}, L4T 36.4.3"
        keys.add(cache.key(onnx.load(model), BuildConfig(), "tensorrt", "10.3"))
    assert len(keys) == 2


def test_power_mode_clocks_and_tegrastats_are_read(programs):
    programs("nvpmodel", "NV Power Mode: MAXN_SUPER\n2")
    programs("jetson_clocks", "SOC family:tegra234\nGPU MinFreq=306000000 MaxFreq=1020000000\nEMC MinFreq=204000000")
    programs("tegrastats", "RAM 2543/7620MB CPU [2%@729] GR3D_FREQ 0%\nsecond line", "sleep 60")
    assert jetson.settings() == {
        "power_mode": "MAXN_SUPER",
        "jetson_clocks": "GPU MinFreq=306000000 MaxFreq=1020000000; EMC MinFreq=204000000",
        "tegrastats": "RAM 2543/7620MB CPU [2%@729] GR3D_FREQ 0%",
    }


def test_every_trap_is_named_with_its_fix(board, programs, packages, monkeypatch):
    programs("nvpmodel", "NV Power Mode: 15W\n0")
    root = board("7.2")
    packages |= {"tensorrt-cu12": "10.16", "cuda-bindings": "12.9.10"}
    traps = jetson.traps(jetson.this_machine(root), root)
    assert "pip uninstall tensorrt-cu12" in traps["TensorRT of pip"]
    assert "pip install 'stargan-rt[cuda13]'" in traps["CUDA bindings"]
    assert "mount it from the host" in traps["libnvdla_compiler.so"]
    assert "sudo nvpmodel -m 0 && sudo jetson_clocks" in traps["power mode"]
    packages.clear()
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", str(root))
    (root / "pyvenv.cfg").write_text("include-system-site-packages = false")
    assert "--system-site-packages" in jetson.traps(jetson.this_machine(root), root)["virtual environment"]


def test_a_board_that_is_set_up_has_no_trap(board, programs, packages, monkeypatch):
    programs("nvpmodel", "NV Power Mode: MAXN\n0")
    root = board("7.2")
    packages["cuda-bindings"] = "13.2.0"
    library = root / "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so"
    library.parent.mkdir(parents=True)
    library.touch()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert jetson.traps(jetson.this_machine(root), root) == {}


def test_jetpack_6_needs_the_bindings_of_cuda_12(board, packages):
    packages["cuda-bindings"] = "13.4.4"
    root = board("6.2")
    assert "pip install 'stargan-rt[cuda12]'" in jetson.traps(jetson.this_machine(root), root)["CUDA bindings"]


def test_trtexec_is_found_where_jetpack_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jetson, "TRTEXEC", tmp_path / "tensorrt" / "trtexec")
    assert jetson.trtexec() is None
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "trtexec").touch(0o755)
    assert jetson.trtexec() == str(tmp_path / "tensorrt" / "trtexec")


def test_doctor_names_the_board_and_its_traps(board, packages, programs, monkeypatch):
    programs("nvpmodel", "NV Power Mode: 15W\n0")
    root, real = board("6.2"), jetson.this_machine
    monkeypatch.setattr(jetson, "this_machine", lambda: real(root))
    packages["cuda-bindings"] = "13.4.4"
    facts = doctor.environment()
    assert facts["Jetson"].startswith("NVIDIA Jetson AGX Orin Developer Kit, L4T 36.4.3, JetPack 6.2 (CUDA 12.6")
    assert "[cuda12]" in facts["Jetson: CUDA bindings"]
    assert facts["power_mode"] == "15W"
    assert "trtexec" in facts
