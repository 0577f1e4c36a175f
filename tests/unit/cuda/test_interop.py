"""Arrays of other libraries on the host."""

import numpy as np
import pytest
import torch

from stargan_rt import InputError
from stargan_rt.cuda.interop import is_foreign, is_on_device, to_host


class OnDevice:
    """An array that says it lies on a GPU."""

    def __init__(self):
        self.__cuda_array_interface__ = {"version": 3, "shape": (32, 32, 3), "typestr": "|u1", "data": (512, False)}


class Elsewhere:
    def __init__(self, kind):
        self.kind = kind

    def __dlpack__(self, **_):
        raise BufferError("not for you")

    def __dlpack_device__(self):
        return self.kind, 0


def test_where_arrays_are():
    assert not is_foreign("a.png")
    assert is_foreign(torch.zeros(1))
    assert not is_on_device(torch.zeros(1))
    assert is_on_device(Elsewhere(2))
    assert is_on_device(Elsewhere(13))
    assert not is_on_device(Elsewhere(3))
    with pytest.raises(InputError, match=r"neither the host's nor an NVIDIA GPU's \(DLPack device type 8\)"):
        is_on_device(Elsewhere(8))
    with pytest.raises(InputError, match="can't be read by NumPy: not for you"):
        to_host(Elsewhere(1))


def test_pytorch_on_the_host_is_numpy(engine, image):
    expected = engine.translate(image, "happy")
    tensor = torch.from_numpy(image)
    np.testing.assert_array_equal(engine.translate(tensor, "happy"), expected)
    np.testing.assert_array_equal(engine.translate(tensor[None], "happy")[0], expected)
    np.testing.assert_array_equal(
        engine.translate([tensor, image], "happy")[0], engine.translate([image] * 2, "happy")[0]
    )
    np.testing.assert_array_equal(next(engine.map([tensor], "happy")), expected)
    future = engine.submit(tensor, "happy")
    tensor.zero_()
    np.testing.assert_array_equal(future.result(), expected)
    with pytest.raises(InputError, match="dtype float32"):
        engine.translate(tensor.float(), "happy")


def test_a_cpu_backend_says_how_to_bring_images_to_it(engine, image):
    with pytest.raises(InputError, match=rf"{engine.backend} runs on the CPU.*\.cpu\(\)\.numpy\(\)"):
        engine.translate(OnDevice(), "happy")
