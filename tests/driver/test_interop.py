"""Arrays and streams of other libraries, on the stand-in driver."""

import contextlib
import sys
import types

import numpy as np
import pytest
from device_arrays import Array, values
from inverting_network import LABELS, SIZE, make_engine

from stargan_rt import InputError, LabelSpace
from stargan_rt.cuda.interop import DeviceArray
from stargan_rt.cuda.memory import pinned_array

SETTINGS = {"devices": 2}
DIM = LABELS.dim


@pytest.fixture
def image(random):
    return random.integers(5, 250, (*SIZE, 3), np.uint8)


@pytest.fixture
def gpu():
    engine, _ = make_engine()
    with engine:
        yield engine


@pytest.fixture
def new_stream(cuda, device):
    return lambda: device.create_stream(options=cuda.StreamOptions(nonblocking=True))


def check_lane(engine, image):
    """Check that the only lane of an engine was not given up: it still translates."""
    np.testing.assert_array_equal(engine.translate(image, "b"), 255 - image)


# Arrays


def test_one_image_stays_on_the_device_and_the_host_waits_for_nothing(gpu, driver, image):
    arrays = [Array(image) for _ in range(3)]
    driver.clear()
    outs = [gpu.translate(array, "b") for array in arrays]  # kernel by kernel, captured, replayed
    assert driver.calls("Synchronize") == []
    assert driver.ran() == []  # nobody has asked for the result yet
    for out in outs:
        assert isinstance(out, DeviceArray)
        assert (out.shape, out.dtype) == ((*SIZE, 3), np.uint8)
        np.testing.assert_array_equal(values(out), 255 - image)
    np.testing.assert_array_equal(values(gpu.translate(Array(image), "a")), (256 - image.astype(int)) % 256)


def test_the_result_may_be_out_or_the_image_itself(gpu, image):
    out = Array(np.zeros_like(image))
    assert gpu.translate(Array(image), "b", out=out) is out
    np.testing.assert_array_equal(values(out), 255 - image)
    same = Array(image)
    gpu.translate(same, "b", out=same)
    np.testing.assert_array_equal(values(same), 255 - image)


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


def test_labels_of_many_calls_in_a_row_are_each_their_own(gpu, image):
    """More calls than label slots, and none has run when the last one is put on the stream."""
    array = Array(image)
    outs = [gpu.translate(array, "a" if turn % 3 else "b") for turn in range(40)]
    for turn, out in enumerate(outs):
        np.testing.assert_array_equal(values(out), 255 - image + (1 if turn % 3 else 0))


def test_numbers_that_do_not_fit_together(gpu, random):
    images = random.integers(0, 256, (3, *SIZE, 3), np.uint8)
    with pytest.raises(InputError, match="3 images and 2 labels do not fit together"):
        gpu.translate(Array(images), ["a", "b"])
    with pytest.raises(InputError, match="at least one label"):
        gpu.translate(Array(images), np.zeros((0, DIM)))


