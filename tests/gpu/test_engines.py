"""TensorRT and TensorRT-RTX against ONNX Runtime, with the bundled model built for the GPU at hand."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stargan_rt import BuildError, Engine, backends
from stargan_rt.backends import PLANS
from stargan_rt.builder import build
from stargan_rt.builder.config import BuildConfig
from stargan_rt.cuda.memory import free_and_total
from stargan_rt.models import bundled_faces, bundled_model


@pytest.fixture(scope="module", params=[(name, precision) for name in PLANS for precision in ("fp32", "fp16")])
def built(request, tmp_path_factory):
    """(the plan's path, its precision)."""
    name, precision = request.param
    if reason := backends.unavailable(name):
        pytest.skip(reason)
    path = tmp_path_factory.mktemp("plan") / "g.engine"
    try:
        build(bundled_model("avatars"), BuildConfig(backend=name, precision=precision), output=path, force=True)
    except BuildError as error:
        pytest.skip(f"{name} builds nothing for this GPU: {error}")
    return path, precision


@pytest.fixture(scope="module")
def reference():
    with Engine.load("avatars", backend="onnxruntime") as engine:
        faces = np.stack(bundled_faces()[:9])
        yield faces, engine.translate(faces, "Blond_Hair, happy")


def psnr_db(a, b):
    return 10 * np.log10(255**2 / max(float(np.mean((a.astype(np.float64) - b) ** 2)), 1e-9))


def test_pictures_are_those_of_onnx_runtime(built, reference, caplog):
    path, precision = built
    faces, expected = reference
    with caplog.at_level(logging.WARNING), Engine.load(path, lanes=2) as engine:
        for count in (1, 9, 3, 1, 9):  # plain, captured, replayed
            out = engine.translate(faces[:count], "Blond_Hair, happy")
            assert psnr_db(out, expected[:count]) > {"fp32": 50, "fp16": 40}[precision]
        for face, right in zip(faces, expected, strict=True):
            assert psnr_db(engine.translate(face, "Blond_Hair, happy"), right) > 40
        for out, right in zip(engine.map(faces, "Blond_Hair, happy"), expected, strict=True):
            assert psnr_db(out, right) > 40
    assert not caplog.records


def test_threads_and_lanes_agree(built, reference):
    path, _ = built
    faces, expected = reference
    with Engine.load(path, lanes=2) as engine, Engine.load(path) as other:

        def work(number):
            for turn in range(50):
                face = (number + turn) % len(faces)
                out = (engine, other)[turn % 2].translate(faces[face], "Blond_Hair, happy")
                assert psnr_db(out, expected[face]) > 40

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))


def test_a_soak_grows_nothing(built, reference):
    path, _ = built
    faces, _ = reference
    out = np.empty_like(faces[0])
    with Engine.load(path) as engine:
        for _ in range(100):
            engine.translate(faces[0], "happy", out=out)
        free = free_and_total()[0]
        for _ in range(10_000):
            engine.translate(faces[0], "happy", out=out)
        assert free - free_and_total()[0] < 2 << 20


def test_a_profile_has_every_stage(built, reference):
    path, _ = built
    with Engine.load(path) as engine:
        engine.translate(reference[0][0], "happy")
        with engine.profile() as profile:
            for _ in range(50):
                engine.translate(reference[0][0], "happy")
    times = profile.median()
    print(f"{path.name} {engine.backend}: {times}, {profile.memory_bytes}")
    assert min(times.h2d_ms, times.compute_ms, times.d2h_ms, times.host_ms) > 0


def test_tensors(built, reference):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch can't use the GPU")
    path, _ = built
    faces, expected = reference
    with Engine.load(path) as engine:
        for _ in range(3):
            out = engine.translate(torch.from_numpy(faces).cuda(), "Blond_Hair, happy")
            assert psnr_db(out.cpu().numpy(), expected) > 40
