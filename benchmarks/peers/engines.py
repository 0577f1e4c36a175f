"""Our engines, built as `stargan-rt build` builds them and called as users call them."""

from __future__ import annotations

import os

import onnx

from benchmarks.case import Case, write_engine
from benchmarks.peers import Runner
from stargan_rt import Engine
from stargan_rt.backends import PLANS
from stargan_rt.builder import BuildConfig, build, typed_graph
from stargan_rt.manifest import read_onnx_manifest


def engine(case: Case, backend: str, precision: str) -> Runner:
    """Build an engine with the default quality budget; below it the build fails, and the row shows the reason.

    `force` keeps an int8 engine that is no faster: whether it is, is measured here.
    """
    os.environ["STARGAN_RT_CACHE"] = str(case.folder / "cache")
    config = BuildConfig(backend, precision, calib="avatars")
    suffix = "engine" if backend in PLANS else "onnx"
    artifact = build(case.exported, config, output=case.folder / f"{backend}-{precision}.{suffix}", force=True)
    loaded = Engine.load(artifact.path, threads=case.threads)
    record = artifact.manifest.build
    layers = ", ".join(f"{count} in {kind}" for kind, count in record.layers.items()) if record else ""
    return Runner(loaded.translate, precision, f"convolutions: {layers}")


def provider(case: Case, precision: str, device: str) -> Runner:
    """Run the graph of a precision on an execution provider of ONNX Runtime, as a GPU without TensorRT does."""
    typed = typed_graph(onnx.load(case.exported), precision, "tensorrt")  # without the rewrites for CPUs
    path = case.folder / f"onnxruntime-{precision}.onnx"
    write_engine(typed, read_onnx_manifest(case.exported), precision, path)
    loaded = Engine.load(path, backend="onnxruntime", threads=case.threads, device=device)
    return Runner(loaded.translate, precision, f"device {device}")
