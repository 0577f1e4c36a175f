import json
import sys

import numpy as np
import pytest

from stargan_rt import Engine, MissingDependencyError, StarGANError
from stargan_rt.bench.config import BenchConfig
from stargan_rt.bench.report import doubts, measure
from stargan_rt.bench.scenarios import batches, cold_start, peak_memory_mib, streams
from stargan_rt.cli.bench import bench
from stargan_rt.profiling import CallTimes
from stargan_rt.timing import Latency, compare_latency, measure_latency


def test_percentiles():
    found = Latency.of(np.arange(1, 101))
    assert (found.calls, found.min_ms, found.mean_ms) == (100, 1, 50.5)
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == pytest.approx((50.5, 90.1, 95.05, 99.01))


def test_calls_are_counted_and_warm_up_is_not():
    calls = []
    assert measure_latency(lambda: calls.append(0), warm_up=3, max_calls=5).calls == 5
    assert len(calls) == 8


def test_a_comparison_is_of_the_same_rounds():
    ours_ms, other_ms, ratio = compare_latency(lambda: sum(range(2000)), lambda: sum(range(20000)), rounds=5)
    assert other_ms > ours_ms
    assert 3 < ratio < 40


def test_scenarios(model):
    with Engine.load(model) as engine:
        assert set(batches(engine, (1, 3), 0.1)) == {1, 3}
        found = streams(engine, (1, 2), 0.2)
        assert found[2][1].calls > 2
        assert found[1][0] > 0
    cold = cold_start(str(model), "onnxruntime", rounds=1)
    assert cold["total_ms"] == pytest.approx(cold["import_ms"] + cold["load_ms"] + cold["first_ms"])
    assert peak_memory_mib() is None or peak_memory_mib() > 50
    with pytest.raises(StarGANError, match="in a fresh process failed"):
        cold_start("nowhere.onnx", "auto", rounds=1)


def test_the_report(model, tmp_path):
    with Engine.load(model) as engine:
        report = measure(engine, str(model), BenchConfig(seconds=0.2, batches=(1, 2), callers=(1,)))
    facts = json.loads(json.dumps(report.to_dict()))
    assert facts["about"]["precision"] == "fp32"
    assert set(facts["lanes"]) >= {"1", "2"}
    assert facts["single_stream"]["calls"] == len(report.times_ms)
    assert facts["parts"]["compute_ms"] > 0
    assert any("single stream" in line for line in report.lines())
    assert ("only" in " ".join(report.warnings)) == (len(report.times_ms) < 200)
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 5000


def test_a_plot_needs_matplotlib(model, monkeypatch, tmp_path):
    with Engine.load(model) as engine:
        report = measure(engine, str(model), BenchConfig(seconds=0.2, batches=(1,), callers=(1,)))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="--plot needs matplotlib"):
        report.plot(tmp_path / "bench.png")
    monkeypatch.setattr("stargan_rt.bench.report.measure", lambda *_, **__: pytest.fail("measured all the same"))
    with pytest.raises(MissingDependencyError, match="--plot needs matplotlib"):
        bench.main(["--engine", str(model), "--plot", str(tmp_path / "b.png")], standalone_mode=False)


@pytest.mark.parametrize(
    ("spread", "calls", "parts", "words"),
    [
        (1.0, 300, (0.1, 1.0, 0.1, 0.1), []),
        (2.0, 300, (0.1, 1.0, 0.1, 0.1), ["noisy"]),
        (1.0, 30, (0.1, 1.0, 0.1, 0.1), ["only 30 calls"]),
        (1.0, 300, (0.8, 1.0, 0.4, 0.1), ["transfer-bound"]),
        (1.0, 300, (0.1, 1.0, 0.1, 1.1), ["host-bound"]),
    ],
)
def test_figures_that_are_not_the_networks_are_doubted(spread, calls, parts, words):
    latency = Latency(calls, 1.0, spread, spread, spread, 1.0, 1.0)
    found = doubts(latency, CallTimes(*parts))
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
