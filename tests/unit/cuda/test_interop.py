"""Arrays and streams of other libraries, on a pretended GPU."""

import contextlib
import sys
import types

import numpy as np
import pytest
import torch
from lanes_backend import LanesBackend
from pretended_cuda import Array, Cuda, Invert, Stream, values

from stargan_rt import Engine, InputError, LabelSpace, Manifest
from stargan_rt.cuda.interop import DeviceArray, is_foreign, is_on_device, to_host
from stargan_rt.cuda.lanes import Lanes

SIZE, DIM = (32, 32), 3


class PretendedGPU(LanesBackend):
    """Lanes with the inverting network as a backend."""

    def __init__(self, cuda, dim):
        self.source = Invert(cuda)
        super().__init__(Lanes(cuda, cuda.device, lambda stream: self.source, SIZE, dim, (1, 4)))


def engine_of(cuda, labels):
    return Engine(Manifest(labels, SIZE, "fp32", 0, 0), PretendedGPU(cuda, labels.dim))


@pytest.fixture
def cuda():
    return Cuda()


@pytest.fixture
def gpu(cuda):
    with engine_of(cuda, LabelSpace({"faces": ("a", "b", "c")})) as engine:
        yield engine


# On the device


def test_one_image_stays_on_the_device(gpu, cuda, image):
    for _ in range(3):  # plain, captured, replayed
        out = gpu.translate(Array(image), "b")
        assert isinstance(out, DeviceArray)
        assert (out.shape, out.dtype) == ((32, 32, 3), np.uint8)
        np.testing.assert_array_equal(values(out), 255 - image)
    np.testing.assert_array_equal(values(gpu.translate(Array(image), "a")), (256 - image.astype(int)) % 256)
    assert "sync" not in [entry[0] for entry in cuda.log]


def test_the_result_may_be_out_or_the_image_itself(gpu, image):
    out = Array(np.zeros_like(image))
    assert gpu.translate(Array(image), "b", out=out) is out
    np.testing.assert_array_equal(out.values, 255 - image)
    inverted = 255 - image
    same = Array(image)
    gpu.translate(same, "b", out=same)
    np.testing.assert_array_equal(image, inverted)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_many_images_and_many_labels(gpu, random, count):
    images = random.integers(5, 250, (count, *SIZE, 3), np.uint8)
    np.testing.assert_array_equal(values(gpu.translate(Array(images), "b")), 255 - images)
    names = ["a" if row % 2 else "b" for row in range(count)]
    added = np.array([row % 2 for row in range(count)], np.uint8)[:, None, None, None]
    np.testing.assert_array_equal(values(gpu.translate(Array(images), names)), 255 - images + added)
    out = gpu.translate(Array(images[0]), names)
    assert out.shape == images.shape
    np.testing.assert_array_equal(values(out), 255 - images[0] + added)
    out = gpu.translate(Array(images[:1]), names)
    np.testing.assert_array_equal(values(out), 255 - images[0] + added)


def test_numbers_that_do_not_fit_together(gpu, random):
    images = random.integers(0, 256, (3, *SIZE, 3), np.uint8)
    with pytest.raises(InputError, match="3 images and 2 labels do not fit together"):
        gpu.translate(Array(images), ["a", "b"])
    with pytest.raises(InputError, match="at least one label"):
        gpu.translate(Array(images), np.zeros((0, DIM)))


def test_labels_of_two_data_sets_are_applied_one_after_the_other(cuda, image):
    engine = engine_of(cuda, LabelSpace({"x": ("a", "b"), "y": ("c",)}))
    np.testing.assert_array_equal(values(engine.translate(Array(image), "b, c")), image)  # inverted twice
    np.testing.assert_array_equal(values(engine.translate(Array(image), ["b, c", "b, c"]))[1], image)
    with pytest.raises(InputError, match="as many data sets as the others"):
        engine.translate(Array(image), ["b, c", "b"])
    engine.close()


