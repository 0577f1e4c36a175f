"""Results are written whole, with the machine they belong to."""

import json

import pytest

from benchmarks import results
from stargan_rt.errors import InputError


def test_a_result_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "deep" / "r.json"
    results.write(path, {"machine": {"cpu": "A–B"}, "rows": [1.5, None]})
    assert results.read(path) == {"machine": {"cpu": "A–B"}, "rows": [1.5, None]}


def test_without_a_path_nothing_is_written():
    results.write(None, {"rows": []})


def test_a_path_that_can_t_be_written_is_reported_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --output"):
        results.write(tmp_path / "file" / "r.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_description_names_versions_and_nothing_of_the_machine_itself(monkeypatch):
    about = results.describe(threads=1)
    assert about["threads"] == 1 <= about["cores"]
    assert set(about["libraries"]) <= set(results.LIBRARIES)
    assert about["libraries"]["numpy"]
    assert __import__("platform").node() not in json.dumps(about)


@pytest.mark.parametrize("path", sorted(results.FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_committed_results_can_be_read(path):
    assert results.read(path)
