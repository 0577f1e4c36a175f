"""Our engines, built as `stargan-rt build` builds them and called as users call them."""

from __future__ import annotations

import os

from benchmarks.case import Case
from benchmarks.peers import Runner
from stargan_rt import Engine
from stargan_rt.backends import PLANS
from stargan_rt.builder import BuildConfig, build


def engine(case: Case, backend: str, precision: str) -> Runner:
    """A build with its default quality budget: one below it fails, and its row says so.

    It is kept where it gains nothing (`force`): here it is measured whether it does.
    """
    os.environ["STARGAN_RT_CACHE"] = str(case.folder / "cache")
    config = BuildConfig(backend, precision, calib="avatars")
    suffix = "engine" if backend in PLANS else "onnx"
    artifact = build(case.exported, config, output=case.folder / f"{backend}-{precision}.{suffix}", force=True)
    loaded = Engine.load(artifact.path, threads=case.threads)
    layers = ", ".join(f"{count} in {kind}" for kind, count in artifact.manifest.build["layers"].items())
    return Runner(loaded.translate, precision, f"convolutions: {layers}")
