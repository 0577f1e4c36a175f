"""The comparison with saved ratios reports what became slower, and nothing else."""

import json

import pytest

from benchmarks import regressions
from benchmarks.regressions import Row, compare, confirmed, main, ratios
from stargan_rt import InputError, StarGANError

SLOWED = """
import time
from stargan_rt.labels import LabelSpace
encode = LabelSpace.encode

def slow(self, label):
    if isinstance(label, dict):
        time.sleep(1e-4)
    return encode(self, label)

LabelSpace.encode = slow
"""


@pytest.fixture
def baseline(tmp_path):
    path = tmp_path / "baselines.json"
    path.write_text(json.dumps({"machine": "a", "ratios": {"test_a.py::test_a": 1.0, "test_a.py::test_b[x]": 2.0}}))
    return path


@pytest.fixture
def suite(monkeypatch):
    """Replace runs of the suite: a list of results to return, and a list of the patterns requested."""
    runs, asked = [], []

    def measured(only=None):
        asked.append(only)
        return runs.pop(0)

    monkeypatch.setattr(regressions, "measured", measured)
    return runs, asked


def test_ratios_are_read_by_file_and_test():
    rows = [
        {"fullname": "benchmarks/suite/test_a.py::test_b[.jpg]", "extra_info": {"ratio": 1.5}},
        {"fullname": "benchmarks/suite/test_a.py::test_plain", "extra_info": {}},
    ]
    assert ratios({"benchmarks": rows}) == {"test_a.py::test_b[.jpg]": 1.5}


def test_every_benchmark_of_either_side_has_a_verdict():
    rows = compare({"a": 1.0, "b": 1.0, "c": 1.0, "gone": 1.0}, {"a": 1.49, "b": 1.51, "c": 0.5, "new": 9.0}, 1.5)
    assert [(row.name, row.verdict) for row in rows] == [
        ("a", "same"),
        ("b", "slower"),
        ("c", "faster"),
        ("gone", "not in this run"),
        ("new", "not in the baseline"),
    ]


def test_only_what_is_slow_twice_is_slower():
    saved, now, asked = {"f.py::test_a[x]": 1.0, "f.py::test_b": 1.0}, {"f.py::test_a[x]": 2.0, "f.py::test_b": 2.0}, []

    def again(only):
        asked.append(only)
        return {"f.py::test_a[x]": 1.1, "f.py::test_b": 1.9}

    assert confirmed(compare(saved, now), again, saved, 1.5) == [
        Row("f.py::test_a[x]", 1.0, 1.1, "same"),
        Row("f.py::test_b", 1.0, 1.9, "slower"),
    ]
    assert asked == ["test_a or test_b"]


def test_a_regression_fails_by_name(baseline, suite, capsys):
    runs, asked = suite
    runs += [{"test_a.py::test_a": 1.0, "test_a.py::test_b[x]": 3.2}, {"test_a.py::test_b[x]": 3.3}]
    with pytest.raises(StarGANError, match=r"slower than 1.5 times the baseline, .*: test_a.py::test_b\[x\]$"):
        main(["--baseline", str(baseline)], standalone_mode=False)
    assert asked == [None, "test_b"]
    assert "| x1.60 | slower |" in capsys.readouterr().out


def test_what_is_missing_on_either_side_is_reported(baseline, suite, capsys):
    suite[0].append({"test_a.py::test_a": 1.0, "test_a.py::test_new": 1.0})
    main(["--baseline", str(baseline)], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "not in the baseline" in printed
    assert "not in this run" in printed


def test_a_comparison_of_nothing_fails(baseline, suite):
    suite[0].append({"test_a.py::test_new": 1.0})
    with pytest.raises(StarGANError, match="nothing was compared"):
        main(["--baseline", str(baseline)], standalone_mode=False)


def test_saving_needs_the_whole_suite_and_writes_it(baseline, suite):
    with pytest.raises(InputError, match="leave out --only"):
        main(["--baseline", str(baseline), "--save", "--only", "a"], standalone_mode=False)
    suite[0].extend({"test_a.py::test_new": ratio} for ratio in (9.0, 1.0, 0.5))  # the median counts
    main(["--baseline", str(baseline), "--save"], standalone_mode=False)
    assert json.loads(baseline.read_text())["ratios"] == {"test_a.py::test_new": 1.0}


def test_no_baseline_is_an_error(tmp_path):
    with pytest.raises(InputError, match="write one with --save"):
        main(["--baseline", str(tmp_path / "none.json")], standalone_mode=False)


@pytest.mark.slow
def test_a_slowed_path_fails_in_the_real_suite(tmp_path, monkeypatch):
    baseline = tmp_path / "baselines.json"
    now = regressions.measured("test_encode")
    assert "test_labels.py::test_encode[mapping]" in now
    baseline.write_text(json.dumps({"machine": "this", "ratios": now}))
    (tmp_path / "slowed.py").write_text(SLOWED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTEST_PLUGINS", "slowed")
    with pytest.raises(StarGANError, match="slower than 3 times") as error:
        main(["--baseline", str(baseline), "--only", "test_encode", "--tolerance", "3"], standalone_mode=False)
    assert "test_encode[mapping]" in str(error.value)
    assert "[text]" not in str(error.value)


def test_a_suite_that_fails_is_not_compared():
    with pytest.raises(StarGANError, match="the suite failed"):
        regressions.measured("no_such_benchmark")
