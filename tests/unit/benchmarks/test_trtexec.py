"""trtexec is asked for the same thing whatever its version; a script stands in for it, which notes what it is asked."""

import sys

import numpy as np
import pytest

from benchmarks.peers import trtexec
from stargan_rt.quality import psnr

SCRIPT = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] [b1] # trtexec")
with open(here / "asked.txt", "a") as file:
    print(*sys.argv[1:], file=file)
flags = dict(word.partition("=")[::2] for word in sys.argv[1:])
if "--loadInputs" in flags:
    files = dict(part.split(":", 1) for part in flags["--loadInputs"].split(","))
    image = list(pathlib.Path(files["image"]).read_bytes())
if "--exportOutput" in flags:
    outputs = [{{"name": "translated", "dimensions": "1x32x32x3", "values": image}}]
    pathlib.Path(flags["--exportOutput"]).write_text(json.dumps(outputs))
if "--exportTimes" in flags:
    times = [{{"latencyMs": 0.5, "computeMs": 0.4}}] * int(flags["--iterations"])
    pathlib.Path(flags["--exportTimes"]).write_text(json.dumps(times))
if "{version}" == "109999" and "--onnx" in flags:
    print("[E] no such layer")
    sys.exit(1)
"""


def stand_in(folder, version, monkeypatch):
    program = folder / "trtexec"
    program.write_text(SCRIPT.format(python=sys.executable, version=version))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "asked.txt"


@pytest.mark.parametrize(
    ("version", "timing", "built"),
    [
        ("101303", {"--useCudaGraph", "--useSpinWait"}, {"--stronglyTyped"}),
        ("110100", {"--includeDataTransfers"}, set()),
    ],
)
def test_graph_spin_wait_and_transfers_are_on_in_either_version(case, tmp_path, monkeypatch, version, timing, built):
    asked = stand_in(tmp_path, version, monkeypatch)
    runner = trtexec.program(case, "fp16")
    image, label = case.judged()[0]
    np.testing.assert_array_equal(runner.translate(image, label), image)
    assert runner.timed(7) == [0.5] * 7
    _, build, *runs = asked.read_text().splitlines()
    assert {word for word in build.split() if "=" not in word} == {"--skipInference", *built}
    assert all({word for word in run.split() if "=" not in word} == timing for run in runs)
    assert runner.note.endswith(f"TensorRT {version[:2]}")


def test_a_failed_build_is_told_in_its_words(case, tmp_path, monkeypatch):
    stand_in(tmp_path, "109999", monkeypatch)
    with pytest.raises(RuntimeError, match=r"trtexec failed: \[E\] no such layer"):
        trtexec.program(case, "fp32")


def test_a_picture_survives_the_numpy_steps_around_a_float_network(case):
    from benchmarks.peers.arrays import to_image, to_network

    image, _ = case.judged()[0]
    assert psnr(to_image(to_network(image)), image) == float("inf")
