"""The documents say what the results say."""

import json

import click.testing
import pytest

from benchmarks import table
from stargan_rt.errors import InputError


@pytest.mark.parametrize("name", table.DOCUMENTS)
def test_documents_match_the_committed_results(name):
    text = (table.ROOT / name).read_text(encoding="utf-8")
    assert table.REGION.search(text), f"{name} has no table region"
    assert table.filled(text) == text, "run python -m benchmarks table --write"


def test_a_region_is_made_anew_and_the_rest_kept(tmp_path):
    committed = json.loads((table.RESULTS / "compare-cpu.json").read_text())
    (tmp_path / "other-cpu.json").write_text(json.dumps(committed))
    document = "before\n<!-- table: other-cpu best -->\nold\n<!-- /table -->\nafter\n"
    made = table.filled(document, tmp_path)
    assert made.startswith("before\n<!-- table: other-cpu best -->\n| ")
    assert made.endswith("prints it.\n<!-- /table -->\nafter\n")
    assert "old" not in made
    assert committed["machine"]["cpu"] in made
    assert made.count("**stargan-rt ") == 3
    assert table.filled(made, tmp_path) == made


def test_a_missing_result_is_named_with_its_command(tmp_path):
    with pytest.raises(InputError, match=r"no result .*gone-gpu\.json; make it with: python -m benchmarks compare"):
        table.filled("<!-- table: gone-gpu full -->\n<!-- /table -->", tmp_path)


def test_the_command_prints_and_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROOT", tmp_path)
    monkeypatch.setattr(table, "DOCUMENTS", ("a.md",))
    (tmp_path / "a.md").write_text("<!-- table: compare-cpu full -->\n<!-- /table -->\n")
    printed = click.testing.CliRunner().invoke(table.main)
    assert "stargan-rt int8" in printed.output
    assert "stargan-rt" not in (tmp_path / "a.md").read_text()
    click.testing.CliRunner().invoke(table.main, ["--write"])
    assert "stargan-rt int8" in (tmp_path / "a.md").read_text()
