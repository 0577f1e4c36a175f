import dataclasses
import errno
import json
import shutil
import sys

import numpy as np
import onnx
import pytest

from stargan_rt import Engine, EngineIncompatibleError, EngineLoadError, InputError, MissingDependencyError, backends
from stargan_rt.backends.onnxruntime import ONNXRuntime
from stargan_rt.build_record import BuildRecord
from stargan_rt.builder import BUDGET_DB, BuildConfig, build, cache, steps
from stargan_rt.builder.calibration import cover, load_images
from stargan_rt.builder.gate import Gate
from stargan_rt.builder.layers import typed_layers
from stargan_rt.builder.plan import Plan
from stargan_rt.errors import BuildError
from stargan_rt.files import sha256
from stargan_rt.images import write_image
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_faces, bundled_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(model, tmp_path):
    return shutil.copy(model, tmp_path / "g.onnx")


INT8 = BuildConfig(backend="openvino", precision="int8", calib="avatars", min_psnr=20)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_every_precision_on_openvino(source, tmp_path, precision, image):
    calib = "avatars" if precision == "int8" else None
    config = BuildConfig(backend="openvino", precision=precision, calib=calib, min_psnr=20)
    artifact = build(source, config, force=True)
    assert artifact.path == tmp_path / f"g.{precision}.onnx"
    record = artifact.manifest.build
    assert sum(record.layers.values()) == 8
    assert record.layers_from == "openvino runtime model"
    assert artifact.manifest.precision == max(record.layers, key=record.layers.get)
    assert (record.source_file, record.source_sha256) == ("g.onnx", sha256(source))
    assert record.quality.worst_db >= 20
    assert record.quality.judged_by == "openvino, the engine itself"
    assert set(record.quality.psnr_db) == set(record.quality.ssim) == set(artifact.manifest.labels.names)
    with Engine.load(artifact.path) as engine, Engine.load(source) as master:
        assert engine.backend == "openvino"
        assert engine.precision == artifact.manifest.precision
        difference = engine.translate(image, "happy").astype(int) - master.translate(image, "happy")
        assert np.abs(difference).mean() < 12
    if precision == "int8":
        assert record.int8.groups == ("down", "residual", "up", "last")
        assert list(record.int8.ranking_db) == ["first", "down", "residual", "up", "last"]
        assert record.speed.against in ("bf16", "fp32")
        assert record.speed.ms > 0


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_onnxruntime_too(source, precision):
    calib = "avatars" if precision == "int8" else None
    config = BuildConfig(backend="onnxruntime", precision=precision, calib=calib, min_psnr=20)
    artifact = build(source, config, force=True)
    assert artifact.manifest.build.layers_from == "typed graph"
    assert artifact.manifest.precision == precision
    with Engine.load(artifact.path) as engine:
        assert engine.backend == "onnxruntime"


@pytest.mark.slow
def test_one_int8_file_for_both_cpu_backends(tmp_path):
    config = BuildConfig(backend="openvino", precision="int8", calib="avatars")
    artifact = build(bundled_model("avatars"), config, output=tmp_path / "a.int8.onnx", force=True)
    assert artifact.manifest.build.quality.worst_db >= BUDGET_DB["int8"]
    manifest, _ = read_onnx(artifact.path)
    images = load_images("avatars", 16, manifest.size)
    master, engine = (ONNXRuntime(path, manifest) for path in (bundled_model("avatars"), artifact.path))
    gate = Gate(master.run, images, manifest.labels)
    assert gate.judge(engine.run).worst_db >= BUDGET_DB["int8"]


def test_a_second_identical_build_is_copied_from_the_cache(source, tmp_path):
    config = BuildConfig(precision="fp32", backend="openvino")
    first = build(source, config)
    second = build(source, config, output=tmp_path / "again.onnx")
    assert (first.cached, second.cached) == (False, True)
    assert second.seconds < 1
    assert second.path.read_bytes() == first.path.read_bytes()
    assert not build(source, config, force=True).cached
    assert not build(source, dataclasses.replace(config, calib_count=8)).cached
    assert len(cache.entries()) == 2
    freed = cache.clear()
    assert freed > 0
    assert not cache.entries()
    assert not build(source, config).cached


def test_a_damaged_cache_entry_is_built_again(source):
    config = BuildConfig(precision="fp32", backend="openvino")
    build(source, config)
    (entry,) = cache.entries()
    (entry.folder / "manifest.json").write_text("{")
    assert not build(source, config).cached


def test_other_calibration_images_are_another_build(source, tmp_path):
    folder = tmp_path / "faces"
    for number, face in enumerate(bundled_faces()[:6]):
        write_image(folder / f"{number}.png", face)
    config = dataclasses.replace(INT8, calib=str(folder), groups=("residual",))
    build(source, config, force=True)
    assert build(source, config).cached
    write_image(folder / "0.png", bundled_faces()[9])
    build(source, config, force=True)  # at this size int8 may be slower, which is no matter here
    assert len(cache.entries()) == 2


