import contextlib
import os
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image as PILImage

from stargan_rt import Engine, EngineLoadError, InputError, LabelError, MissingDependencyError, backends, profiling
from stargan_rt.backends.openvino import OpenVINO
from stargan_rt.images import write_image
from stargan_rt.manifest import read_manifest


def test_properties(engine):
    assert engine.size == (32, 32)
    assert engine.precision == "fp32"
    assert engine.backend in ("openvino", "onnxruntime")
    assert engine.labels.names == engine.manifest.labels.names
    assert "32x32, 5 labels, fp32" in repr(engine)


def test_backends_agree(model, image):
    with Engine.load(model, backend="openvino") as a, Engine.load(model, backend="onnxruntime") as b:
        for name in a.labels.names:
            difference = a.translate(image, name).astype(int) - b.translate(image, name)
            assert abs(difference).max() <= 1


def test_one_image_gives_one_fresh_image(engine, image):
    out = engine.translate(image, "Blond_Hair")
    assert out.shape == (32, 32, 3)
    assert out.dtype == np.uint8
    kept = out.copy()
    other = engine.translate(image, "Black_Hair")
    np.testing.assert_array_equal(out, kept)
    assert (other != out).any()
    out[:] = 0  # writable, and nobody else's
    np.testing.assert_array_equal(engine.translate(image, "Blond_Hair"), kept)


def test_inputs_that_are_not_contiguous_or_not_writable_work(engine, image):
    expected = engine.translate(image, "happy")
    flipped = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    frozen = image.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(engine.translate(flipped, "happy"), expected)
    np.testing.assert_array_equal(engine.translate(frozen, "happy"), expected)


def test_every_kind_of_image(engine, image, tmp_path):
    path = tmp_path / "a.png"
    write_image(path, image)
    expected = engine.translate(image, "happy")
    for kind in (path, str(path), PILImage.fromarray(image)):
        np.testing.assert_array_equal(engine.translate(kind, "happy"), expected)


def test_labels_of_two_data_sets_are_applied_one_after_the_other(joint_model, image):
    with Engine.load(joint_model) as engine:
        expected = engine.translate(engine.translate(image, "Blond_Hair"), "happy")
        np.testing.assert_array_equal(engine.translate(image, "Blond_Hair, happy"), expected)
        single, both = engine.translate([image, image[::-1]], ["Beard", "Blond_Hair, happy"])
        for found, expected in (
            (single, engine.translate(image, "Beard")),
            (both, engine.translate(image[::-1], "Blond_Hair, happy")),
        ):  # sums of a batch are not always rounded as those of one image
            assert np.abs(found.astype(int) - expected).max() <= 2


def test_bgr_in_bgr_out(engine, image):
    bgr = np.ascontiguousarray(image[..., ::-1])
    expected = engine.translate(image, "happy")
    np.testing.assert_array_equal(engine.translate(bgr, "happy", color="bgr")[..., ::-1], expected)
    np.testing.assert_array_equal(engine.translate([bgr, bgr], "happy", color="bgr")[1, ..., ::-1], expected)


def test_every_kind_of_label(engine, image):
    expected = engine.translate(image, "Blond_Hair, happy")
    for label in ({"Blond_Hair": 1, "happy": 1.0}, [0, 1, 0, 1, 0], np.array([0, 1, 0, 1, 0])):
        np.testing.assert_array_equal(engine.translate(image, label), expected)


def test_batches_equal_single_images(engine, random):
    images = random.integers(0, 256, (11, 32, 32, 3), np.uint8)  # more than a backend gets at once
    labels = [engine.labels.names[i % 5] for i in range(11)]
    expected = np.stack([engine.translate(i, name) for i, name in zip(images, labels, strict=True)])
    for batch in (images, list(images)):
        out = engine.translate(batch, labels)
        assert abs(out.astype(int) - expected).max() <= 1
    many = engine.translate(images, "happy")
    assert abs(many[7].astype(int) - engine.translate(images[7], "happy")).max() <= 1


def test_one_image_with_many_labels(engine, image):
    out = engine.translate(image, ["happy", "sad"])
    assert out.shape == (2, 32, 32, 3)
    everything = engine.translate_all(image)
    assert tuple(everything) == engine.labels.names
    assert abs(everything["sad"].astype(int) - out[1]).max() <= 1


def test_other_sizes(engine, random):
    images = [random.integers(0, 256, size, np.uint8) for size in ((50, 70, 3), (20, 16, 3))]
    assert engine.translate(images[0], "happy").shape == (32, 32, 3)
    assert engine.translate(images[0], "happy", keep_size=True).shape == (50, 70, 3)
    assert engine.translate(images, "happy").shape == (2, 32, 32, 3)
    kept = engine.translate(images, "happy", keep_size=True)
    assert [k.shape for k in kept] == [(50, 70, 3), (20, 16, 3)]
    assert [k.shape for k in engine.translate_all(images[1], keep_size=True).values()] == [(20, 16, 3)] * 5


