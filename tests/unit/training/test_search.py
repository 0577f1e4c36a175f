"""The search for a width and depth: candidates inside one parent, judged and timed."""

import json

import cv2
import numpy as np
import pytest
import torch

from stargan_rt import InputError
from training.__main__ import main as training_main
from training.checkpoint import read_checkpoint
from training.lite import LiteGenerator
from training.nested import NestedGenerator, child
from training.search import Candidate, choose, measured_latency, pareto_front


@pytest.fixture
def parent():
    torch.manual_seed(0)
    return LiteGenerator(5, 16, 3, bottleneck=8).eval()


@pytest.fixture
def inputs():
    random = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 32, 32, generator=random) * 2 - 1, torch.eye(5)[:2]


def test_the_largest_child_is_the_parent(parent, inputs):
    with torch.no_grad():
        torch.testing.assert_close(child(parent, 16, 3)(*inputs), parent(*inputs))


def test_a_child_takes_the_leading_channels_and_blocks(parent):
    small = child(parent, 8, 2)
    torch.testing.assert_close(small.first.weight, parent.first.weight[:8])
    torch.testing.assert_close(small.up[0].weight, parent.up[0].weight[: small.up[0].weight.shape[0], :32])
    torch.testing.assert_close(small.blocks[1].conv2.weight, parent.blocks[1].conv2.weight[:32, :32])
    shifts = dict(enumerate(parent.label.weight.split(parent.shifts)))
    own = small.label.weight.split(small.shifts)
    kept = [0, 1, 2, 3, 4, 6, 7]  # stem, two down, two of three blocks, two up
    assert len(own) == len(kept)
    for found, index in zip(own, kept, strict=True):
        torch.testing.assert_close(found, shifts[index][: len(found)])


def test_a_child_is_a_copy(parent, inputs):
    before = parent(*inputs)
    small = child(parent, 8, 2)
    with torch.no_grad():
        small.first.weight.zero_()
    torch.testing.assert_close(parent(*inputs), before)


def test_training_children_trains_the_parent(parent, inputs):
    nested = NestedGenerator(parent, (8, 16), (1, 3))
    with torch.no_grad():
        torch.testing.assert_close(nested(*inputs), parent(*inputs))
        torch.testing.assert_close(nested(*inputs), child(parent, 8, 1)(*inputs))
    nested.calls = 1
    nested(*inputs).square().mean().backward()
    assert parent.first.weight.grad[:8].abs().sum() > 0
    assert parent.first.weight.grad[8:].abs().sum() == 0
    assert parent.blocks[2].conv1.weight.grad is None or parent.blocks[2].conv1.weight.grad.abs().sum() == 0


SLOW = Candidate(32, 4, 30.0, 0.95, 3.0)
FAST = Candidate(16, 4, 27.0, 0.90, 1.0)
WASTE = Candidate(24, 2, 26.0, 0.89, 2.0)


def test_the_front_holds_what_no_other_candidate_beats():
    assert pareto_front([SLOW, WASTE, FAST]) == [FAST, SLOW]


def test_the_winner_keeps_the_limit():
    everyone = [SLOW, WASTE, FAST]
    assert choose(everyone, max_latency_ms=2.5) == FAST
    assert choose(everyone, max_latency_ms=9) == SLOW
    assert choose(everyone, max_accuracy_drop=0.06) == FAST
    assert choose(everyone, max_accuracy_drop=0.01) == SLOW
    with pytest.raises(InputError, match=r"the fastest takes 1\.00 ms"):
        choose(everyone, max_latency_ms=0.5)
    with pytest.raises(InputError, match="--max-latency-ms or --max-accuracy-drop"):
        choose(everyone)
    with pytest.raises(InputError, match="labels"):
        choose([Candidate(16, 4, 27.0, None, 1.0)], max_accuracy_drop=0.01)


@pytest.fixture
def line(model, random, tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        path = tmp_path / "pictures" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), random.integers(0, 256, (32, 32, 3), np.uint8))
    table = {"4x1": 1.0, "4x2": 1.5, "8x1": 2.0, "8x2": 3.0}
    (tmp_path / "latencies.json").write_text(json.dumps(table))
    return (
        *("search", "--teacher", str(model), "--data", f"images:{tmp_path / 'pictures'}", "--d-layers", "2"),
        *("--conv-dim", "8", "--blocks", "2", "--nested-widths", "4,8", "--nested-depths", "1,2"),
        *("--d-conv-dim", "4", "--batch-size", "2", "--pairs", "8", "--iterations", "3"),
        *("--latencies", str(tmp_path / "latencies.json"), "--out", str(tmp_path / "out")),
    )


def test_a_search_finds_trains_and_keeps(line, tmp_path):
    plot = tmp_path / "front.svg"
    training_main([*line, "--max-latency-ms", "2.5", "--plot", str(plot)], standalone_mode=False)
    kept = json.loads((tmp_path / "out" / "candidates.json").read_text())
    assert {(c["conv_dim"], c["blocks"]): c["latency_ms"] for c in kept} == {
        (4, 1): 1.0,
        (4, 2): 1.5,
        (8, 1): 2.0,
        (8, 2): 3.0,
    }
    winner = read_checkpoint(tmp_path / "out" / "winner" / "latest.pt")
    best = max((c for c in kept if c["latency_ms"] <= 2.5), key=lambda c: c["psnr_db"])
    assert (winner["model"]["conv_dim"], winner["model"]["blocks"]) == (best["conv_dim"], best["blocks"])
    assert winner["iteration"] == 3
    assert "<svg" in plot.read_text()
    before = (tmp_path / "out" / "candidates.json").stat().st_mtime_ns
    training_main([*line, "--max-latency-ms", "2.5"], standalone_mode=False)  # nothing is repeated
    assert (tmp_path / "out" / "candidates.json").stat().st_mtime_ns == before


def test_a_search_needs_one_limit(line):
    with pytest.raises(InputError, match="--max-latency-ms or --max-accuracy-drop"):
        training_main([*line], standalone_mode=False)


def test_latency_is_measured_on_the_backend(checkpoint):
    assert 0.05 < measured_latency("openvino", "fp32")(checkpoint) < 1000