def test_both_streams_wait_for_each_other_and_the_host_for_none(gpu, cuda, image):
    caller = Stream(cuda)
    gpu.translate(Array(image), "b", stream=caller)
    lane = gpu._backend.lanes._pool._members[0].stream.handle
    order = [entry[:2] for entry in cuda.log]
    assert order[:2] == [("record", caller.handle), ("wait", lane)]
    assert order[-2:] == [("record", lane), ("wait", caller.handle)]
    assert cuda.log[0][2] is cuda.log[1][2]
    assert cuda.log[-1][2] is cuda.log[-2][2]
    work = [entry for entry in order[2:-2] if entry[0] in ("copy", "record")]
    assert all(handle == lane for _, handle in work)


def test_every_way_to_name_a_stream(gpu, cuda, image):
    stream = Stream(cuda)
    handle = stream.handle
    protocol = types.SimpleNamespace(__cuda_stream__=lambda: (0, handle))
    others = [types.SimpleNamespace(**{name: handle}) for name in ("cuda_stream", "ptr", "handle")]
    for named in (stream, handle, protocol, *others):
        cuda.log.clear()
        gpu.translate(Array(image), "b", stream=named)
        assert cuda.log[0][:2] == ("record", handle)
    for default, number in ((0, 1), (1, 1), (2, 2)):
        cuda.log.clear()
        gpu.translate(Array(image), "b", stream=default)
        assert cuda.log[0][:2] == ("record", number)
    for wrong in ("main", True, -1, object()):
        with pytest.raises(InputError, match="stream= is a CUDA stream"):
            gpu.translate(Array(image), "b", stream=wrong)


def test_the_stream_of_the_array_is_followed(gpu, cuda, image):
    stream = Stream(cuda)
    gpu.translate(Array(image, stream=stream.handle), "b")
    assert cuda.log[0][:2] == ("record", stream.handle)
    cuda.log.clear()
    out = gpu.translate(Array(image), "b")
    assert cuda.log[0][:2] == ("record", 1)  # the legacy default stream
    assert out.__cuda_array_interface__["stream"] == 1