def test_wrong_requests(engine, image):
    with pytest.raises(InputError, match="3 images and 2 labels"):
        engine.translate([image] * 3, ["happy", "sad"])
    with pytest.raises(InputError, match="0 images"):
        engine.translate([], "happy")
    with pytest.raises(LabelError, match="did you mean happy"):
        engine.translate(image, "hapy")
    for label in (None, 3, {"happy", "sad"}):
        with pytest.raises(LabelError, match="a label is a name, a mapping or a vector"):
            engine.translate(image, label)
    with pytest.raises(InputError, match="1 images and 0 labels"):
        engine.translate(image, np.zeros((0, 5)))
    with pytest.raises(InputError, match="translate_all takes one image"):
        engine.translate_all([image] * 5)
    with pytest.raises(InputError, match="at least 16 pixels"):
        engine.translate(image[:1, :1], "happy")
    with pytest.raises(InputError, match="'rgb' or 'bgr'"):
        engine.translate(image, "happy", color="xyz")


def test_submit(engine, image):
    future = engine.submit(image, "happy")
    np.testing.assert_array_equal(future.result(), engine.translate(image, "happy"))
    assert isinstance(engine.submit(image, "hapy").exception(), LabelError)


def test_map_keeps_the_order_and_reads_only_a_few_ahead(engine, random):
    images = random.integers(0, 256, (30, 32, 32, 3), np.uint8)
    taken = 0

    def stream():
        nonlocal taken
        for i in images:
            taken += 1
            yield i

    outputs = engine.map(stream(), "happy")
    first = next(outputs)
    assert taken < 10
    for out, i in zip([first, *outputs], images, strict=True):
        np.testing.assert_array_equal(out, engine.translate(i, "happy"))


def test_map_with_a_label_each(engine, image):
    names = engine.labels.names
    for name, out in zip(names, engine.map([image] * 5, names), strict=True):
        np.testing.assert_array_equal(out, engine.translate(image, name))
    with pytest.raises(InputError, match="more images than the 2 labels"):
        list(engine.map([image] * 3, ["happy", "sad"]))


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_map_refuses_at_once_what_can_not_work_for_any_image(engine, image, return_exceptions):
    def never():
        raise AssertionError("no image is needed to see it")
        yield image

    for one in ("face.png", Path("face.png"), image):
        with pytest.raises(InputError, match="map takes several images"):
            engine.map(one, "happy", return_exceptions=return_exceptions)
    with pytest.raises(LabelError, match="happpy"):
        engine.map(never(), "happpy", return_exceptions=return_exceptions)


def test_map_takes_arrays_of_images_and_of_paths(engine, image, tmp_path):
    write_image(tmp_path / "face.png", image)
    right = engine.translate(image, "happy")
    for images in (np.stack([image, image]), np.array([str(tmp_path / "face.png")] * 2)):
        for out in engine.map(images, "happy"):
            np.testing.assert_array_equal(out, right)


def test_map_raises_where_the_image_stands_or_returns_the_error(engine, image):
    outputs = engine.map([image, image[:1], image], "happy")
    next(outputs)
    with pytest.raises(InputError):
        next(outputs)
    results = list(engine.map([image, image[:1], image], "happy", return_exceptions=True))
    assert [type(r) for r in results] == [np.ndarray, InputError, np.ndarray]


class Counted:
    """An endless stream of one image that counts how often it was read."""

    def __init__(self, image):
        self.image, self.read = image, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.read += 1
        return self.image


def test_map_can_be_left_early(engine, image):
    source = Counted(image)
    outputs = engine.map(source, "happy")
    first = next(outputs)
    outputs.close()
    read = source.read
    assert 1 <= read < 20
    np.testing.assert_array_equal(engine.translate(image, "happy"), first)
    engine.close()
    assert source.read == read


