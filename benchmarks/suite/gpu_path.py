"""The host's work for one array on a GPU, measured without one: prints JSON.

To be run on the stand-in driver of `tests/driver`. Everything is real but the driver and the plan's execution: the
TensorRT-RTX bindings, cuda.core, lanes, and the replay of a captured graph with both copies. The network does nothing.
"""

from __future__ import annotations

import gc
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from standin import StandIn

from benchmarks.suite.networks import SIZE, SPACE
from stargan_rt import BuildConfig, Engine, Manifest
from stargan_rt.backends import tensorrt, tensorrt_library
from stargan_rt.builder.plan import compile_plan
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_model
from stargan_rt.timing import call_times

CALLS = 10_000


class Nothing:
    """An engine of TensorRT and its execution context, whose network does nothing."""

    num_io_tensors, num_optimization_profiles = 3, 1

    def __init__(self, trt: Any) -> None:
        self._tensors = {
            "image": (trt.TensorIOMode.INPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
            "label": (trt.TensorIOMode.INPUT, trt.DataType.FLOAT, (-1, SPACE.dim)),
            "translated": (trt.TensorIOMode.OUTPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
        }

    def get_tensor_name(self, index):
        return list(self._tensors)[index]

    def get_tensor_mode(self, name):
        return self._tensors[name][0]

    def get_tensor_dtype(self, name):
        return self._tensors[name][1]

    def get_tensor_shape(self, name):
        return self._tensors[name][2]

    def get_tensor_profile_shape(self, name, profile):
        return [(batch, *self._tensors[name][2][1:]) for batch in (1, 1, 8)]

    def create_execution_context(self, *_):
        return self

    def set_tensor_address(self, name, address):
        return True

    def set_input_shape(self, name, shape):
        return True

    def execute_async_v3(self, stream_handle):
        return True


def main() -> None:
    """Time 10,000 calls of `Engine.translate`, and look for garbage and growth."""
    trt = tensorrt_library.vendor("tensorrt-rtx")
    source = bundled_model("avatars")
    about = read_onnx(source)[0]
    plan = compile_plan("tensorrt-rtx", onnx.load(source), BuildConfig(targets=("sm89",)), about.size, about.labels.dim)
    tensorrt_library.deserialise = lambda *_: (Nothing(trt), [])
    with tempfile.NamedTemporaryFile(suffix=".engine") as file:
        file.write(plan.data)
        file.flush()
        backend = tensorrt.TensorRTRTX(Path(file.name), None)
    face = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    out, driver = np.empty_like(face), StandIn()
    with Engine(Manifest(SPACE, SIZE, "fp16", 64, 6), backend) as engine:

        def call() -> None:
            engine.translate(face, "happy", out=out)

        call_times(call, max_calls=100)
        driver.clear()
        call()
        replayed = sum("GraphLaunch" in name for name in driver.calls())
        driver.logging(False)
        times = call_times(call, max_calls=CALLS, max_seconds=60)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        call_times(call, max_calls=100)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CALLS):
            call()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        garbage = gc.collect()
    median, best = float(np.median(times)) * 1e3, float(np.percentile(times, 5)) * 1e3
    print(json.dumps({"us": median, "best_us": best, "replayed": replayed, "garbage": garbage, "grown_bytes": grown}))


if __name__ == "__main__":
    main()
