"""The kernels without a GPU: they compile, and a host compiler's build of them does what the twin on the CPU does."""

import ctypes
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from frame_cases import LAYOUTS, REGIONS, SIZE, Buffer

from stargan_rt.cuda.frames import KERNELS, DeviceFrame, FrameKernels, plan_crop, plan_paste
from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.faces import Region, crop, paste

COMPILER = next(filter(shutil.which, ("g++", "clang++", "c++")), None)
NVCC = shutil.which("nvcc")
ARCHITECTURES = [75, 80, 86, 87, 89, 90, 100, 103, 110, 120]


# What the GPU would do


@pytest.fixture(scope="module")
def on_cpu(root, tmp_path_factory):
    """Runs a planned launch with the kernels' own code, compiled for the host."""
    if COMPILER is None:
        pytest.skip("no C++ compiler on this machine")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    source = root / "tests" / "unit" / "cuda" / "kernels_on_cpu.cpp"
    # CUDA lets words be read from bytes, but only at whole addresses: anywhere else the process dies here, as there.
    options = [
        "-std=c++17",
        "-O2",
        "-fno-strict-aliasing",
        "-fsanitize=alignment",
        "-fsanitize-undefined-trap-on-error",
    ]
    options += ["-shared", "-fPIC", "-I", root / "stargan_rt" / "cuda"]
    done = subprocess.run([COMPILER, *options, "-o", library, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = ctypes.CDLL(str(library)).run

    def launch(launch, backwards=False):
        values = [np.array(a, np.uint64 if isinstance(a, int) else None) for a in launch.arguments]
        addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        sizes = (ctypes.c_size_t * len(values))(*(value.nbytes for value in values))
        grid, block = (ctypes.c_uint * 2)(*launch.grid), (ctypes.c_uint * 2)(*launch.block)
        assert run(launch.kernel.encode(), grid, block, addresses, sizes, ctypes.c_size_t(len(values)), backwards) == 0

    return launch


def described(buffer: Buffer, layout: str, size: tuple[int, int] = SIZE) -> DeviceFrame:
    return DeviceFrame(buffer.bytes.ctypes.data + buffer.offset, *size, layout, buffer.pitch)


def check_crop(on_cpu, buffer, layout, region, size, frame_size=SIZE):
    before, out = buffer.bytes.copy(), np.zeros(size[0] * size[1] * 3 + 16, np.uint8)
    on_cpu(plan_crop(described(buffer, layout, frame_size), region, out.ctypes.data, size))
    expected = crop(buffer.frame, region, size, layout).astype(int)
    assert np.abs(out[:-16].reshape(expected.shape) - expected).max() <= 1
    assert not out[-16:].any()
    assert (buffer.bytes == before).all()


def check_paste(on_cpu, buffer, layout, region, picture, feather, frame_size=SIZE, backwards=False):
    before, gaps = buffer.bytes.copy(), buffer.gaps
    frame = described(buffer, layout, frame_size)
    launch = plan_paste(frame, region, picture.ctypes.data, picture.shape[:2], feather)
    if launch is not None:
        on_cpu(launch, backwards)
    got, got_gaps = buffer.frame.astype(int), buffer.gaps
    buffer.bytes[:] = before
    paste(buffer.frame, picture, region, layout, feather)
    assert np.abs(got - buffer.frame).max() <= 1
    assert (got != buffer.frame).mean() < 0.01  # now and then one rounds up where the other rounds down
    assert (got_gaps == gaps).all()
    return launch


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize(("pad", "offset"), [(0, 0), (13, 3)])
def test_the_crop_kernel_is_the_twin_within_a_level(on_cpu, random, layout, region, pad, offset):
    check_crop(on_cpu, Buffer(random, layout, pad=pad, offset=offset), layout, region, (37, 70))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
# Rows of whole words, rows that are not, and frames at odd addresses.
@pytest.mark.parametrize(("pad", "offset"), [(0, 0), (-SIZE[1] % 4, 0), (-3 * SIZE[1] % 4, 0), (13, 3), (2, 4)])
def test_the_paste_kernel_is_the_twin_within_a_level(on_cpu, random, layout, region, pad, offset):
    picture = random.integers(0, 256, (23, 29, 3), np.uint8)
    for feather in (0, 0.001, 0.1, 0.5):
        buffer = Buffer(random, layout, pad=pad, offset=offset)
        launch = check_paste(on_cpu, buffer, layout, region, picture, feather, backwards=feather == 0.1)
        assert (launch is None) == (region is REGIONS["outside"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_kernels_at_random(on_cpu, random, layout):
    for _ in range(60):
        height, width = (int(side) * 2 if layout == "nv12" else int(side) for side in random.integers(1, 60, 2))
        buffer = Buffer(random, layout, (height, width), *map(int, random.integers(0, 9, 2)))
        x, y, across, down = (*random.uniform(-60, 120, 2), *random.uniform(1, 150, 2))
        region = Region.box(x, y, across, down, random.uniform(-180, 180))
        size = tuple(map(int, random.integers(1, 70, 2)))
        check_crop(on_cpu, buffer, layout, region, size, (height, width))
        picture = random.integers(0, 256, (*size, 3), np.uint8)
        check_paste(on_cpu, buffer, layout, region, picture, random.uniform(0, 0.5), (height, width))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_kernels_far_from_the_corner(on_cpu, random, layout):
    buffer, region = Buffer(random, layout, (4, 8192)), Region.box(8150.4, 0.2, 41.9, 3.9, 0.5)
    check_crop(on_cpu, buffer, layout, region, (16, 256), (4, 8192))
    check_paste(on_cpu, buffer, layout, region, random.integers(0, 256, (64, 1024, 3), np.uint8), 0.1, (4, 8192))


@pytest.mark.parametrize("part", [0, 1])
def test_nv12_with_planes_apart(on_cpu, random, part):
    buffer, region = Buffer(random, "nv12"), REGIONS["inside"]
    luma, chroma = buffer.frame[: SIZE[0]].copy(), buffer.frame[SIZE[0] :].copy()
    frame = DeviceFrame(luma.ctypes.data, *SIZE, "nv12", chroma=chroma.ctypes.data)
    picture = random.integers(0, 256, (9, 9, 3), np.uint8)
    on_cpu(plan_paste(frame, region, picture.ctypes.data, (9, 9), 0.2))
    paste(buffer.frame, picture, region, "nv12", 0.2)
    assert np.abs((luma, chroma)[part].astype(int) - np.split(buffer.frame, [SIZE[0]])[part]).max() <= 1


# Planning


def test_a_plan_covers_the_output_and_no_more():
    frame = DeviceFrame(256, 1080, 1920, "bgr")
    launch = plan_crop(frame, Region.box(0, 0, 9, 9), 512, (128, 130))
    assert (launch.kernel, launch.grid, launch.block) == ("crop_bgr", (5, 32), (32, 4))
    assert [type(a).__name__ for a in launch.arguments] == [
        *("int", "int", "int64", "int32", "int32"),
        *["int64"] * 6,
        *("int", "int32", "int32"),
    ]
    assert launch.arguments[:5] == (256, 0, 5760, 1080, 1920)


@pytest.mark.parametrize(
    ("layout", "grid", "part"), [("rgb", (2, 11), (100, 49, 232, 91)), ("nv12", (2, 6), (100, 48, 232, 92))]
)
def test_a_plan_looks_at_the_region_alone(layout, grid, part):
    frame = DeviceFrame(256, 1080, 1920, layout)
    launch = plan_paste(frame, Region.box(102, 50, 128, 40), 512, (64, 64), 0.1)
    assert (launch.kernel, launch.grid, launch.arguments[-4:]) == (f"paste_{layout}", grid, part)


def test_the_largest_regions_fit_the_kernels_integers():
    frame, far = DeviceFrame(256, 8192, 8192), Region(((1, 0, 32768), (0, 32768, -32768)))
    for launch in (plan_crop(frame, far, 512, (8192, 8192)), plan_paste(frame, REGIONS["all"], 512, (8192, 8192), 0)):
        xx, xy, x0, yx, yy, y0 = map(int, launch.arguments[5:11])
        assert max(abs(a * 8191) + abs(b * 8191) + abs(c) for a, b, c in ((xx, xy, x0), (yx, yy, y0))) < 2**62


def test_frames_fill_in_what_follows():
    assert DeviceFrame(100, 10, 20).pitch == 60
    frame = DeviceFrame(100, 10, 20, "nv12", pitch=64)
    assert (frame.pitch, frame.chroma) == (64, 740)


def test_wrong_frames_are_told():
    with pytest.raises(InputError, match="takes 60 bytes; pitch is 59"):
        DeviceFrame(100, 10, 20, pitch=59)
    with pytest.raises(InputError, match="address"):
        DeviceFrame(0, 10, 20)
    with pytest.raises(InputError, match="even"):
        DeviceFrame(100, 9, 20, "nv12")
    with pytest.raises(InputError, match="layout"):
        DeviceFrame(100, 9, 20, "rgba")
    with pytest.raises(InputError, match="the output needs the address"):
        plan_crop(DeviceFrame(100, 9, 20), Region.box(0, 0, 9, 9), 0, (8, 8))


# Loading and launching


def test_nothing_of_nvidia_is_imported_before_it_is_needed():
    code = "import sys, stargan_rt.cuda.frames; print('cuda' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_cuda_core_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stargan-rt\[cuda13\]'"):
        FrameKernels()


# Compiling


def entries(fatbin: bytes):
    """(kind, architecture, content) of what a fat binary holds; kind is "ptx" or "elf"."""
    magic, _, header, size = struct.unpack_from("<IHHQ", fatbin)
    assert magic == 0xBA55ED50
    at, end = header, header + size
    while at < end:
        kind, _, header, size = struct.unpack_from("<HHIQ", fatbin, at)
        (architecture,) = struct.unpack_from("<I", fatbin, at + 28)
        yield {1: "ptx", 2: "elf"}[kind], architecture, fatbin[at + header : at + header + size]
        at += header + size


@pytest.mark.slow
@pytest.mark.skipif(NVCC is None, reason="no CUDA compiler on this machine")
def test_the_kernels_compile_for_every_architecture(root, tmp_path):
    known = set(map(int, re.findall(r"compute_(\d+)", _output(NVCC, "--list-gpu-arch"))))
    wanted = [a for a in ARCHITECTURES if a in known]
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in wanted]
    targets.append(f"-gencode=arch=compute_{wanted[-1]},code=compute_{wanted[-1]}")
    binary = tmp_path / "frames.fatbin"
    source = root / "stargan_rt" / "cuda" / "frames.cu"
    strict = ["-Werror", "all-warnings", "-Xptxas", "-warn-spills"]
    line = [NVCC, "-fatbin", "-std=c++17", *strict, "-Xfatbin", "-compress=false", *targets, "-o", binary, source]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = list(entries(binary.read_bytes()))
    assert sorted(a for kind, a, _ in found if kind == "elf") == wanted
    assert [a for kind, a, _ in found if kind == "ptx"] == wanted[-1:]
    for kind, architecture, content in found:
        for name in KERNELS:
            symbol = f".text.{name}\0" if kind == "elf" else f".entry {name}("
            assert symbol.encode() in content, (architecture, name)


def test_cmake_builds_for_the_same(root):
    first, *_, last = re.findall(r"architectures (\d.*)\)", (root / "CMakeLists.txt").read_text())
    numbers = f"{first} {last}".split()
    assert [int(number.removesuffix("-real")) for number in numbers] == ARCHITECTURES
    with_ptx = [number for number in numbers if not number.endswith("-real")]
    assert with_ptx == [str(ARCHITECTURES[0]), str(ARCHITECTURES[-1])]  # for GPUs between the families, and later ones


def _output(*line) -> str:
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout
