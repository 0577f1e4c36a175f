import json

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_rt import EngineLoadError, LabelSpace, Manifest
from stargan_rt.manifest import METADATA_KEY, read_onnx, write_to_onnx


def test_export_writes_what_the_model_is(model):
    manifest, graph = read_onnx(model)
    assert manifest.size == (32, 32)
    assert (manifest.conv_dim, manifest.blocks) == (8, 1)
    assert manifest.labels.datasets == {"faces": ("Black_Hair", "Blond_Hair", "Beard", "happy", "sad")}
    assert manifest.source["iteration"] == 0
    assert manifest.parity["max_levels"] <= 1
    assert graph.graph.name


@given(
    st.integers(1, 4096),
    st.integers(1, 4096),
    st.sampled_from(["fp32", "fp16", "int8"]),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3),
)
def test_round_trip_through_json(height, width, precision, source):
    manifest = Manifest(LabelSpace({"a": ("x", "y")}), (height, width), precision, 64, 6, source)
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


def test_writing_replaces_the_old_manifest_and_keeps_other_metadata(model):
    manifest, graph = read_onnx(model)
    graph.metadata_props.add(key="author", value="somebody")
    write_to_onnx(manifest, graph)
    assert sorted(entry.key for entry in graph.metadata_props) == ["author", METADATA_KEY]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 99 is not the"),
        ({"size": [1]}, "damaged"),
        ({"labels": {"datasets": {}}}, "damaged"),
        ({"conv_dim": "?"}, "damaged"),
        ({"build": "?"}, "damaged"),
        ({"build": {"config": {}}}, "damaged"),
    ],
)
def test_damaged_manifests_are_refused(model, tmp_path, change, message):
    manifest, graph = read_onnx(model)
    graph.metadata_props[0].value = json.dumps(manifest.to_dict() | change)
    onnx.save(graph, tmp_path / "g.onnx")
    with pytest.raises(EngineLoadError, match=message):
        read_onnx(tmp_path / "g.onnx")


def test_a_manifest_that_is_not_json_is_refused(model, tmp_path):
    graph = onnx.load(model)
    graph.metadata_props[0].value = "{"
    onnx.save(graph, tmp_path / "g.onnx")
    with pytest.raises(EngineLoadError, match="manifest can't be read"):
        read_onnx(tmp_path / "g.onnx")
