"""The benchmark of the rewrites: every variant is measured, gives the same images and can be read back."""

import json

import click.testing
import pytest

from benchmarks import rewrites


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the command; returns what it printed and what it wrote."""
    output = tmp_path_factory.mktemp("rewrites") / "r.json"
    flags = "--backend onnxruntime --conv-dim 8 --image-size 32 --rounds 2 --calls 1 --threads 1 --output"
    done = click.testing.CliRunner().invoke(rewrites.main, [*flags.split(), str(output)], catch_exceptions=False)
    return done.output, json.loads(output.read_text())


def test_every_variant_is_compared_with_the_exported_graph(run):
    printed, result = run
    assert list(result["rewrites"]) == ["fp32", "int8"]
    for precision, rows in result["rewrites"].items():
        assert rows[rewrites.AS_IT_IS]["times"] == {"median": 1.0, "low": 1.0, "high": 1.0}
        for name, row in rows.items():
            assert row["ms"] > 0
            assert f"| {precision} | {name} |" in printed
    assert rewrites.UNSIGNED in result["rewrites"]["int8"]
    assert rewrites.UNSIGNED not in result["rewrites"]["fp32"]


def test_rewrites_keep_the_images(run):
    rows = run[1]["rewrites"]
    assert all(row["psnr_db"] > 55 for row in rows["fp32"].values())
    assert all(row["psnr_db"] > 25 for row in rows["int8"].values())


def test_the_result_has_machine_and_settings(run):
    result = run[1]
    assert result["machine"]["threads"] == 1
    assert result["settings"] == {"image_size": 32, "rounds": 2, "calls": 1}
    assert (result["backend"], result["conv_dim"]) == ("onnxruntime", 8)
