"""The documents say what the results say."""

import json

import click.testing
import pytest

from benchmarks import results, table
from stargan_rt.errors import InputError

MACHINE = {
    "cpu": "A CPU",
    "cores": 4,
    "threads": 2,
    "system": "Linux x86_64",
    "libraries": {"openvino": "2026.4.1", "numpy": "2"},
}


def interval(median, low=None, high=None):
    return {"median": median, "low": low or median, "high": high or median}


@pytest.mark.parametrize("name", table.DOCUMENTS)
def test_documents_match_the_committed_results(name):
    text = (table.ROOT / name).read_text(encoding="utf-8")
    assert table.REGION.search(text), f"{name} has no table region"
    assert table.filled(text) == text, "run python -m benchmarks table --write"


def test_a_region_is_made_anew_and_the_rest_kept(tmp_path):
    committed = json.loads((results.FOLDER / "compare-cpu.json").read_text())
    (tmp_path / "compare-cpu.json").write_text(json.dumps(committed))
    document = "before\n<!-- table: compare-cpu best -->\nold\n<!-- /table -->\nafter\n"
    made = table.filled(document, tmp_path)
    assert made.startswith("before\n<!-- table: compare-cpu best -->\n| ")
    assert made.endswith("prints it.\n<!-- /table -->\nafter\n")
    assert "old" not in made
    assert committed["machine"]["cpu"] in made
    assert made.count("**stargan-rt ") == 3
    assert table.filled(made, tmp_path) == made


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("compare-gpu", "compare --device gpu"),
        ("scaling-cpu", "scaling"),
        ("map-cpu", "mapping"),
        ("rewrites-openvino", "rewrites --backend openvino"),
    ],
)
def test_a_missing_result_is_named_with_its_command(tmp_path, name, command):
    with pytest.raises(
        InputError, match=rf"no result .*{name}\.json; make it with: python -m benchmarks {command} --out"
    ):
        table.filled(f"<!-- table: {name} full -->\n<!-- /table -->", tmp_path)


def test_what_no_command_makes_is_refused(tmp_path):
    with pytest.raises(InputError, match="no command makes 'gone-cpu'; results begin with compare, scaling, map, rewr"):
        table.filled("<!-- table: gone-cpu full -->\n<!-- /table -->", tmp_path)
    for name, view in (("compare-cpu", "sizes"), ("scaling-cpu", "full"), ("map-cpu", "best")):
        (tmp_path / f"{name}.json").write_text("{}")
        with pytest.raises(InputError, match=f"{name} has no view '{view}'"):
            table.filled(f"<!-- table: {name} {view} -->\n<!-- /table -->", tmp_path)


def made(result, name, view, folder):
    (folder / f"{name}.json").write_text(json.dumps(result))
    return table.filled(f"<!-- table: {name} {view} -->\n<!-- /table -->", folder)


def test_scaling_shows_ratios_and_what_was_not_measured(tmp_path):
    row = {"precision": "fp32", "size": 32, "ms": interval(2.04), "ns_a_pixel": interval(1992.2), "psnr_db": None}
    larger = {**row, "size": 64, "times_first": interval(1.04, 0.96, 1.12), "psnr_db": 48.94}
    rows = [{**row, "times_first": interval(1)}, larger]
    about = {"machine": MACHINE, "settings": {"conv_dim": 8, "blocks": 2, "sizes": [32], "rounds": 9}, "rounds": 3}
    builds = [{"precision": "int8", "size": 64, "not_measured": "add --build-sizes 64"}]
    result = {"sizes": {**about, "rows": rows}, "builds": {**about, "rows": builds}}
    found = made(result, "scaling-cpu", "sizes", tmp_path)
    assert "| fp32 | 32x32 | 2.0 | 1992 | 1 | same image |" in found
    assert "| fp32 | 64x64 | 2.0 | 1992 | 1.04 (0.96–1.12) | 48.9 dB, below 50 |" in found
    assert "Medians of 3 rounds" in found
    assert "A CPU, 2 of 4 cores, Linux x86_64, OpenVINO 2026.4.1." in found.replace("\n", " ")
    assert (
        "`python -m benchmarks scaling --only sizes --rounds 9 --output benchmarks/results/scaling-cpu.json` prints it."
        in found
    )
    assert "| int8 | 64x64 | not measured: add --build-sizes 64 |" in made(result, "scaling-cpu", "builds", tmp_path)
    assert "Not measured." in made(result, "scaling-cpu", "training", tmp_path)


@pytest.mark.parametrize("name", ["map-cpu", "rewrites-openvino", "rewrites-onnxruntime"])
def test_mapping_and_rewrites_have_a_row_for_everything(tmp_path, name):
    committed = json.loads((results.FOLDER / f"{name}.json").read_text())
    found = made(committed, name, "full", tmp_path)
    keys = committed["engines"] if name == "map-cpu" else committed["rewrites"]["int8"]
    assert all(f"| {key} |" in found for key in keys)
    assert "AMD EPYC" in found


def test_the_command_prints_and_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROOT", tmp_path)
    monkeypatch.setattr(table, "DOCUMENTS", ("a.md",))
    (tmp_path / "a.md").write_text("<!-- table: compare-cpu full -->\n<!-- /table -->\n")
    printed = click.testing.CliRunner().invoke(table.main)
    assert "stargan-rt int8" in printed.output
    assert "stargan-rt" not in (tmp_path / "a.md").read_text()
    click.testing.CliRunner().invoke(table.main, ["--write"])
    assert "stargan-rt int8" in (tmp_path / "a.md").read_text()
