"""TensorRT through its own program, `trtexec`, which times itself.

Its defaults differ: version 11 times with CUDA graph and spin-wait on and transfers off, version 10 the other way
round. Here all three are on in both, since the other rows go from array to array on the host too.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.case import Case
from benchmarks.peers import Runner
from stargan_rt import jetson
from stargan_rt.builder import typed_graph
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED

NOTE = "trtexec's latencyMs with CUDA graph, spin-wait and transfers on, without the host's own work"


def program(case: Case, precision: str) -> Runner:
    """Build and time a strongly typed plan of the exported graph (uint8 in and out)."""
    typed = case.folder / f"trtexec-{precision}.onnx"
    onnx.save(typed_graph(onnx.load(case.exported), precision, "tensorrt"), typed)
    plan = typed.with_suffix(".plan")
    major = _major_version()
    shapes = f"--shapes={IMAGE}:1x{case.image_size}x{case.image_size}x3,{LABEL}:1x{len(case.judged()[0][1])}"
    strong = [] if major >= 11 else ["--stronglyTyped"]  # 11 has no other kind
    _run([f"--onnx={typed}", f"--saveEngine={plan}", shapes, "--skipInference", *strong])
    timing = ["--includeDataTransfers"] if major >= 11 else ["--useCudaGraph", "--useSpinWait"]

    def infer(image: Pixels, label: npt.NDArray[np.float32], iterations: int, *more: str) -> None:
        with TemporaryDirectory() as folder:
            files = {IMAGE: Path(folder) / "image.bin", LABEL: Path(folder) / "label.bin"}
            image.tofile(files[IMAGE])
            label.tofile(files[LABEL])
            inputs = ",".join(f"{name}:{file}" for name, file in files.items())
            count = [f"--iterations={iterations}", "--duration=0", "--warmUp=200"]
            _run([f"--loadEngine={plan}", shapes, f"--loadInputs={inputs}", *count, *timing, *more])

    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        out = case.folder / f"trtexec-{precision}.json"
        infer(image, label, 1, f"--exportOutput={out}")
        values = next(entry["values"] for entry in json.loads(out.read_text()) if entry["name"] == TRANSLATED)
        return np.array(values, np.uint8).reshape(*case.size, 3)

    def timed(calls: int) -> list[float]:
        out = case.folder / f"trtexec-{precision}-times.json"
        infer(*case.judged()[0], calls, f"--exportTimes={out}")
        found = [float(entry["latencyMs"]) for entry in json.loads(out.read_text())]
        if not all(math.isfinite(ms) for ms in found):
            raise RuntimeError("trtexec gave no latencies; see its log")
        return found

    return Runner(translate, precision, f"{NOTE}; TensorRT {major}", timed)


def _major_version() -> int:
    """Read it from the first line: ``&&&& RUNNING TensorRT.trtexec [TensorRT v101303] …`` is 10.13.3."""
    done = subprocess.run([_program(), "--help"], capture_output=True, text=True, check=False)
    found = re.search(r"TensorRT v(\d+)\d{4}\b", done.stdout + done.stderr)
    if found is None:
        raise RuntimeError("trtexec does not print its version")
    return int(found[1])


def _run(arguments: list[str]) -> None:
    done = subprocess.run([_program(), *arguments], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "[E]" in line]
        raise RuntimeError(f"trtexec failed: {lines[0] if lines else f'exit code {done.returncode}'}")


def _program() -> str:
    """Return trtexec's path; JetPack does not put it on the PATH."""
    return jetson.trtexec() or "trtexec"