def test_the_search_drops_the_group_that_harms_most(source):
    artifact = build(source, INT8, force=True)
    _, all_db = artifact.manifest.build.int8.tried[0]
    stricter = dataclasses.replace(INT8, min_psnr=all_db + 0.5)
    found = build(source, stricter, force=True).manifest.build.int8
    ranking = {group: db for group, db in found.ranking_db.items() if group != "first"}
    assert min(ranking, key=ranking.get) not in found.groups
    assert len(found.groups) < 4


def test_a_budget_out_of_reach_is_refused_with_the_figures(source, tmp_path):
    with pytest.raises(BuildError, match=r"no int8 recipe reaches 80 dB .*residual.* dB"):
        build(source, dataclasses.replace(INT8, min_psnr=80))
    with pytest.raises(BuildError, match="below the budget of 90 dB"):
        build(source, BuildConfig(backend="openvino", precision="bf16", min_psnr=90))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.onnx"]


def test_int8_that_gains_nothing_is_refused_unless_forced(source, tmp_path, monkeypatch):
    monkeypatch.setattr("stargan_rt.builder.steps.compare_latency", lambda *_: (3.0, 2.0, 0.67))
    with pytest.raises(BuildError, match=r"int8 is not faster than \w+ on this machine: 3.00 ms against 2.00 ms"):
        build(source, INT8)
    assert not (tmp_path / "g.int8.onnx").exists()
    assert build(source, INT8, force=True).manifest.build.speed.ratio == 0.67


def test_labels_and_images_are_covered(model):
    manifest, _ = read_onnx(model)
    images = load_images(None, 9, manifest.size)
    assert len(images.calibration) == 7
    assert len(images.held_out) == 2
    runs = cover(images.held_out, manifest.labels, 20)
    assert len(runs) == 20
    for name in manifest.labels.names:
        assert sum(n == name for n, _, _ in runs) == 4
        assert len({i.tobytes() for n, i, _ in runs if n == name}) == 2


def test_masks_are_covered(joint_model):
    manifest, _ = read_onnx(joint_model)
    vectors = np.stack([v for _, _, v in cover(bundled_faces()[:3], manifest.labels, 0)])
    assert vectors[:, -2:].sum(axis=0).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "int8"}, r"int8 needs images.*--calib FOLDER"),
        ({"precision": "fp8"}, "precision must be one of fp32, fp16, bf16, int8; got 'fp8'"),
        ({"backend": "tpu"}, "backend must be one of auto, tensorrt"),
        ({"targets": ("ampere",)}, "such as sm86; got 'ampere'"),
        ({"max_batch": 0}, "max_batch must be at least 1"),
        ({"profiles": ("1:8",)}, "smallest:tuned:largest such as 1:8:32; got '1:8'"),
        ({"profiles": ("a",)}, "--profile takes a batch such as 1"),
        ({"profiles": ("4:2:8",)}, "1 <= smallest <= tuned <= largest; got '4:2:8'"),
        ({"profiles": ("1", "4:8:8")}, "no --profile takes a batch of 2"),
        ({"tiling": "most"}, "none, fast, moderate, full"),
        ({"hardware_compatible": True, "same_compute_capability": True}, "exclude each other"),
        ({"calib_count": 1}, "at least 2"),
        ({"groups": ("down",), "precision": "fp16"}, "for int8 only"),
        ({"precision": "int8", "calib": "x", "groups": ("middle",)}, "unknown layer group 'middle'"),
        ({"precision": "int8", "calib": "x", "groups": ("first",)}, "OpenVINO computes it wrongly"),
        ({"optimization_level": 9}, r"lie in \[0, 5\].*--optimization-level"),
        ({"workspace_mib": 0}, "at least 1.*--workspace-mib"),
        ({"dla_core": -1}, "at least 0.*--dla-core"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(InputError, match=message):
        BuildConfig(**settings)


def test_profiles_of_a_plan():
    """Batch 1 alone is tuned for 1, larger batches for the largest."""
    assert BuildConfig().batch_profiles == ((1, 1, 1), (1, 8, 8))
    assert BuildConfig(max_batch=1).batch_profiles == ((1, 1, 1),)
    assert BuildConfig(max_batch=32).batch_profiles == ((1, 1, 1), (1, 32, 32))
    assert BuildConfig(profiles=("1", "2:8:32")).batch_profiles == ((1, 1, 1), (2, 8, 32))


def stand_in_for_a_plan(monkeypatch):
    """A plan that this machine can run: its content is the typed graph, and ONNX Runtime takes the GPU's place."""

    def compiled(backend, model, *_):
        return Plan(model.SerializeToString(), "1.0", ("sm86",), typed_layers(model), "engine inspector", True)

    real = backends.backend_class
    monkeypatch.setattr(steps, "compile_plan", compiled)
    monkeypatch.setattr(steps, "plan_targets", lambda *_: ("sm86",))
    monkeypatch.setattr(backends, "unavailable", lambda name: None)
    monkeypatch.setattr(backends, "backend_class", lambda name: real("onnxruntime" if name == "tensorrt" else name))


def test_a_plan_whose_gpu_is_here_is_judged_and_timed_itself(source, monkeypatch):
    stand_in_for_a_plan(monkeypatch)
    config = dataclasses.replace(INT8, backend="tensorrt", groups=("residual",))
    record = build(source, config, force=True).manifest.build
    assert record.quality.judged_by.endswith("the engine itself")
    assert record.layers == {"int8": 2, "fp16": 6}
    assert record.layers_from == "engine inspector"
    assert record.speed.against == "fp16"
    monkeypatch.setattr(steps, "compare_latency", lambda *_: (3.0, 2.0, 0.67))
    with pytest.raises(BuildError, match="int8 is not faster than fp16 on this machine"):
        build(source, dataclasses.replace(config, calib_count=9))


def test_options_of_plans_are_refused_for_a_cpu(source):
    with pytest.raises(InputError, match=r"--max-batch, --dla-core: only plans have these"):
        build(source, BuildConfig(backend="openvino", dla_core=0, max_batch=4))


def test_inputs_that_are_no_model(source, tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    other = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])],
            "other",
            [onnx.helper.make_tensor_value_info("x", 1, [1])],
            [onnx.helper.make_tensor_value_info("y", 1, [1])],
        )
    )
    onnx.save(other, tmp_path / "other.onnx")
    for name, message in (
        ("text.onnx", "damaged or not an ONNX"),
        ("other.onnx", "without stargan-rt's manifest"),
        ("none.onnx", "no model at"),
    ):
        with pytest.raises(EngineLoadError, match=message):
            build(tmp_path / name)
    config = BuildConfig(precision="fp32", backend="openvino")
    built = build(source, config).path
    with pytest.raises(BuildError, match=r"is an engine already \(fp32 for openvino\)"):
        build(built, config)
    with pytest.raises(InputError, match="would overwrite the model"):
        build(source, config, output=source)
    with pytest.raises(InputError, match=r"is a \.onnx file"):
        build(source, config, output=tmp_path / "x.engine")


