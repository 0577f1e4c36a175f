"""The three schemes get the same budget and are judged alike."""

import json

from benchmarks import one_generator


def test_the_schemes(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    small = tuple(text.replace("count=6000", "count=60") for text in one_generator.DATA)
    monkeypatch.setattr(one_generator, "DATA", small)
    steps = []
    trained = one_generator.Contest.train

    def counting(self, datasets, iterations, name):
        steps.append(iterations * len(datasets))
        return trained(self, datasets, iterations, name)

    monkeypatch.setattr(one_generator.Contest, "train", counting)
    output = tmp_path / "report.json"
    flags = ["--iterations", "12", "--image-size", "16", "--conv-dim", "4", "--classifier-steps", "5"]
    one_generator.main([*flags, "--output", str(output)], standalone_mode=False)
    report = json.loads(output.read_text())
    one, unmasked, pairs = report["results"]
    assert steps[0] == steps[1] == sum(steps[2:]) == 24
    assert (one["models"], unmasked["models"], pairs["models"]) == (1, 1, 12)
    assert pairs["parameters"] > 11 * one["parameters"]
    assert set(one["error"]) == {f"{a} on {b}" for a in ("looks", "faces") for b in ("looks", "faces")}
    assert all(0 <= error <= 1 for result in report["results"] for error in result["error"].values())
