"""`python -m benchmarks gpu`: it runs everywhere, keeps what it has, and says why something was not measured."""

import json
import os
import subprocess
import sys
import time

import gpu_work
import pytest
import standin
from click.testing import CliRunner

from benchmarks import gpu, gpu_jobs, gpu_tables, results, table
from benchmarks.gpu import SECTIONS, Job, jobs, main
from benchmarks.peers import PEERS
from stargan_rt.errors import InputError


def run(output, *flags):
    return CliRunner().invoke(main, ["--output", str(output), *flags], catch_exceptions=False)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(gpu, "_no_driver", lambda: "no GPU: hidden")


@pytest.fixture
def three_jobs(monkeypatch, tmp_path):
    """One job that works, one that fails and one that ends its process; the temporary folders are in `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    works = [Job("tests", name, getattr(gpu_work, name), ()) for name in ("works", "fails", "dies")]
    monkeypatch.setattr(gpu, "jobs", lambda: iter(works))
    monkeypatch.setattr(gpu, "_no_driver", lambda: "no GPU: not needed here")
    return tmp_path


def test_without_a_gpu_it_runs_from_end_to_end_in_under_five_minutes(root, tmp_path):
    output, start = tmp_path / "gpu.json", time.monotonic()
    command = [sys.executable, "-m", "benchmarks", "gpu", "--output", str(output)]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # where there is a GPU, all this would take an hour
    done = subprocess.run(command, cwd=root, env=hidden, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 300
    sections = json.loads(output.read_text())["sections"]
    assert tuple(sections) == SECTIONS
    for job in jobs():
        assert sections[job.section][job.name]["not_measured"].startswith("no GPU: ")
    for section in SECTIONS:
        assert f"{section}: 0 of {len(sections[section])} measured; no GPU: " in done.stdout


def test_every_section_that_was_promised_has_jobs():
    assert {"tests", "overhead", "graph", "lanes", "frames", "builds", "peers", "batches", "scaling", "training"} == {
        *SECTIONS
    }
    names = [(job.section, job.name) for job in jobs()]
    assert len(set(names)) == len(names)
    assert {job.name for job in jobs() if job.section == "peers"} == {p.name for p in PEERS if p.device == "gpu"}


def test_every_job_has_a_result_or_its_reason_and_the_clocks(three_jobs):
    output = three_jobs / "g.json"
    printed = run(output).output
    entries = results.read(output)["sections"]["tests"]
    assert entries["works"]["ms"] == 1.5
    assert entries["fails"]["not_measured"] == "RuntimeError: g.engine is refused"
    assert entries["dies"]["not_measured"] == "its process ended with exit code 3: illegal instruction"
    assert all("clocks" in entry and entry["seconds"] > 0 for entry in entries.values())
    assert "tests: 1 of 3 measured; RuntimeError: g.engine is refused; its process ended" in printed


def test_called_again_it_measures_only_what_is_missing(three_jobs):
    output = three_jobs / "g.json"
    run(output)
    first = results.read(output)["sections"]["tests"]
    assert "tests: works: measured before" in run(output).output
    assert results.read(output)["sections"]["tests"]["works"] == first["works"]
    assert (three_jobs / "calls").read_text() == "x"


def test_an_interrupted_run_keeps_what_it_has(three_jobs, monkeypatch):
    output = three_jobs / "g.json"
    measure = gpu._measure

    def interrupted(job, folder, missing):
        if job.name == "fails":
            raise KeyboardInterrupt
        return measure(job, folder, missing)

    monkeypatch.setattr(gpu, "_measure", interrupted)
    run(output)
    assert list(results.read(output)["sections"]["tests"]) == ["works"]


def test_no_job_starts_after_the_budget(three_jobs):
    output = three_jobs / "g.json"
    assert "stopped after 0 minutes; call again to go on" in run(output, "--budget-minutes", "0").output
    assert not (three_jobs / "calls").exists()


def test_results_of_another_machine_are_not_mixed(three_jobs):
    output = three_jobs / "g.json"
    about = {**results.describe(), "gpu": "another one"}
    output.write_text(json.dumps({"machine": about, "sections": {}}))
    with pytest.raises(InputError, match=r"another machine .*\(gpu differ\); choose another --output"):
        run(output)


def test_one_section_can_be_chosen(no_gpu, tmp_path):
    run(tmp_path / "g.json", "--section", "frames")
    assert list(results.read(tmp_path / "g.json")["sections"]) == ["frames"]


def test_tests_are_counted_with_their_reasons(tmp_path):
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert 1 == 2, 'the reason'\n"
        "@pytest.mark.skip(reason='no torch')\n"
        "def test_c(): pass\n"
        "@pytest.fixture\n"
        "def broken(): raise RuntimeError('set-up')\n"
        "def test_d(broken): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml", "test_a.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = gpu_jobs.summarise_tests(tmp_path / "r.xml")
    assert (found["passed"], found["failed"], found["skipped"]) == (1, 2, 1)
    assert "the reason" in found["failures"]["test_a::test_b"]
    assert "set-up" in found["failures"]["test_a::test_d"]
    assert found["skip_reasons"] == {"no torch": 1}


def test_the_generator_is_written_or_the_bundled_model_is_used(monkeypatch, tmp_path):
    missing = {}
    monkeypatch.setattr(gpu_jobs, "generator", gpu_work.fails)
    result = gpu._generator(tmp_path, missing)
    assert result["model"].startswith("the bundled model (the standard generator needs PyTorch and onnxsim: Runtime")
    assert missing["generator"] in result["model"]


def interval(median):
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median}


def measured(gpu_name="NVIDIA A, 580.95, 80 GiB"):
    peer = {"class": "fp16", "psnr_db": 60.0, "clocks": {"sm_clock_mhz": {"median": 1980.0}}, "note": ""}
    ours, base = {**peer, "ours": True, "ms": interval(0.5)}, {**peer, "ours": False, "class": "fp32"}
    shares = {"crop_share_of_copy": interval(0.8), "paste_share_of_copy": interval(0.7)}
    lanes = [
        {"precision": "fp16", "lanes": n, "images_a_second": interval(9), "times_first": interval(n)} for n in (1, 2)
    ]
    sections = {
        "overhead": {"TensorRT fp16": {"latency": {"p50_ms": 0.61}, "added_ms": 0.02}},
        "graph": {"TensorRT fp16": {"times_as_fast": interval(1.5)}, "TensorRT-RTX fp16": {"not_measured": "refused"}},
        "lanes": {"TensorRT fp16": {"rows": lanes}},
        "frames": {"rgb": shares, "nv12": {**shares, "crop_share_of_copy": interval(0.6)}},
        "peers": {
            "PyTorch CUDA eager fp32": {**base, "ms": interval(2.0)},
            "stargan-rt TensorRT fp16": ours,
            "trtexec fp16": {"not_measured": "trtexec is not on the PATH"},
        },
    }
    return {"machine": {"gpu": gpu_name}, "sections": sections}


def test_the_readme_s_table_is_filled_from_every_gpu(tmp_path):
    region = "<!-- table: gpu summary -->\n<!-- /table -->"
    assert "| frame kernels, as a share of the copy bandwidth | not measured |" in table.filled(region, tmp_path)
    for name in ("a", "b"):
        results.write(tmp_path / f"gpu-{name}.json", measured(f"NVIDIA {name}"))
    filled = table.filled(region, tmp_path)
    assert "| on a GPU | NVIDIA a | NVIDIA b |" in filled
    assert "TensorRT 0.610 ms, of which 0.020 ms are not the driver's" in filled
    assert "| TensorRT 1.50 (1.35–1.65) times as fast |" in filled
    assert "| TensorRT 2.00 (1.80–2.20) times the images of one |" in filled
    assert "| crop 60% to 80%, paste 70% to 70% |" in filled
    assert "| TensorRT 0.500 ms, 4.00 times PyTorch CUDA eager fp32 |" in filled
    assert "| int8, compared with PyTorch and trtexec | not measured | not measured |" in filled


def test_the_full_tables_name_what_was_not_measured(tmp_path):
    region = "<!-- table: gpu full -->\n<!-- /table -->"
    assert "not measured: no result yet" in table.filled(region, tmp_path)
    results.write(tmp_path / "gpu-a.json", measured())
    filled = table.filled(region, tmp_path)
    assert "| **stargan-rt TensorRT fp16** | fp16 | 0.500 | 4.00 | 60.0 dB | 1980.0 |" in filled
    assert "| trtexec fp16 | not measured: trtexec is not on the PATH |" in filled
    assert "| TensorRT fp16 | fp16 | 2 | 9.0 | 2.00 (1.80–2.20) |" in filled


def test_a_result_without_a_gpu_goes_into_no_document(tmp_path):
    results.write(tmp_path / "gpu-a.json", measured(None))
    for view in ("summary", "full"):
        with pytest.raises(InputError, match="gpu-a was not measured on a GPU"):
            table.filled(f"<!-- table: gpu {view} -->\n<!-- /table -->", tmp_path)


@pytest.mark.slow
def test_on_the_stand_in_driver_the_frame_kernels_are_launched_and_clocks_are_missing(root, tmp_path):
    if sys.platform != "linux" or standin.COMPILER is None:
        pytest.skip("the stand-in driver needs Linux and a C compiler")
    pytest.importorskip("cuda.core")
    output = tmp_path / "g.json"
    command = [sys.executable, "-m", "benchmarks", "gpu", "--section", "frames", "--output", str(output)]
    done = subprocess.run(
        command, cwd=root, env=standin.environment(), capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    result = results.read(output)
    for layout in ("rgb", "bgr", "nv12"):
        entry = result["sections"]["frames"][layout]
        assert "clocks" in entry
        if "not_measured" not in entry:  # the kernels are compiled where a CUDA compiler was found
            assert entry["device"] == "Stand-in GPU"
            assert entry["crop_share_of_copy"]["median"] > 0
        else:
            assert "kernels" in entry["not_measured"]
    with pytest.raises(InputError, match="was not measured on a GPU"):
        gpu_tables.summary({"gpu-standin": {**result, "machine": {**result["machine"], "gpu": None}}})