def test_labels_of_two_data_sets_are_applied_one_after_the_other(image):
    engine, _ = make_engine(LabelSpace({"x": ("a", "b"), "y": ("c",)}))
    np.testing.assert_array_equal(values(engine.translate(Array(image), "b, c")), image)  # inverted twice
    np.testing.assert_array_equal(values(engine.translate(Array(image), ["b, c", "b, c"]))[1], image)
    with pytest.raises(InputError, match="the same number of data sets"):
        engine.translate(Array(image), ["b, c", "b"])
    engine.close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda i: Array(i, device_id=1), r"it is on GPU 1\. Needed is .*on GPU 0; in PyTorch, array\.to\('cuda:0'\)"),
        (lambda i: Array(i.astype(np.float32)), r"its dtype is float32\. Needed is uint8 .*\.round\(\)\.byte\(\)"),
        (lambda i: Array(np.ascontiguousarray(i[:8])), r"its shape is \(8, 24, 3\).*resize it before"),
        (lambda i: Array(np.ascontiguousarray(i.transpose(2, 0, 1))), r"shape is \(3, 16, 24\).*permute\(1, 2, 0\)"),
        (lambda i: Array(np.zeros((0, *SIZE, 3), np.uint8)), r"its shape is \(0, 16, 24, 3\)"),
        (lambda i: Array(i[:, ::-1]), r"not C-contiguous \(strides .*\.contiguous\(\)"),
        (lambda i: Array(np.asfortranarray(i)), r"not C-contiguous"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_cost_no_lane(gpu, image, wrong, message):
    with pytest.raises(InputError, match=r"(?s)^the image, a device_arrays\.Array, can't be used: .*" + message):
        gpu.translate(wrong(image), "b")
    check_lane(gpu, image)


def test_out_that_does_not_fit_is_refused(gpu, image):
    with pytest.raises(InputError, match=r"out, a numpy\.ndarray, can't be used: it is not on the GPU"):
        gpu.translate(Array(image), "b", out=image)
    with pytest.raises(InputError, match=r"out is of shape \(2, 16, 24, 3\)"):
        gpu.translate(Array(image), "b", out=Array(np.zeros((2, *SIZE, 3), np.uint8)))
    with pytest.raises(InputError, match="out is read-only"):
        gpu.translate(Array(image), "b", out=Array(image, readonly=True))
    check_lane(gpu, image)


def test_what_only_images_on_the_host_have(gpu, image):
    for options in ({"color": "bgr"}, {"keep_size": True}):
        with pytest.raises(InputError, match="remove color and keep_size"):
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


# Streams


def test_the_lane_waits_for_the_caller_and_the_caller_for_the_lane(gpu, cuda, new_stream, image):
    """The image is written, and the result read, by work that nobody waits for in between."""
    stream = new_stream()
    host = cuda.LegacyPinnedMemoryResource()
    before, after = host.allocate(image.nbytes), host.allocate(image.nbytes)
    np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * image.nbytes).from_address(int(before.handle)))[:] = (
        image.ravel()
    )
    array, out = Array(np.zeros_like(image)), Array(np.zeros_like(image))
    for _ in range(3):
        on_device = cuda.Buffer.from_handle(array.address, image.nbytes)
        before.copy_to(on_device, stream=stream)
        gpu.translate(array, "b", out=out, stream=stream)
        cuda.Buffer.from_handle(out.address, image.nbytes).copy_to(after, stream=stream)
    stream.sync()
    np.testing.assert_array_equal(pinned_array(after, np.uint8).reshape(image.shape), 255 - image)


def followed(driver):
    """Return the handle of the stream that the last call recorded an event on first."""
    return next(line.stream for line in driver.log() if line.name == "cuEventRecord")


def test_every_way_to_name_a_stream(gpu, driver, new_stream, image):
    stream = new_stream()
    handle = int(stream.handle)
    protocol = types.SimpleNamespace(__cuda_stream__=lambda: (0, handle))
    others = [types.SimpleNamespace(**{name: handle}) for name in ("cuda_stream", "ptr", "handle")]
    array = Array(image)
    for named in (stream, handle, protocol, *others):
        driver.clear()
        gpu.translate(array, "b", stream=named)
        assert followed(driver) == handle
    for default, number in ((0, 1), (1, 1), (2, 2)):
        driver.clear()
        gpu.translate(array, "b", stream=default)
        assert followed(driver) == number
    for wrong in ("main", True, -1, object()):
        with pytest.raises(InputError, match="stream= is a CUDA stream"):
            gpu.translate(array, "b", stream=wrong)


def test_the_stream_of_the_array_is_followed(gpu, driver, new_stream, image):
    stream = new_stream()
    array, other = Array(image, stream=int(stream.handle)), Array(image)
    driver.clear()
    gpu.translate(array, "b")
    assert followed(driver) == int(stream.handle)
    driver.clear()
    out = gpu.translate(other, "b")
    assert followed(driver) == 1  # the legacy default stream
    assert out.__cuda_array_interface__["stream"] == 1


