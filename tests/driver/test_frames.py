"""The frame kernels on the stand-in driver: launched by cuda.core, computed by their own code built for the host."""

import ctypes
import subprocess

import numpy as np
import pytest
from frame_cases import LAYOUTS, REGIONS, SIZE, Buffer

from stargan_rt.cuda.frames import KERNELS, DeviceFrame, FrameKernels
from stargan_rt.errors import MissingDependencyError, StarGANError
from stargan_rt.faces import crop, paste


@pytest.fixture
def fatbin(tmp_path):
    path = tmp_path / "frames.fatbin"
    path.write_bytes(b"a fat binary")
    return path


@pytest.fixture
def stream(cuda, device):
    return device.create_stream(options=cuda.StreamOptions(nonblocking=True))


def test_launches_have_the_grid_the_block_and_the_stream(driver, fatbin, stream):
    frame = DeviceFrame(256, 46, 62, "nv12")
    frame_kernels = FrameKernels(fatbin)
    driver.clear()
    frame_kernels.crop(stream, frame, REGIONS["turned"], 512, (32, 32))
    frame_kernels.paste(stream, frame, REGIONS["outside"], 512, (32, 32))
    (launch,) = [line for line in driver.log() if line.name == "cuLaunchKernelEx" and not line.ran]
    assert launch.stream == int(stream.handle)
    assert launch.fields["name"] == "crop_nv12"
    assert (launch.fields["grid"], launch.fields["block"]) == ("1,8", "32,4")


@pytest.fixture(scope="module")
def on_host(tmp_path_factory, pytestconfig):
    """Let the stand-in run the kernels' own code, which reads the arguments as cuda.core packed them."""
    root = pytestconfig.rootpath
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    source = root / "tests" / "unit" / "cuda" / "kernels_on_cpu.cpp"
    command = ["c++", "-std=c++17", "-O2", "-fno-strict-aliasing", "-shared", "-fPIC"]
    command += ["-I", str(root / "stargan_rt" / "cuda"), "-o", str(library), str(source)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("no C++ compiler on this machine")
    run = ctypes.CDLL(str(library)).run
    driver, kept = ctypes.CDLL("libcuda.so.1"), []
    ctype = ctypes.CFUNCTYPE(
        None, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_uint)
    )
    for name in KERNELS:
        sizes = [8, 8, 8, 4, 4] + [8] * 6 + [8, 4, 4] + ([4] * 5 if name.startswith("paste") else [])
        sizes = (ctypes.c_size_t * len(sizes))(*sizes)

        def launch(arguments, grid, block, name=name, sizes=sizes):
            assert run(name.encode(), grid, block, arguments, sizes, ctypes.c_size_t(len(sizes)), False) == 0

        kept.append((ctype(launch), sizes))
        driver.standin_kernel(name.encode(), kept[-1][0], len(sizes), sizes)
    yield
    del kept


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", ["inside", "turned-over-the-edge"])
def test_arguments_arrive_as_they_were_packed(on_host, fatbin, stream, random, layout, region):
    frame_kernels = FrameKernels(fatbin)
    buffer = Buffer(random, layout)
    described = DeviceFrame(buffer.bytes.ctypes.data + buffer.offset, *SIZE, layout, buffer.pitch)
    out = np.zeros((32, 48, 3), np.uint8)
    frame_kernels.crop(stream, described, REGIONS[region], out.ctypes.data, out.shape[:2])
    stream.sync()
    expected = crop(buffer.frame, REGIONS[region], out.shape[:2], layout).astype(int)
    assert np.abs(out - expected).max() <= 1
    before = buffer.bytes.copy()
    frame_kernels.paste(stream, described, REGIONS[region], out.ctypes.data, out.shape[:2], 0.2)
    stream.sync()
    got = buffer.frame.astype(int)
    buffer.bytes[:] = before
    paste(buffer.frame, out, REGIONS[region], layout, 0.2)
    assert np.abs(got - buffer.frame).max() <= 1


def test_kernels_that_do_not_load_are_reported(driver, fatbin):
    for function in ("cuLibraryLoadFromFile", "cuLibraryLoadData"):
        driver.fail(function, 209, always=True)
    driver.fail("cuLibraryGetKernel", 209, always=True)
    with pytest.raises(StarGANError, match="the GPU can't load the kernels of"):
        FrameKernels(fatbin)


# Without a fat binary


def test_without_a_fat_binary_nvrtc_compiles_the_kernels_once(cuda, tmp_path, monkeypatch):
    from cuda.pathfinder import load_nvidia_dynamic_lib

    try:
        load_nvidia_dynamic_lib("nvrtc")
    except Exception as error:  # its own class, which older versions lack
        pytest.skip(f"needs NVRTC (pip install nvidia-cuda-nvrtc): {error}")
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    FrameKernels(tmp_path / "none.fatbin")
    (file,) = (tmp_path / "cache" / "kernels").iterdir()
    assert file.name.startswith("frames-sm_89-")
    code = file.read_bytes()
    for name in KERNELS:
        assert f".text.{name}".encode() in code
    monkeypatch.setattr(cuda, "Program", None)  # the second time nothing is compiled
    FrameKernels(tmp_path / "none.fatbin")


def test_without_a_fat_binary_and_nvrtc_the_package_to_install_is_named(cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))

    def missing(*_):
        raise RuntimeError("Failure finding libnvrtc.so")

    monkeypatch.setattr(cuda, "Program", missing)
    with pytest.raises(MissingDependencyError, match=r"pip install nvidia-cuda-nvrtc"):
        FrameKernels(tmp_path / "none.fatbin")


def test_kernels_that_do_not_compile_are_reported(cuda, tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))

    def refused(*_):
        raise RuntimeError("NVRTC_ERROR_COMPILATION, compilation log:\nerror")

    monkeypatch.setattr(cuda, "Program", refused)
    with pytest.raises(StarGANError, match="NVRTC can't compile the frame kernels for sm_89"):
        FrameKernels(tmp_path / "none.fatbin")
