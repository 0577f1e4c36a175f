"""`python -m benchmarks plans`: real plans of a small model for GPUs that are not here."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import plans
from stargan_rt.builder import gate


def test_every_precision_for_every_gpu(rtx, model, tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plans, "TARGETS", ("sm86", "sm120"))
    monkeypatch.setattr(gate, "IMAGES_A_LABEL", 1)
    monkeypatch.setattr(plans, "MIN_PSNR", 15.0)  # random weights
    arguments = ["--onnx", str(model), "--calib-count", "4", "--output", str(tmp_path / "plans.json")]
    done = CliRunner().invoke(plans.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "plans.json").read_text())["plans"]
    assert [(row["precision"], len(row["targets"])) for row in rows] == [
        *(("fp16", 1), ("fp16", 1), ("fp16", 2)),
        *(("int8", 1), ("int8", 1), ("int8", 2)),
    ]
    assert all(row["profiles"] == [[1, 1, 1], [1, 8, 8]] for row in rows)
    assert rows[-1]["layers"] == "1 fp16, 7 int8"
    assert rows[-1]["worst_psnr_db"] == pytest.approx(rows[-2]["worst_psnr_db"])
    assert "sm86, sm120" in done.output