def test_a_stream_that_was_destroyed_is_refused_and_costs_no_lane(gpu, new_stream, image):
    stream = new_stream()
    handle = int(stream.handle)
    stream.close()
    for _ in range(2):
        with pytest.raises(InputError, match=r"stream= can't be used \(CUDA_ERROR_INVALID_HANDLE"):
            gpu.translate(Array(image), "b", stream=handle)
    np.testing.assert_array_equal(values(gpu.translate(Array(image), "b")), 255 - image)


def test_a_stream_that_is_captured_is_refused_and_costs_no_lane(gpu, new_stream, image):
    stream, array, out = new_stream(), Array(image), Array(image)
    builder = stream.create_graph_builder()
    builder.begin_building("relaxed")
    with pytest.raises(InputError, match=r"stream= is being captured as a CUDA graph \(torch.cuda.graph\)"):
        gpu.translate(array, "b", out=out, stream=int(stream.handle))
    builder.end_building()
    builder.close()
    np.testing.assert_array_equal(values(gpu.translate(array, "b", stream=stream)), 255 - image)


def test_callers_on_several_streams_use_several_lanes(driver, new_stream, image):
    """One thread, whose calls return before the GPU has begun: each stream gets a lane, and keeps it."""
    engine, sources = make_engine(count=2)
    streams, array = [new_stream(), new_stream()], Array(image)
    for _ in range(3):
        for stream in streams:
            engine.translate(array, "b", stream=stream)
    assert [source.enqueued for source in sources] == [2, 2]  # each enqueued once and captured once
    engine.close()


# Contexts


@pytest.fixture
def own_context():
    """A context that is not the primary one, current as under ``pycuda.autoinit``."""
    import cuda.bindings
    from cuda.bindings import driver

    parameters = (None,) if int(cuda.bindings.__version__.partition(".")[0]) >= 13 else ()
    status, context = driver.cuCtxCreate(*parameters, 0, 0)
    assert not int(status)
    yield context
    assert not int(driver.cuCtxDestroy(context)[0])


def test_under_another_context_images_on_the_host_are_fine(image, own_context):
    from cuda.bindings import driver

    engine, _ = make_engine()
    for _ in range(3):
        np.testing.assert_array_equal(engine.translate(image, "b"), 255 - image)
        assert int(driver.cuCtxGetCurrent()[1]) == int(own_context)
    engine.close()
    assert int(driver.cuCtxGetCurrent()[1]) == int(own_context)


def test_arrays_and_streams_of_another_context_are_refused_and_cost_no_lane(gpu, image, own_context):
    from cuda.bindings import driver

    address = int(driver.cuMemAlloc(image.nbytes)[1])
    stream = int(driver.cuStreamCreate(1)[1])
    array = types.SimpleNamespace(
        __cuda_array_interface__={
            "version": 3, "shape": image.shape, "typestr": "|u1", "strides": None, "data": (address, False)
        }
    )  # fmt: skip
    with pytest.raises(InputError, match=r"belongs to another CUDA context.*pycuda\.autoprimaryctx"):
        gpu.translate(array, "b")
    driver.cuMemFree(address)
    driver.cuCtxPopCurrent()
    with pytest.raises(InputError, match=r"stream= can't be used.*pycuda\.autoprimaryctx"):
        gpu.translate(Array(image), "b", stream=stream)
    check_lane(gpu, image)
    driver.cuCtxPushCurrent(own_context)


# Errors


def test_an_error_in_a_call_lets_the_callers_stream_go_on(driver, new_stream, image):
    engine, sources = make_engine(count=2)
    stream, array = new_stream(), Array(image)
    sources[0].fails = RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
    driver.clear()
    with pytest.raises(RuntimeError, match="LAUNCH_FAILED"):
        engine.translate(array, "b", stream=stream)
    waits = [line.stream for line in driver.log() if line.name == "cuStreamWaitEvent"]
    assert waits[-1] == int(stream.handle)  # what the lane was given comes before what the caller does next
    np.testing.assert_array_equal(values(engine.translate(array, "b", stream=stream)), 255 - image)
    engine.close()


