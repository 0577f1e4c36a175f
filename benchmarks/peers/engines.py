"""Our engines, built as `stargan-rt build` builds them and called as users call them."""

from __future__ import annotations

import os

from benchmarks.case import Case
from benchmarks.peers import Runner
from stargan_rt import Engine
from stargan_rt.backends import PLANS
from stargan_rt.builder import BuildConfig, build


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
