"""From the bundled model to plans for GPUs that are not here, with the real TensorRT-RTX."""

import dataclasses
import json
import sys
import time

import pytest

from stargan_rt import Engine, EngineIncompatibleError, InputError, MissingDependencyError
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends import version
from stargan_rt.builder import BUDGET_DB, BuildConfig, build, gate, plan, steps
from stargan_rt.cuda import driver
from stargan_rt.files import sha256
from stargan_rt.manifest import plan_manifest_path, read_onnx, read_plan
from stargan_rt.models import bundled_model

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX: pip install 'stargan-rt[tensorrt-rtx]'")

TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120")
LAYERS = {"fp32": {"fp32": 18}, "fp16": {"fp16": 18}, "int8": {"int8": 17, "fp16": 1}}
REBUILD = r"stargan-rt build --onnx avatars\.onnx --fp16 --backend tensorrt-rtx --target sm75,sm80,sm86,sm89,sm120"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def few_pictures(monkeypatch):
    """One picture a label judges, where the quality is not the point."""
    monkeypatch.setattr(gate, "IMAGES_A_LABEL", 1)


def config(precision, targets=TARGETS):
    int8 = {"calib": "avatars", "groups": ("down", "residual", "up", "last")} if precision == "int8" else {}
    settings = {"precision": precision, "targets": targets, "calib_count": 12, **int8}
    return BuildConfig(backend="tensorrt-rtx", max_batch=8, **settings)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Name and content of an fp16 plan for all targets and of its manifest."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STARGAN_RT_CACHE", str(folder / "cache"))
        patch.setattr(gate, "IMAGES_A_LABEL", 1)
        build(bundled_model("avatars"), config("fp16"), output=folder / "built" / "a.engine")
    return contents(folder / "built")


@pytest.fixture
def built(kept, tmp_path):
    """A fresh copy of `kept`."""
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path / "a.engine"


@pytest.fixture
def no_gpu():
    pytest.importorskip("cuda.core", reason="needs cuda.core: pip install 'stargan-rt[cuda13]'")
    if driver.gpu()[0]:
        pytest.skip("this machine has a GPU, on which the plan may run")


def check(artifact, precision, targets):
    path, manifest = artifact.path, artifact.manifest
    assert read_plan(path) == manifest
    record = manifest.build
    assert (record.backend, record.backend_version) == ("tensorrt-rtx", version("tensorrt-rtx"))
    assert record.targets == targets
    assert record.profiles == ((1, 1, 1), (1, 8, 8))
    assert record.layers == LAYERS[precision]
    assert record.layers_from == "typed graph"
    assert record.quality.judged_by == "onnxruntime on the typed ONNX"
    assert record.quality.worst_db >= record.quality.budget_db == BUDGET_DB[precision]
    assert record.plan_sha256 == sha256(path)
    assert manifest.precision == precision


@pytest.fixture
def compile_seconds(monkeypatch):
    """Processor time of each `compile_plan`; that of the clock would tell how busy the machine is."""
    seconds = []

    def timed(*arguments):
        began = time.process_time()
        compiled = plan.compile_plan(*arguments)
        seconds.append(time.process_time() - began)
        return compiled

    monkeypatch.setattr(steps, "compile_plan", timed)
    return seconds


@pytest.mark.parametrize("precision", LAYERS)
def test_one_plan_for_every_gpu(tmp_path, compile_seconds, precision):
    output = tmp_path / "built" / "a.engine"
    artifact = build(bundled_model("avatars"), config(precision), output=output)
    assert sorted(contents(output.parent)) == ["a.engine", "a.engine.json"]
    check(artifact, precision, TARGETS)
    assert len(compile_seconds) == 1
    assert compile_seconds[0] < 5


@pytest.mark.parametrize("target", TARGETS)
def test_a_plan_for_one_gpu(tmp_path, compile_seconds, few_pictures, target):
    artifact = build(bundled_model("avatars"), config("fp16", (target,)), output=tmp_path / "a.engine")
    check(artifact, "fp16", (target,))
    assert compile_seconds[0] < 5


def test_without_a_gpu_a_plan_is_refused(built, no_gpu):
    with pytest.raises(EngineIncompatibleError, match=r"a\.engine needs an NVIDIA GPU and its driver.*openvino"):
        Engine.load(built)


def test_without_a_gpu_a_bare_plan_is_refused(built, no_gpu):
    plan_manifest_path(built).unlink()
    labels = read_onnx(bundled_model("avatars"))[0].labels
    with pytest.raises(EngineIncompatibleError, match=r"a\.engine needs an NVIDIA GPU and its driver"):
        Engine.load(built, backend="tensorrt-rtx", labels=labels)


def write_manifest(path, manifest, **facts):
    changed = dataclasses.replace(manifest, build=dataclasses.replace(manifest.build, **facts))
    plan_manifest_path(path).write_text(json.dumps(changed.to_dict()))


def test_a_plan_of_another_version_is_refused(built):
    write_manifest(built, read_plan(built), backend_version="1.2.0.54")
    message = rf"built with TensorRT-RTX 1\.2\.0\.54; installed is .*; build it again: {REBUILD}"
    with pytest.raises(EngineIncompatibleError, match=message):
        Engine.load(built)


def test_a_changed_or_cut_plan_is_refused(built):
    whole = built.read_bytes()
    middle = len(whole) // 2
    changed = bytearray(whole)
    changed[middle] ^= 1
    for data in (changed, whole[:middle]):
        built.write_bytes(data)
        with pytest.raises(
            EngineIncompatibleError, match=rf"was changed or cut off.*build the engine again: {REBUILD}"
        ):
            Engine.load(built)


def test_a_plan_that_was_cut_before_its_manifest_was_written_is_refused(built, no_gpu):
    whole, manifest = built.read_bytes(), read_plan(built)
    built.write_bytes(whole[: len(whole) // 2])
    write_manifest(built, manifest, plan_sha256=sha256(built))
    with pytest.raises(EngineIncompatibleError, match=rf"is damaged.*; build it again: {REBUILD}"):
        Engine.load(built)


def test_an_unknown_target_leaves_no_file(tmp_path, few_pictures):
    message = r"TensorRT-RTX \S+ can't build for sm99; it can for sm75, .*sm120"
    with pytest.raises(InputError, match=message):
        build(bundled_model("avatars"), config("fp16", ("sm86", "sm99")), output=tmp_path / "a.engine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "auto"])
def test_a_missing_library_leaves_no_file(tmp_path, monkeypatch, backend):
    for module in library.MODULES.values():
        monkeypatch.setitem(sys.modules, module, None)
    missing = "tensorrt" if backend == "tensorrt" else "tensorrt-rtx"
    with pytest.raises(MissingDependencyError, match=rf"pip install 'stargan-rt\[{missing}.*\]'"):
        build(bundled_model("avatars"), BuildConfig(backend=backend, targets=("sm86",)), output=tmp_path / "a.engine")
    assert not list(tmp_path.iterdir())
