"""The jobs of `python -m benchmarks gpu`, on the CPU: what they measure and return does not depend on the device."""

from functools import partial

import numpy as np
import pytest

from benchmarks import gpu_jobs, gpu_tables, sweeps
from benchmarks.case import Case
from benchmarks.gpu_jobs import Job

SMALL = {"conv_dim": 8, "blocks": 1, "image_size": 32}


@pytest.fixture(scope="module")
def folder(case):
    """The shared folder of the jobs, with the generator that `gpu_jobs.generator` writes."""
    np.save(case.folder / "master.npy", case.master())
    return case.folder


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(gpu_jobs, "Case", partial(Case, **SMALL))
    for name, value in (("ROUNDS", 2), ("CALLS", 2), ("SECONDS", 0.2)):
        monkeypatch.setattr(gpu_jobs, name, value)
    monkeypatch.setattr(sweeps, "BATCHES", (1, 2))


def test_the_generator_is_written_with_what_float32_makes_of_it(tmp_path):
    facts = Job(gpu_jobs.generator, tmp_path).facts
    assert facts["network_gmac"] == pytest.approx(0.008, abs=0.001)
    assert len(np.load(tmp_path / "master.npy")) == 5


def test_overhead_splits_a_call(folder):
    result = gpu_jobs.overhead(folder, "openvino", "bf16")
    assert result["latency"]["p50_ms"] == pytest.approx(result["driver_ms"] + result["added_ms"], abs=0.001)
    assert result["parts_ms"]["compute_ms"] > 0


def test_a_graph_is_compared_with_plain_enqueue_in_turns(folder):
    result = gpu_jobs.graph(folder, "openvino", "bf16")
    assert result["graph_ms"]["median"] > 0
    assert result["enqueue_ms"]["median"] > 0
    assert result["times_as_fast"]["low"] <= result["times_as_fast"]["high"]


def test_lanes_and_batches_have_a_row_for_each_count(folder):
    lanes, batches = (work(folder, "openvino", "bf16")["rows"] for work in (gpu_jobs.lanes, gpu_jobs.batches))
    assert [row["lanes"] for row in lanes] == [1, 2, 4]
    assert [row["batch"] for row in batches] == [1, 2]
    result = {
        "machine": {"gpu": "G"},
        "sections": {"lanes": {"a": {"rows": lanes}}, "batches": {"a": {"rows": batches}}},
    }
    assert "| a | bf16 | 4 |" in gpu_tables.full({"gpu-g": result})


def test_a_build_is_timed(folder):
    result = gpu_jobs.builds(folder, "openvino", "bf16")
    assert result["seconds"] > result["cached_seconds"]
    assert result["file_mib"] > 0


def test_sizes_can_be_measured_by_several_processes_in_one_folder(tmp_path, monkeypatch):
    bench = partial(sweeps.Bench, tmp_path, 1, 8, 1, (32,), (), (), (), rounds=2, calls=1, precisions=("bf16",))
    (first,), (second,) = sweeps.sizes(bench()), sweeps.sizes(bench())
    assert first["psnr_db"] == second["psnr_db"]


def test_a_peer_has_its_speed_and_how_close_its_images_are(folder):
    result = gpu_jobs.peer(folder, "ONNX Runtime fp32")
    assert result["class"] == "fp32"
    assert not result["ours"]
    assert len(result["rounds_ms"]) == 2
    assert result["psnr_db"] is None or result["psnr_db"] > 60
