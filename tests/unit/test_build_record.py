"""What a manifest keeps of a build, and manifests of earlier versions."""

import json

import pytest

from stargan_rt import Manifest
from stargan_rt.build_record import BuildRecord, Int8Choice, Quality, Speed

WHOLE = BuildRecord(
    backend="tensorrt-rtx",
    backend_version="1.7.1",
    stargan_rt="0.1.0",
    machine="a GPU",
    source_file="g.onnx",
    source_sha256="0" * 64,
    config={"precision": "int8", "targets": ["sm86", "sm89"], "calib": "faces"},
    targets=("sm86", "sm89"),
    layers={"int8": 17, "fp16": 1},
    layers_from="typed graph",
    profiles=((1, 1, 1), (1, 8, 8)),
    quality=Quality({"happy": 40.25, "sad": 38.75}, {"happy": 0.99, "sad": 0.98}, 4, 35.0, "onnxruntime", "float32"),
    int8=Int8Choice(("down", "last"), {"down": 45.0}, ((("down", "last"), 39.0),), 12),
    speed=Speed(1.0, "fp16", 2.0, 2.0),
    plan_sha256="1" * 64,
)


@pytest.fixture
def old(root):
    """Manifests as version 0.1 wrote them, with an untyped record and one profile."""
    folder = root / "tests" / "manifests"
    return lambda name: json.loads((folder / f"{name}-of-0.1.json").read_text())


@pytest.mark.parametrize("record", [WHOLE, BuildRecord("openvino")])
def test_round_trip_through_json(record):
    assert BuildRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_the_worst_label_counts():
    assert (WHOLE.quality.worst_db, WHOLE.quality.mean_db) == (38.75, 39.5)


def test_the_command_builds_the_same_again():
    options = "--int8 --backend tensorrt-rtx --target sm86,sm89 --calib faces"
    assert WHOLE.command == f"stargan-rt build --onnx g.onnx {options}"


def test_a_plan_of_version_0_1_is_read(old):
    data = old("plan")
    record = Manifest.from_dict(data).build
    assert record.profiles == ((1, 1, 8),)
    assert record.targets == ("sm86", "sm89")
    assert record.layers == {"fp16": 18}
    assert record.quality.worst_db == data["build"]["quality"]["worst_psnr_db"]
    assert record.plan_sha256 == data["build"]["plan_sha256"]
    written = record.to_dict()
    assert written.pop("profiles") == [data["build"].pop("profile")]
    assert written == data["build"]  # nothing else has changed its name or its place


def test_an_int8_engine_of_version_0_1_is_read(old):
    data = old("int8")
    manifest = Manifest.from_dict(data)
    assert manifest.build.int8.groups == tuple(data["build"]["int8"]["groups"])
    assert manifest.build.speed.ratio == data["build"]["speed"]["ratio"]
    assert manifest.build.to_dict() == data["build"]
    assert (manifest.precision, manifest.precision_asked) == ("int8", "int8")
