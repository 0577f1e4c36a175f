"""Real PyCUDA on the stand-in driver: its arrays, streams and allocations as images and results."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from documentation import python_examples
from inverting_network import SIZE, make_engine

from stargan_rt import Engine, InputError, LabelSpace
from stargan_rt.images import read_image, write_image

pytestmark = pytest.mark.slow  # PyCUDA takes minutes to build; .ci/pycuda does it


@pytest.fixture(scope="module")
def pycuda():
    pytest.importorskip("pycuda._driver", reason="needs PyCUDA: .ci/pycuda builds it", exc_type=ImportError)
    import pycuda.driver

    pycuda.driver.init()
    context = pycuda.driver.Device(0).retain_primary_context()
    context.push()
    yield pycuda.driver
    context.pop()


@pytest.fixture
def gpu(pycuda):
    engine, _ = make_engine()
    with engine:
        yield engine


@pytest.fixture
def image(random):
    return random.integers(5, 250, (*SIZE, 3), np.uint8)


def test_gpuarrays_come_back_as_gpuarrays(gpu, image):
    from pycuda import gpuarray

    array = gpuarray.to_gpu(image)
    for _ in range(3):
        out = gpu.translate(array, "b")
        assert isinstance(out, gpuarray.GPUArray)
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
        np.testing.assert_array_equal(out.get(), 255 - image)
    many = gpuarray.to_gpu(np.stack([image] * 3))
    np.testing.assert_array_equal(gpu.translate(many, "a").get()[1], 255 - image + 1)


def test_a_stream_of_pycuda_is_followed(gpu, pycuda, driver, image):
    from pycuda import gpuarray

    stream = pycuda.Stream()
    array = gpuarray.to_gpu_async(pycuda.pagelocked_empty_like(image), stream=stream)
    array.set_async(image, stream=stream)
    result = gpuarray.empty_like(array)
    driver.clear()
    gpu.translate(array, "b", out=result, stream=stream)
    assert next(line.stream for line in driver.log() if line.name == "cuEventRecord") == int(stream.handle)
    got = result.get_async(stream=stream)
    stream.synchronize()
    np.testing.assert_array_equal(got, 255 - image)


def test_an_allocation_is_one_image_of_the_networks_size(gpu, pycuda, image):
    source, target = pycuda.mem_alloc(image.nbytes), pycuda.mem_alloc(image.nbytes)
    pycuda.memcpy_htod(source, image)
    assert gpu.translate(source, "b", out=target) is target
    got = np.empty_like(image)
    pycuda.memcpy_dtoh(got, target)
    np.testing.assert_array_equal(got, 255 - image)
    fresh = gpu.translate(source, "b")
    assert isinstance(fresh, pycuda.DeviceAllocation)
    pycuda.memcpy_dtoh(got, fresh)
    np.testing.assert_array_equal(got, 255 - image)


def test_an_allocation_that_is_too_small_is_refused(gpu, pycuda, image):
    with pytest.raises(InputError, match=rf"DeviceAllocation, can't be used: it has 100 bytes, of {image.nbytes}"):
        gpu.translate(pycuda.mem_alloc(100), "b")


def test_under_autoinit_arrays_are_refused_and_images_on_the_host_are_fine(gpu, pycuda, image):
    from pycuda import gpuarray

    context = pycuda.Device(0).make_context()  # what pycuda.autoinit does
    try:
        array = gpuarray.to_gpu(image)
        with pytest.raises(InputError, match=r"pycuda\.autoprimaryctx instead of pycuda\.autoinit"):
            gpu.translate(array, "b")
        with pytest.raises(InputError, match=r"pycuda\.autoprimaryctx"):
            gpu.translate(pycuda.mem_alloc(image.nbytes), "b")
        np.testing.assert_array_equal(gpu.translate(image, "b"), 255 - image)
        assert pycuda.Context.get_current() == context
        np.testing.assert_array_equal(array.get(), image)
        del array
    finally:
        context.pop()


@pytest.fixture
def loaded(gpu, monkeypatch):
    """Let examples load this engine."""
    labels = LabelSpace({"faces": ("Blond_Hair", "happy", "sad")})

    def load(path, **_):
        return make_engine(labels)[0]

    monkeypatch.setattr(Engine, "load", load)


def test_the_example_of_the_page_runs(loaded):
    page = Path(__file__).parents[2] / "docs" / "gpu.md"
    (example,) = (text for text in python_examples(page) if "import pycuda" in text)
    exec(compile(example, "docs/gpu.md", "exec"), {})


def test_the_example_file_runs(loaded, root, tmp_path, image, capsys):
    write_image(tmp_path / "face.png", image)
    example = runpy.run_path(str(root / "examples" / "pycuda_arrays.py"))
    example["main"]("g.engine", str(tmp_path / "face.png"), str(tmp_path / "faces.png"))
    assert capsys.readouterr().out.endswith("Blond_Hair, happy, sad\n")
    faces = read_image(tmp_path / "faces.png")
    assert faces.shape == (SIZE[0], 4 * SIZE[1], 3)
    np.testing.assert_array_equal(faces[:, 2 * SIZE[1] : 3 * SIZE[1]], 255 - image)
