"""The benchmark of `map` compares like with like, and notices wrong images."""

import json

import pytest

from benchmarks import mapping
from benchmarks.mapping import draw_files, main, measure
from stargan_rt import Engine, StarGANError
from stargan_rt.images import read_image


def test_files_differ_and_have_their_size(tmp_path):
    paths = draw_files(tmp_path, 3, 96)
    images = [read_image(path) for path in paths]
    assert {image.shape for image in images} == {(96, 96, 3)}
    assert len({path.read_bytes() for path in paths}) == 3
    assert all(30 < image.mean() < 250 for image in images)


def test_the_share_is_of_both_throughputs(model, tmp_path):
    with Engine.load(model, lanes=2) as engine:
        row = measure(engine, 2, draw_files(tmp_path, 7, 64), chunk=3)
    assert (row["files"], row["lanes"], row["side"]) == (7, 2, 64)
    assert row["share"] == pytest.approx(row["map_per_s"] / row["bare_per_s"], rel=0.01)
    assert row["share_min"] <= row["share"] <= row["share_max"]
    assert 0 < row["bound"] < 1


def test_wrong_images_are_noticed(model, tmp_path, monkeypatch):
    with Engine.load(model) as engine:
        real = engine.map
        monkeypatch.setattr(engine, "map", lambda paths, label: list(real(paths, label))[::-1])
        with pytest.raises(StarGANError, match="different images"):
            measure(engine, 1, draw_files(tmp_path, 4, 64), chunk=4)


def test_the_report(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mapping, "standard_model", lambda folder: model)
    flags = "--files 4 --side 64 --chunk 2 --model standard --precision int8 --lanes 1 --lanes 2"
    main([*flags.split(), "--output", str(tmp_path / "m.json")], standalone_mode=False)
    report = json.loads((tmp_path / "m.json").read_text())
    assert list(report["engines"]) == ["standard int8, lanes 1", "standard int8, lanes 2"]
    assert all(row["share"] > 0 for row in report["engines"].values())
    assert "| standard int8, lanes 2 |" in capsys.readouterr().out
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["libraries"]["openvino"] in mapping.markdown(report)
