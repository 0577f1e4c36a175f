"""The scaling benchmark with a generator that takes milliseconds: every part has its rows, and they are consistent."""

import json
import os

import click.testing
import pytest

from benchmarks import scaling, sweeps
from benchmarks.scaling import COLUMNS
from benchmarks.sweeps import Bench, counts
from stargan_rt.builder import BUDGET_DB
from stargan_rt.errors import BuildError, InputError

TINY = ["--conv-dim", "8", "--blocks", "1", "--rounds", "2", "--calls", "1", "--threads", "1"]


@pytest.fixture
def bench(case):
    sizes = {"sizes": [32], "build_sizes": [32], "training_sizes": [32], "training_batches": [1, 2]}
    return Bench(case.folder, 1, case.conv_dim, case.blocks, **sizes, rounds=2, calls=1, cases={32: case})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the command over an older file; returns what it printed and what it wrote."""
    output = tmp_path_factory.mktemp("scaling") / "s.json"
    output.write_text(json.dumps({"training": {"rows": ["kept"]}, "threads": {"rows": ["old"]}}))
    parts = [flag for part in ("sizes", "batches", "threads", "lanes") for flag in ("--only", part)]
    flags = [*TINY, "--sizes", "64", "--sizes", "32", *parts, "--output", str(output)]
    done = click.testing.CliRunner().invoke(scaling.main, flags, catch_exceptions=False)
    return done.output, json.loads(output.read_text())


@pytest.fixture
def result(run):
    return run[1]


def test_every_part_has_columns_and_a_caption():
    assert list(scaling.PARTS) == list(COLUMNS)


def test_the_cost_of_a_pixel_follows_from_the_time_of_an_image(result):
    rows = {(row["precision"], row["size"]): row for row in result["sizes"]["rows"]}
    assert list(rows) == [(precision, size) for precision in Bench.precisions for size in (32, 64)]
    for (precision, size), row in rows.items():
        assert row["ns_a_pixel"]["median"] == pytest.approx(row["ms"]["median"] * 1e6 / size**2, rel=0.01)
        assert len(row["rounds_ms"]) == result["sizes"]["rounds"] == 2
        assert row["psnr_db"] is None or row["psnr_db"] > BUDGET_DB[precision] - 5
        ratios = [ours / first for ours, first in zip(row["rounds_ms"], rows[precision, 32]["rounds_ms"], strict=True)]
        expected = sum(ratios) / 2 * (32 / size) ** 2
        assert row["times_first"]["median"] == pytest.approx(expected, rel=0.05)
    assert result["sizes"]["machine"]["threads"] == 1


@pytest.mark.parametrize(("part", "key", "values"), [("batches", "batch", sweeps.BATCHES), ("lanes", "lanes", (1,))])
def test_throughput_is_given_beside_the_first(result, part, key, values):
    rows = result[part]["rows"]
    assert [(row["precision"], row[key]) for row in rows] == [(p, value) for p in Bench.precisions for value in values]
    assert all(row["images_a_second"]["low"] > 0 for row in rows)
    assert all(row["times_first"]["median"] == 1 for row in rows if row[key] == 1)


def test_threads_are_doubled_up_to_all():
    assert counts(1) == [1]
    assert counts(2) == [1, 2]
    assert counts(12) == [1, 2, 4, 8, 12]


def test_everything_has_a_turn_in_every_round(bench):
    order = []
    turns = {name: lambda name=name: order.append(name) or len(order) for name in "abcd"}
    found = bench.in_turns("sizes", turns)
    assert sorted(order[:4]) == sorted(order[4:]) == list("abcd")
    assert all(first <= 4 < second for first, second in found.values())


def test_what_takes_seconds_has_fewer_rounds(bench):
    bench.rounds = 9
    assert [bench.rounds_of(part) for part in ("sizes", "training")] == [9, 3]
    assert len(bench.in_turns("training", {"a": lambda: 1.0})["a"]) == 3


def test_a_build_is_timed_and_taken_from_a_cache_of_its_own(bench, monkeypatch, tmp_path):
    bench.precisions = ("bf16",)
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "mine"))
    bench.sizes = [32, 64]
    built, left = sweeps.builds(bench)
    assert built["cached_seconds"] < built["seconds"]
    assert built["worst_psnr_db"] >= BUDGET_DB["bf16"]
    assert left == {"precision": "bf16", "size": 64, "not_measured": "add --build-sizes 64"}
    assert os.environ["STARGAN_RT_CACHE"] == str(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_build_below_its_budget_has_a_row_with_the_reason(bench, monkeypatch):
    def build(*_, **__):
        raise BuildError("too far from the master")

    monkeypatch.setattr(sweeps, "build", build)
    assert [row["not_measured"] for row in sweeps.builds(bench)] == ["too far from the master"] * 3


def test_the_training_step(bench):
    rows = sweeps.training(bench)
    assert [(row["size"], row["batch"]) for row in rows] == [(32, 1), (32, 2)]
    for row in rows:
        fastest = row["iterations_a_second"]["high"] * row["batch"]
        assert row["images_a_second"]["high"] == pytest.approx(fastest, rel=0.01)
        assert row["ns_a_pixel"]["low"] == pytest.approx(1e9 / (fastest * 32**2), rel=0.01)
    assert rows[0]["times_first"]["median"] == 1


def test_parts_that_are_not_measured_now_stay_in_the_file(run):
    printed, result = run
    assert list(result) == ["sizes", "batches", "threads", "lanes", "training"]
    assert result["training"] == {"rows": ["kept"]}
    assert len(result["threads"]["rows"]) == 3
    assert "| int8 | 64x64 |" in printed
    assert "Conv 8, 1 blocks, random weights. Medians of 2 rounds" in printed


def test_odd_sizes_are_refused_before_anything_is_measured():
    with pytest.raises(InputError, match="multiples of 4; got 30"):
        scaling.main([*TINY, "--sizes", "30"], standalone_mode=False)
