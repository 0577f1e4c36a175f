"""Who competes: one line each in `PEERS`, and what a line means.

A peer is made in a process of its own (`benchmarks.workers`) from the files of a `benchmarks.case.Case`; what
makes it is named by text, so that a library is imported only there, and only by those who use it.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.case import Case
from stargan_rt import backends
from stargan_rt.images import Pixels
from stargan_rt.timing import call_times

Translate: TypeAlias = Callable[[Pixels, npt.NDArray[np.float32]], Pixels]
"""Picture uint8 ``(H, W, 3)`` RGB and label float32 ``(c,)`` → uint8 ``(H, W, 3)`` RGB."""
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""Row classes, in the order of the tables."""
WARM_UP = 2
"""Calls of a turn that are not counted: the caches hold what the last contestant left there."""


@dataclass(frozen=True)
class Runner:
    """A peer, ready.

    Attributes:
        translate: the call that is timed, from array to array.
        precision: row class, as the library says it computes where it does say.
        note: what a reader of the row must know.
        timed: ms of so many calls, for a program that times itself; else `translate` is timed.
    """

    translate: Translate
    precision: str
    note: str = ""
    timed: Callable[[int], list[float]] | None = None


@dataclass(frozen=True)
class Peer:
    """Someone who can run the generator.

    Attributes:
        name: of its row.
        precision: row class that is expected; the one in its row is the `Runner`'s.
        make: ``module:function`` in this package; called with the case and `options`, it returns a `Runner`.
        options: keyword arguments of `make`.
        needs: names in `NEEDS`.
        device: ``"cpu"`` or ``"gpu"``; each has a base of its own, `BASES`.
    """

    name: str
    precision: str
    make: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    device: str = "cpu"

    @property
    def ours(self) -> bool:
        return self.name.startswith("stargan-rt")

    def unavailable(self) -> str | None:
        """Why it can't run on this machine; None where it can."""
        return next((reason for need in self.needs if (reason := NEEDS[need]())), None)


class Timed:
    """A peer as `benchmarks.workers` takes it: facts with its pictures, turns in ms a call."""

    def __init__(self, peer: Peer, case: Case) -> None:
        module, _, function = peer.make.partition(":")
        runner: Runner = getattr(importlib.import_module(module), function)(case, **peer.options)
        judged = case.judged()
        pictures = np.stack([runner.translate(image, label) for image, label in judged])
        self.facts = {"precision": runner.precision, "note": runner.note, "pictures": pictures}
        call = partial(runner.translate, *judged[0])
        self.turn = runner.timed or partial(_times, call)


def _times(call: Callable[[], object], calls: int) -> list[float]:
    return call_times(call, warm_up=WARM_UP, max_calls=calls, max_seconds=math.inf)


def _package(name: str, mend: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"{name} is not installed: {mend}"


def _no_cuda() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "no GPU that PyTorch can use"


def _no_onnxruntime_cuda() -> str | None:
    import onnxruntime

    has = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return None if has else "this ONNX Runtime has no CUDA: pip install onnxruntime-gpu"


NEEDS: Mapping[str, Callable[[], str | None]] = {
    "openvino": partial(backends.unavailable, "openvino"),
    "nncf": partial(_package, "nncf", "pip install 'stargan-rt[compare]'"),
    "cuda": _no_cuda,
    "onnxruntime-cuda": _no_onnxruntime_cuda,
    "trtexec": lambda: None if shutil.which("trtexec") else "trtexec is not on the PATH; it comes with TensorRT",
    "tensorrt": partial(backends.unavailable, "tensorrt"),
    "tensorrt-rtx": partial(backends.unavailable, "tensorrt-rtx"),
}
"""Need → what is asked whether it is met: None, or the reason why not."""

BASES = {"cpu": "PyTorch eager fp32", "gpu": "PyTorch CUDA eager fp32"}
"""Device → the peer that speeds are given in multiples of."""


def _cpu() -> list[Peer]:
    pytorch, runtimes, engines = "benchmarks.peers.pytorch", "benchmarks.peers.runtimes", "benchmarks.peers.engines"
    compiled = [
        Peer(f"torch.compile {how} {precision}", precision, f"{pytorch}:compiled", {"precision": precision, "mode": m})
        for how, m in (("freezing", None), ("max-autotune", "max-autotune"))
        for precision in ("fp32", "bf16")
    ]
    return [
        Peer(BASES["cpu"], "fp32", f"{pytorch}:eager"),
        Peer("PyTorch channels-last bf16", "bf16", f"{pytorch}:channels_last"),
        *compiled,
        Peer("ONNX Runtime fp32", "fp32", f"{runtimes}:onnxruntime"),
        Peer("ONNX Runtime int8", "int8", f"{runtimes}:onnxruntime_int8"),
        Peer("OpenVINO fp32", "fp32", f"{runtimes}:openvino", {"hint": "f32"}, ("openvino",)),
        Peer("OpenVINO default", "bf16", f"{runtimes}:openvino", {"hint": None}, ("openvino",)),
        Peer("OpenVINO NNCF int8", "int8", f"{runtimes}:openvino_int8", {}, ("openvino", "nncf")),
        *(
            Peer(f"stargan-rt {p}", p, f"{engines}:engine", {"backend": "openvino", "precision": p}, ("openvino",))
            for p in ("fp32", "bf16", "int8")
        ),
    ]


def _gpu() -> list[Peer]:
    cuda, trtexec, engines = "benchmarks.peers.cuda", "benchmarks.peers.trtexec", "benchmarks.peers.engines"
    ours = [
        Peer(
            f"stargan-rt {title} {p}", p, f"{engines}:engine", {"backend": name, "precision": p}, ("cuda", name), "gpu"
        )
        for name, title, precisions in (
            ("tensorrt", "TensorRT", ("fp32", "fp16", "int8")),
            ("tensorrt-rtx", "TensorRT-RTX", ("fp32", "fp16", "int8")),
        )
        for p in precisions
    ]
    return [
        Peer(BASES["gpu"], "fp32", f"{cuda}:eager", {"precision": "fp32"}, ("cuda",), "gpu"),
        *(
            Peer(f"PyTorch CUDA graphs {p}", p, f"{cuda}:graphs", {"precision": p}, ("cuda",), "gpu")
            for p in ("fp32", "bf16", "fp16")
        ),
        Peer("torch.compile CUDA fp16", "fp16", f"{cuda}:compiled", {"precision": "fp16"}, ("cuda",), "gpu"),
        Peer("ONNX Runtime CUDA fp32", "fp32", f"{cuda}:onnxruntime", {}, ("cuda", "onnxruntime-cuda"), "gpu"),
        *(
            Peer(f"trtexec {p}", p, f"{trtexec}:program", {"precision": p}, ("cuda", "trtexec"), "gpu")
            for p in ("fp32", "fp16")
        ),
        *ours,
    ]


PEERS: tuple[Peer, ...] = (*_cpu(), *_gpu())
