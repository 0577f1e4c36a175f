"""A small race with real peers: every peer has a row, and a row says what is wrong with it."""

import json
import math

import click
import numpy as np
import pytest

from benchmarks import report, results
from benchmarks.compare import main as compare
from benchmarks.compare import settings_dict
from benchmarks.peers import BASES, PEERS, Peer, Timed
from benchmarks.race import Settings, chosen, race
from stargan_rt.builder import BUDGET_DB
from stargan_rt.errors import InputError, MissingDependencyError
from stargan_rt.quality import psnr

ODD = [Peer(name, "fp32", f"odd_peers:{name}") for name in ("black", "raising", "dying", "dying_later")]
ABSENT = Peer("absent", "int8", "odd_peers:black", needs=("trtexec",))


@pytest.fixture(scope="module")
def result(case, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))  # no trtexec
    try:
        peers = [*chosen(["stargan-rt int8", "onnx runtime fp32"], "cpu"), *ODD, ABSENT]
        found = race(case, peers, Settings(rounds=3, calls=2))
    finally:
        patch.undo()
    return {"machine": results.describe(case.threads), "settings": settings_dict(case, Settings(3, 2)), **found}


@pytest.fixture(scope="module")
def rows(result):
    return {row["name"]: row for row in result["rows"]}


def test_a_base_is_added_and_compared_with_itself(rows):
    assert next(iter(rows)) == BASES["cpu"]
    assert rows[BASES["cpu"]]["times_base"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert rows[BASES["cpu"]]["psnr_db"] is None or rows[BASES["cpu"]]["psnr_db"] > 60


def test_rows_hold_speeds_with_intervals_quality_and_share(rows, result):
    for name in (BASES["cpu"], "ONNX Runtime fp32", "stargan-rt int8"):
        row = rows[name]
        assert len(row["rounds_ms"]) == 3
        for key in ("ms", "times_base", "share_of_limit"):
            assert 0 < row[key]["low"] <= row[key]["median"] <= row[key]["high"]
        assert row["share_of_limit"]["high"] < 1
        assert row["idle_share"] < 0.2
    assert rows["stargan-rt int8"]["psnr_db"] >= BUDGET_DB["int8"]
    assert result["limits"]["cpu fp32"]["gmac_per_s"]["median"] > 1
    assert result["network_gmac"] == pytest.approx(0.009, abs=0.005)


def test_a_wrong_peer_shows_and_is_not_first(rows, result):
    assert rows["black"]["psnr_db"] < 15
    assert rows["black"]["ms"]["median"] < rows[BASES["cpu"]]["ms"]["median"]
    assert result["first_in_class"]["cpu fp32"]["first"] != "black"
    assert result["first_in_class"]["cpu fp32"]["faster_but_below_budget"] == ["black"]
    assert "black" in report.text(result)
    assert f", below {BUDGET_DB['fp32']:g}" in report.markdown(
        result, report.measured(result, "cpu"), "cpu", missing=False
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raising", "RuntimeError: the compiler gave up"),
        ("dying", "its process ended with exit code 3: illegal instruction"),
        ("dying_later", "its process ended with exit code 4"),
        ("absent", "trtexec is not on the PATH; it comes with TensorRT"),
    ],
)
def test_a_peer_that_fails_has_a_row_with_the_reason(rows, result, name, reason):
    assert rows[name]["not_measured"] == reason
    assert "ms" not in rows[name]
    assert f"| {name} | {rows[name]['class']} | not measured: {reason} |" in report.markdown(
        result, report.measured(result, "cpu"), "cpu", missing=True
    )


def test_the_result_survives_json_and_is_drawn(result, tmp_path):
    assert json.loads(json.dumps(result)) == result
    report.plot(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_nothing_in_a_result_names_a_path(result):
    assert "/" not in json.dumps({**result, "machine": {**result["machine"], "cpu": "", "gpu": ""}}).replace(
        "GMAC/s", ""
    )


NEAR = {"fp32": 60, "bf16": 40, "int8": 25}
"""Precision → dB that the images of any honest peer reach here."""


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(
            peer, marks=[pytest.mark.slow] if "compile" in peer.name and "freezing fp32" not in peer.name else []
        )
        for peer in PEERS
        if peer.device == "cpu"
    ],
    ids=lambda peer: peer.name,
)
@pytest.mark.filterwarnings("ignore")  # the peers' own
def test_a_peer_translates(case, peer, monkeypatch):
    import torch
    import torch._inductor.config

    if reason := peer.unavailable():
        pytest.skip(reason)
    monkeypatch.setenv("STARGAN_RT_CACHE", "set by the peer")
    threads = torch.get_num_threads()
    try:
        with torch._inductor.config.patch(freezing=False):  # peers set what suits them, in processes of their own
            timed = Timed(peer, case)
            times = timed.turn(3)
    finally:
        torch.set_num_threads(threads)
    assert psnr(timed.facts["images"], case.master()) >= NEAR[timed.facts["precision"]]
    assert len(times) == 3
    assert all(0 < ms < math.inf for ms in times)


def test_images_that_judge_were_not_calibrated_with(case):
    judged = [picture for picture, _ in case.judged()]
    assert len(judged) == 5
    assert not any(np.array_equal(a, b) for a in judged for b, _ in case.calibration())


def test_peers_are_chosen_by_pattern():
    names = [peer.name for peer in chosen(["stargan-rt bf16", "openvino*"], "cpu")]
    assert names == [BASES["cpu"], "OpenVINO fp32", "OpenVINO default", "OpenVINO NNCF int8", "stargan-rt bf16"]
    assert {peer.device for peer in chosen([], "gpu")} == {"gpu"}
    assert len(chosen([], "all")) == len(PEERS) == len({peer.name for peer in PEERS})
    with pytest.raises(InputError, match=r"no peer is called 'caffe'; known: PyTorch eager fp32, "):
        chosen(["caffe"], "cpu")


def test_what_can_t_work_is_reported_before_the_race(monkeypatch, tmp_path):
    with pytest.raises(click.UsageError, match="multiple of 4"):
        compare(["--image-size", "30"], standalone_mode=False)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"stargan-rt\[plot\]"):
        compare(["--plot", str(tmp_path / "p.png")], standalone_mode=False)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_graphs_for_onnx_runtime_s_gpus_translate_on_its_cpu(case, precision):
    from benchmarks.peers.engines import provider

    runner = provider(case, precision, "cpu")
    images = np.stack([runner.translate(*pair) for pair in case.judged()])
    assert psnr(images, case.master()) >= {"fp32": 60, "fp16": 45}[precision]
