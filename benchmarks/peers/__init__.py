"""The peers of the comparison: one entry each in `PEERS`.

A peer is made in its own process (`benchmarks.workers`) from the files of a `benchmarks.case.Case`. The function that
makes it is named by text, so that a library is imported only there.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.case import Case
from stargan_rt import backends, jetson
from stargan_rt.images import Pixels
from stargan_rt.timing import call_times

Translate: TypeAlias = Callable[[Pixels, npt.NDArray[np.float32]], Pixels]
"""Image uint8 ``(H, W, 3)`` RGB and label float32 ``(c,)`` → uint8 ``(H, W, 3)`` RGB."""
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""Classes of rows, in the order of the tables."""
WARM_UP = 2
"""Calls of a turn that are not counted: at first the caches hold another peer's data."""


@dataclass(frozen=True)
class Runner:
    """A peer that is ready to run.

    Attributes:
        translate: the call that is timed, from array to array.
        precision: class of its row: the precision that the library reports, if it does.
        note: what a reader of the row should know.
        timed: number of calls → their times in ms, for a program that times itself; None times `translate`.
    """

    translate: Translate
    precision: str
    note: str = ""
    timed: Callable[[int], list[float]] | None = None


@dataclass(frozen=True)
class Peer:
    """A way to run the generator.

    Attributes:
        name: name of its row.
        precision: expected class; its row has the one that the `Runner` reports.
        make: ``module:function`` in this package; called with the case and `options`, it returns a `Runner`.
        options: keyword arguments of `make`.
        needs: names in `NEEDS`.
        device: ``"cpu"`` or ``"gpu"``; each has its own base, `BASES`.
    """

    name: str
    precision: str
    make: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    device: str = "cpu"

    @property
    def ours(self) -> bool:
        """Whether it is an engine of this package."""
        return self.name.startswith("stargan-rt")

    def unavailable(self) -> str | None:
        """Return why it can't run on this machine; None if it can."""
        return next((reason for need in self.needs if (reason := NEEDS[need]())), None)


class Timed:
    """A peer for `benchmarks.workers`: its facts hold its images, its turns return ms a call."""

    def __init__(self, peer: Peer, case: Case) -> None:
        module, _, function = peer.make.partition(":")
        runner: Runner = getattr(importlib.import_module(module), function)(case, **peer.options)
        judged = case.judged()
        images = np.stack([runner.translate(image, label) for image, label in judged])
        self.facts = {"precision": runner.precision, "note": runner.note, "images": images}
        self.once = partial(runner.translate, *judged[0])
        self.turn = runner.timed or partial(_times, self.once)
        self.times_itself = runner.timed is not None


def _times(call: Callable[[], object], calls: int) -> list[float]:
    return call_times(call, warm_up=WARM_UP, max_calls=calls, max_seconds=math.inf)


def _package(name: str, hint: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"{name} is not installed: {hint}"


def _no_cuda() -> str | None:
    if reason := _package("torch", "pip install torch"):
        return reason
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
    "trtexec": lambda: None if jetson.trtexec() else "trtexec is not on the PATH; it comes with TensorRT",
    "tensorrt": partial(backends.unavailable, "tensorrt"),
    "tensorrt-rtx": partial(backends.unavailable, "tensorrt-rtx"),
}
"""Requirement → a function that returns None if it is met, or the reason why not."""

BASES = {"cpu": "PyTorch eager fp32", "gpu": "PyTorch CUDA eager fp32"}
"""Device → the peer that speeds are compared with."""


def _cpu() -> list[Peer]:
    pytorch, runtimes, engines = "benchmarks.peers.pytorch", "benchmarks.peers.runtimes", "benchmarks.peers.engines"
    compiled = [
        Peer(f"torch.compile {how} {precision}", precision, f"{pytorch}:compiled", {"precision": precision, "mode": m})
        for how, m in (("freezing", None), ("max-autotune", "max-autotune"))
        for precision in ("fp32", "bf16")
    ]
    bf16 = {"precision": "bf16", "channels_last": True}
    return [
        Peer(BASES["cpu"], "fp32", f"{pytorch}:eager"),
        Peer("PyTorch channels-last bf16", "bf16", f"{pytorch}:eager", bf16),
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
    pytorch, trtexec, engines = "benchmarks.peers.pytorch", "benchmarks.peers.trtexec", "benchmarks.peers.engines"
    on_gpu, tuned = {"device": "cuda"}, {"device": "cuda", "mode": "max-autotune", "precision": "fp16"}
    provider, device, needs = {"provider": "CUDAExecutionProvider"}, {"device": "cuda:0"}, "onnxruntime-cuda"

    def peer(name: str, precision: str, make: str, options: Mapping[str, Any], *needs: str) -> Peer:
        return Peer(name, precision, make, options, needs, "gpu")

    return [
        peer(BASES["gpu"], "fp32", f"{pytorch}:eager", on_gpu, "cuda"),
        *(
            peer(f"PyTorch CUDA graphs {p}", p, f"{pytorch}:graphs", {"precision": p}, "cuda")
            for p in ("fp32", "bf16", "fp16")
        ),
        peer("torch.compile CUDA fp16", "fp16", f"{pytorch}:compiled", tuned, "cuda"),
        peer("ONNX Runtime CUDA fp32", "fp32", "benchmarks.peers.runtimes:onnxruntime", provider, needs),
        *(peer(f"trtexec {p}", p, f"{trtexec}:program", {"precision": p}, "trtexec") for p in ("fp32", "fp16")),
        *(
            peer(f"stargan-rt ONNX Runtime {p}", p, f"{engines}:provider", {"precision": p, **device}, needs)
            for p in ("fp32", "fp16")
        ),
        *(
            peer(f"stargan-rt {title} {p}", p, f"{engines}:engine", {"backend": name, "precision": p}, name)
            for name, title in TENSORRTS.items()
            for p in ("fp32", "fp16", "int8")
        ),
    ]


TENSORRTS = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}
PEERS: tuple[Peer, ...] = (*_cpu(), *_gpu())