def test_with_no_lane_left_the_error_says_to_load_again(image):
    engine, (source,) = make_engine()
    source.fails = RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
    with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
        engine.translate(Array(image), "b")
    with pytest.raises(Exception, match="no lane is left"):
        engine.translate(image, "b")
    engine.close()


def test_a_profile_of_calls_on_the_device_waits_for_them(gpu, image):
    with gpu.profile() as profile:
        gpu.translate(Array(image), "b")
        gpu.translate(image, "b")
    assert len(profile.calls) == 2
    assert all(min(call.h2d_ms, call.compute_ms, call.d2h_ms) > 0 for call in profile.calls)
    assert set(profile.memory_bytes) == {"pinned", "device", "free", "total"}


# Libraries with a name


def library(monkeypatch, name, **members):
    """An array type of a library that is not installed."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    return type("ndarray", (Array,), {"__module__": name})


def test_cupy_follows_its_current_stream_and_gets_its_own_arrays(gpu, driver, new_stream, image, monkeypatch):
    stream = new_stream()
    current = int(stream.handle)
    used = []

    class External:
        def __init__(self, handle):
            used.append(handle)

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    streams = types.SimpleNamespace(
        get_current_stream=lambda: types.SimpleNamespace(ptr=current), ExternalStream=External
    )
    kind = library(monkeypatch, "cupy", cuda=streams, empty=lambda shape, dtype: kind(np.empty(shape, dtype)))
    array = kind(image)
    driver.clear()
    out = gpu.translate(array, "b")
    assert type(out) is kind
    assert followed(driver) == current
    assert used == [current]
    stream.sync()
    np.testing.assert_array_equal(values(out), 255 - image)


@pytest.mark.parametrize("default", [False, True])
def test_pytorch_follows_its_current_stream_and_gets_tensors(gpu, driver, new_stream, image, monkeypatch, default):
    stream = new_stream()
    used = []
    streams = types.SimpleNamespace(
        current_stream=lambda device: types.SimpleNamespace(cuda_stream=0 if default else int(stream.handle)),
        default_stream=lambda device: "default",
        ExternalStream=lambda handle, device: handle,
        stream=lambda stream: contextlib.nullcontext(used.append(stream)),
    )

    def empty(shape, dtype, device):
        assert (dtype, device) == ("uint8", "cuda:0")
        return kind(np.empty(shape, np.uint8))

    kind = library(monkeypatch, "torch", cuda=streams, empty=empty, uint8="uint8")
    kind.device = "cuda:0"
    array = kind(image)
    driver.clear()
    out = gpu.translate(array, "b")
    assert type(out) is kind
    assert followed(driver) == (1 if default else int(stream.handle))
    assert used == ["default" if default else int(stream.handle)]
    np.testing.assert_array_equal(values(out), 255 - image)


# The result for libraries without a name


def test_a_result_tells_consumers_what_to_wait_for(gpu, cuda, driver, new_stream, image):
    made_on, consumer = new_stream(), new_stream()
    out = gpu.translate(Array(image), "b", stream=made_on)
    interface = out.__cuda_array_interface__
    assert (interface["stream"], interface["shape"]) == (int(made_on.handle), (*SIZE, 3))
    assert tuple(map(int, out.__dlpack_device__())) == (2, 0)
    for stream, waiting in ((int(consumer.handle), int(consumer.handle)), (None, 1)):
        driver.clear()
        out.__dlpack__(stream=stream)
        assert [line.stream for line in driver.log() if line.name == "cuStreamWaitEvent"] == [waiting]
    driver.clear()
    out.__dlpack__(stream=-1)
    assert driver.calls("WaitEvent") == []
    view = cuda.utils.StridedMemoryView.from_dlpack(out, stream_ptr=-1)
    assert int(view.ptr) == interface["data"][0]