def test_threads_get_their_own_results(engine, random):
    images = random.integers(0, 256, (8, 32, 32, 3), np.uint8)
    expected = [engine.translate(i, "happy") for i in images]
    barrier = threading.Barrier(8)

    def work(index):
        barrier.wait()
        return [engine.translate(images[index], "happy") for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for index, results in enumerate(pool.map(work, range(8))):
            for result in results:
                np.testing.assert_array_equal(result, expected[index])


def test_buffers_may_be_reused_once_they_are_queued(engine, random):
    frames = random.integers(0, 256, (20, 32, 32, 3), np.uint8)
    expected = [engine.translate(frame, "happy") for frame in frames]
    buffer = np.empty_like(frames[0])

    def camera():
        for frame in frames:
            buffer[:] = frame
            yield buffer

    for out, right in zip(engine.map(camera(), "happy"), expected, strict=True):
        np.testing.assert_array_equal(out, right)


def test_map_gives_what_is_done_before_its_source_fails(engine, image):
    def source():
        yield from [image] * 8
        raise OSError("camera unplugged")

    done = []
    with pytest.raises(OSError, match="unplugged"):
        done.extend(engine.map(source(), "happy"))
    assert len(done) == 8
    done = []
    with pytest.raises(InputError, match="more images than the 2 labels"):
        done.extend(engine.map([image] * 3, ["happy", "sad"]))
    assert len(done) == 2


def test_close_waits_for_calls_and_futures(model, image):
    entered, go = threading.Event(), threading.Event()

    class Slow(OpenVINO):
        def run(self, images, labels):
            entered.set()
            go.wait()
            return super().run(images, labels)

    manifest = read_manifest(model)
    engine = Engine(manifest, Slow(model, manifest))
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(engine.translate, image, "happy")
        futures = [engine.submit(image, "happy") for _ in range(6)]
        entered.wait()
        closing = pool.submit(engine.close)
        assert not closing.done()
        go.set()
        closing.result(timeout=30)
    assert call.result().shape == (32, 32, 3)
    assert all(future.result().shape == (32, 32, 3) for future in futures)
    engine.close()
    for late in (engine.translate, engine.submit):
        with pytest.raises(InputError, match="closed; load it again"):
            late(image, "happy")
    assert engine.backend == "openvino"


def test_results_go_where_the_caller_wants_them(engine, random):
    images = random.integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = engine.translate(images, "happy")
    out = np.zeros_like(images)
    assert engine.translate(images, "happy", out=out) is out
    np.testing.assert_array_equal(out, expected)
    one = np.zeros_like(images[0])
    alone = engine.translate(images[0], "happy")
    assert engine.translate(images[0], "happy", out=one) is one
    np.testing.assert_array_equal(one, alone)
    bgr = images[0, ..., ::-1].copy()
    assert engine.translate(bgr, "happy", color="bgr", out=bgr) is bgr  # in place
    np.testing.assert_array_equal(bgr[..., ::-1], alone)
    large = np.ascontiguousarray(images[0].repeat(2, axis=0))
    kept = engine.translate(large, "happy", keep_size=True)
    np.testing.assert_array_equal(engine.translate(large, "happy", keep_size=True, out=np.zeros_like(large)), kept)


def test_results_of_two_data_sets_go_where_the_caller_wants_them(joint_model, image):
    with Engine.load(joint_model) as engine:
        out = np.zeros_like(image)
        engine.translate(image, "Blond_Hair, happy", out=out)
        np.testing.assert_array_equal(out, engine.translate(image, "Blond_Hair, happy"))


def test_an_out_that_does_not_fit_is_refused(engine, image):
    frozen = image.copy()
    frozen.flags.writeable = False
    for out in (image[:16], image.astype(np.float32), frozen, image[None], "out.png"):
        with pytest.raises(InputError, match=r"out= must be a writable uint8 NumPy array of shape \(32, 32, 3\)"):
            engine.translate(image, "happy", out=out)
    with pytest.raises(InputError, match=r"shape \(2, 32, 32, 3\)"):
        engine.translate([image, image], "happy", out=image)
    with pytest.raises(InputError, match="remove keep_size"):
        engine.translate([image, image], "happy", keep_size=True, out=image)


def test_lanes_share_out_a_cpu(model, random):
    images = random.integers(0, 256, (20, 32, 32, 3), np.uint8)
    with Engine.load(model, lanes=4) as engine:
        for out, i in zip(engine.map(images, "happy"), images, strict=True):
            np.testing.assert_array_equal(out, engine.translate(i, "happy"))
        four, one = Counted(images[0]), Counted(images[0])
        next(engine.map(four, "happy"))
    with Engine.load(model, lanes=1) as engine:
        next(engine.map(one, "happy"))
    assert four.read > one.read  # more calls are in flight
    with pytest.raises(InputError, match="lanes must be at least 1; got 0"):
        Engine.load(model, lanes=0)


def test_profile_tells_where_the_time_goes(engine, image, random):
    images = random.integers(0, 256, (9, 32, 32, 3), np.uint8)
    engine.translate(image, "happy")
    with engine.profile() as profile:
        engine.translate(image, "happy")
        engine.translate(images, "happy", out=np.zeros_like(images))
        engine.translate(image, "happy", out=np.zeros_like(image))
        list(engine.map(images, "happy"))
        with pytest.raises(LabelError):
            engine.translate(image, "hapy")
        with pytest.raises(InputError, match="another profile of this engine is active"), engine.profile():
            pass
    assert len(profile.calls) == 12
    for call in profile.calls:
        assert call.compute_ms > 0
        assert call.host_ms > 0
        assert call.h2d_ms == call.d2h_ms == 0
    assert profile.memory_bytes == {}
    engine.translate(image, "happy")
    assert len(profile.calls) == 12


def test_ranges_are_named_where_nvtx_is_installed(engine, image, monkeypatch):
    names = []

    @contextlib.contextmanager
    def annotate(name, domain):
        names.append((domain, name))
        yield

    monkeypatch.setitem(sys.modules, "nvtx", types.SimpleNamespace(annotate=annotate))
    profiling._nvtx.cache_clear()
    with engine.profile():
        engine.translate(image, "happy")
    assert names == [("stargan_rt", "translate")]
    profiling._nvtx.cache_clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_use_after_a_fork_is_refused_with_the_reason():
    code = """
import os, sys, numpy as np
from stargan_rt import Engine, InputError
engine = Engine.load("avatars")
image = np.zeros((128, 128, 3), np.uint8)
expected = engine.translate(image, "happy")
child = os.fork()
if not child:
    refused = 0
    for call in (engine.translate, engine.submit, lambda *a: next(engine.map([image], "happy")), engine.translate_all):
        try:
            call(image, "happy") if call != engine.translate_all else call(image)
        except InputError as error:
            refused += "before the process forked" in str(error) and "spawn" in str(error)
    engine.close()
    os._exit(0 if refused == 4 else 1)
assert os.waitpid(child, 0)[1] == 0
assert (engine.translate(image, "happy") == expected).all()
engine.close()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_many_threads_may_start_at_once():
    """The binding of OpenVINO can lock up where its first calls meet; a process that hangs fails here."""
    code = """
import sys, threading, numpy as np
sys.setswitchinterval(1e-6)
from stargan_rt import Engine
engine = Engine.load("avatars", backend="openvino")
image = np.zeros((128, 128, 3), np.uint8)
list(engine.map([image] * 4, "happy"))
engine.close()
"""
    for _ in range(5):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_bundled_model_loads_by_name():
    with Engine.load("avatars") as engine:
        assert engine.size == (128, 128)
        assert {"Blond_Hair", "Beard", "Eyeglasses", "Pale_Skin", "happy"} <= set(engine.labels.names)


def test_auto_takes_the_first_backend_that_is_installed(model, monkeypatch):
    with Engine.load(model) as engine:
        assert engine.backend == "openvino"
    real = backends.backend_class

    def without_openvino(name):
        if name == "openvino":
            raise MissingDependencyError("openvino can't be imported")
        return real(name)

    monkeypatch.setattr(backends, "backend_class", without_openvino)
    with Engine.load(model) as engine:
        assert engine.backend == "onnxruntime"
    monkeypatch.setattr(backends, "CPU_BACKENDS", ("openvino",))
    with pytest.raises(MissingDependencyError, match="no backend is installed"):
        Engine.load(model)


def test_load_refuses_wrong_arguments(model):
    with pytest.raises(InputError, match=r"unknown backend 'cuda'; known: auto, .*openvino"):
        Engine.load(model, backend="cuda")
    with pytest.raises(InputError, match="threads must be at least 1"):
        Engine.load(model, threads=0)
    with Engine.load(model, threads=1) as engine:
        assert engine.size == (32, 32)


def test_load_refuses_what_is_not_a_model(model, tmp_path):
    data = model.read_bytes()
    cut, text, empty = tmp_path / "cut.onnx", tmp_path / "text.onnx", tmp_path / "empty.onnx"
    cut.write_bytes(data[: len(data) // 2])
    text.write_text("hello")
    empty.touch()
    for path in (cut, text, empty):
        with pytest.raises(EngineLoadError, match=r"export"):
            Engine.load(path)
    with pytest.raises(EngineLoadError, match=r"no model at .*missing\.onnx"):
        Engine.load(tmp_path / "missing.onnx")


def test_load_refuses_other_networks(model, tmp_path):
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [info("x", onnx.TensorProto.FLOAT, ["n", 3])],
        [info("y", onnx.TensorProto.FLOAT, ["n", 3])],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(EngineLoadError, match=r"without stargan-rt's manifest, with inputs x float32 \[n, 3\]"):
        Engine.load(tmp_path / "other.onnx")

    stranger = onnx.load(model)
    stranger.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 7
    onnx.save(stranger, tmp_path / "stranger.onnx")
    with pytest.raises(EngineLoadError, match=r"does not match its manifest.*\[batch, 7\]"):
        Engine.load(tmp_path / "stranger.onnx")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_graph_that_a_backend_refuses_is_a_load_error(model, tmp_path, name):
    broken = onnx.load(model)
    broken.graph.node[5].op_type = "NoSuchOperator"
    broken.graph.node[5].domain = "nowhere"
    broken.opset_import.add(domain="nowhere", version=1)
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(EngineLoadError, match="refuses"):
        Engine.load(tmp_path / "broken.onnx", backend=name)