def library(monkeypatch, name, **members):
    """An array type of a library that is not installed."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    return type("ndarray", (Array,), {"__module__": name})


def test_cupy_follows_its_current_stream_and_gets_its_own_arrays(gpu, cuda, image, monkeypatch):
    current = Stream(cuda)
    used = []

    class External:
        def __init__(self, handle):
            used.append(handle)

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    streams = types.SimpleNamespace(
        get_current_stream=lambda: types.SimpleNamespace(ptr=current.handle), ExternalStream=External
    )
    kind = library(monkeypatch, "cupy", cuda=streams, empty=lambda shape, dtype: kind(np.empty(shape, dtype)))
    out = gpu.translate(kind(image), "b")
    assert type(out) is kind
    np.testing.assert_array_equal(out.values, 255 - image)
    assert cuda.log[0][:2] == ("record", current.handle)
    assert used == [current.handle]


@pytest.mark.parametrize("default", [False, True])
def test_pytorch_follows_its_current_stream_and_gets_tensors(gpu, cuda, image, monkeypatch, default):
    current = cuda.LEGACY_DEFAULT_STREAM if default else Stream(cuda)
    used = []
    streams = types.SimpleNamespace(
        current_stream=lambda device: types.SimpleNamespace(cuda_stream=0 if default else current.handle),
        default_stream=lambda device: "default",
        ExternalStream=lambda handle, device: handle,
        stream=lambda stream: contextlib.nullcontext(used.append(stream)),
    )

    def empty(shape, dtype, device):
        assert (dtype, device) == ("uint8", "cuda:0")
        return kind(np.empty(shape, np.uint8))

    kind = library(monkeypatch, "torch", cuda=streams, empty=empty, uint8="uint8")
    kind.device = "cuda:0"
    out = gpu.translate(kind(image), "b")
    assert type(out) is kind
    np.testing.assert_array_equal(out.values, 255 - image)
    assert cuda.log[0][:2] == ("record", current.handle)
    assert used == ["default" if default else current.handle]


def test_pycuda_gets_its_own_arrays(gpu, image, monkeypatch):
    kind = library(monkeypatch, "pycuda.gpuarray", empty=lambda shape, dtype: kind(np.empty(shape, dtype)))
    out = gpu.translate(kind(image), "b")
    assert type(out) is kind
    np.testing.assert_array_equal(out.values, 255 - image)


def test_a_poisoned_lane_says_to_load_again(gpu, image):
    gpu._backend.source.fails = RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
    with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
        gpu.translate(Array(image), "b")
    with pytest.raises(Exception, match="no lane is left"):
        gpu.translate(image, "b")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda i: Array(i, device_id=1), r"it is on GPU 1\. Needed is .*on GPU 0; in PyTorch, array\.to\('cuda:0'\)"),
        (lambda i: Array(i.astype(np.float32)), r"its dtype is float32\. Needed is uint8 .*\.round\(\)\.byte\(\)"),
        (lambda i: Array(np.ascontiguousarray(i[:16])), r"its shape is \(16, 32, 3\).*resize it before"),
        (lambda i: Array(np.ascontiguousarray(i.transpose(2, 0, 1))), r"shape is \(3, 32, 32\).*permute\(1, 2, 0\)"),
        (lambda i: Array(np.zeros((0, 32, 32, 3), np.uint8)), r"its shape is \(0, 32, 32, 3\)"),
        (lambda i: Array(i[:, ::-1]), r"not C-contiguous \(strides .*\.contiguous\(\)"),
        (lambda i: Array(np.asfortranarray(i)), r"not C-contiguous"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_cost_no_lane(gpu, cuda, image, wrong, message):
    with pytest.raises(InputError, match=r"(?s)^the image, a pretended_cuda\.Array, can't be used: .*" + message):
        gpu.translate(wrong(image), "b")
    assert cuda.log == []
    assert gpu._backend.lanes.left == 1


def test_out_that_does_not_fit_is_refused(gpu, image):
    with pytest.raises(InputError, match=r"out, a numpy\.ndarray, can't be used: it is not on the GPU"):
        gpu.translate(Array(image), "b", out=image)
    with pytest.raises(InputError, match=r"out is of shape \(2, 32, 32, 3\)"):
        gpu.translate(Array(image), "b", out=Array(np.zeros((2, *SIZE, 3), np.uint8)))
    with pytest.raises(InputError, match="out is read-only"):
        gpu.translate(Array(image), "b", out=Array(image, readonly=True))


def test_what_only_images_on_the_host_have(gpu, image):
    for options in ({"color": "bgr"}, {"keep_size": True}):
        with pytest.raises(InputError, match="leave out color and keep_size"):
            gpu.translate(Array(image), "b", **options)
    for call in (
        lambda: gpu.translate([Array(image)], "b"),
        lambda: gpu.submit(Array(image), "b"),
        lambda: next(gpu.map([Array(image)], "b")),
    ):
        with pytest.raises(InputError, match=r"`translate` takes it.*\(n, H, W, 3\)"):
            call()
    with pytest.raises(InputError, match="stream= requires an image on the GPU"):
        gpu.translate(image, "b", stream=0)


def test_a_profile_of_calls_on_the_device_waits_for_them(gpu, cuda, image):
    with gpu.profile() as profile:
        gpu.translate(Array(image), "b")
        gpu.translate(image, "b")
    assert [call.compute_ms for call in profile.calls] == [0.5, 0.5]
    assert set(profile.memory_bytes) >= {"pinned", "device"}


# The result for libraries without a name


def test_a_result_tells_consumers_what_to_wait_for(cuda):
    made_on, consumer = Stream(cuda), Stream(cuda)
    array = DeviceArray(cuda, cuda.allocate(12), (2, 2, 3), made_on)
    interface = array.__cuda_array_interface__
    assert interface["stream"] == made_on.handle
    assert interface["shape"] == (2, 2, 3)
    assert array.__dlpack_device__() == (2, 0)
    exported = []
    view = types.SimpleNamespace(__dlpack__=lambda **options: exported.append(options))
    cuda.utils.StridedMemoryView = types.SimpleNamespace(from_buffer=lambda buffer, shape, dtype: view)
    array.__dlpack__(stream=consumer.handle, max_version=(1, 0))
    array.__dlpack__(stream=-1)
    array.__dlpack__()
    assert cuda.log == [("wait", consumer.handle, made_on), ("wait", 1, made_on)]
    assert exported[0] == {"stream": -1, "max_version": (1, 0)}


# On the host


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
        engine.translate(Array(image), "happy")