def test_external_data_outside_the_folder_is_refused(source, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 20))
    model = onnx.load(source)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (inner / "evil.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EngineLoadError, match=r"evil\.onnx keeps its weights in other files"):
        build(inner / "evil.onnx")


def test_calibration_folders_that_are_of_no_use(source, tmp_path):
    folder = tmp_path / "calib"
    config = dataclasses.replace(INT8, calib=str(folder))
    with pytest.raises(InputError, match="no such folder"):
        build(source, config)
    folder.mkdir()
    with pytest.raises(InputError, match="no images in"):
        build(source, config)
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"0 usable images, 2 can't be read \(first: .*a\.png is damaged"):
        build(source, config)
    write_image(folder / "c.png", bundled_faces()[0])
    with pytest.raises(InputError, match="1 usable images, 2 can't be read"):
        build(source, config)
    assert not list(tmp_path.glob("*int8*"))


def test_a_backend_that_is_not_installed(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stargan-rt\[tensorrt-cu13\]'"):
        build(source, BuildConfig(backend="tensorrt"))


def test_a_full_disk_or_a_read_only_folder_leaves_nothing(source, tmp_path, monkeypatch):
    config = BuildConfig(precision="fp32", backend="openvino")
    with pytest.raises(InputError, match="can't write"):
        build(source, config, output="/proc/g.fp32.onnx")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("stargan_rt.files.os.fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        build(source, config, output=tmp_path / "new" / "g.fp32.onnx", force=True)
    assert not list((tmp_path / "new").iterdir())


def test_a_plan_that_is_not_its_manifest_s_is_refused(tmp_path, model):
    plan, beside = tmp_path / "g.engine", tmp_path / "g.engine.json"
    with pytest.raises(EngineLoadError, match="no engine at"):
        Engine.load(plan)
    plan.write_bytes(b"plan")
    with pytest.raises(EngineLoadError, match=r"g\.engine\.json is missing"):
        Engine.load(plan)
    beside.write_text("{")
    with pytest.raises(EngineLoadError, match="can't be read"):
        Engine.load(plan)
    manifest = dataclasses.replace(
        read_onnx(model)[0],
        build=BuildRecord(
            backend="tensorrt-rtx",
            plan_sha256="0" * 64,
            source_file="g.onnx",
            config={"precision": "int8", "targets": ["sm86"], "calib": "faces"},
        ),
    )
    beside.write_text(json.dumps(manifest.to_dict()))
    command = "stargan-rt build --onnx g.onnx --int8 --backend tensorrt-rtx --target sm86 --calib faces"
    with pytest.raises(EngineIncompatibleError, match=f"was changed or cut off.*{command}"):
        Engine.load(plan)
    with pytest.raises(InputError, match="name its backend"):
        Engine.load(plan, labels=manifest.labels)
