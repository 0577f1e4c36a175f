"""The arithmetic limit of a machine: multiplications a second of the layers that fill it best.

A handful of large convolutions and matrix products, which do next to nothing but arithmetic, take their turns like
any peer. The fastest one is the limit of its precision. A row's share of it shows how much a better implementation
of the same multiplications could still gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from stargan_rt.errors import StarGANError
from stargan_rt.timing import median_ms

PRECISIONS = {"cpu": ("fp32", "bf16", "int8"), "gpu": ("fp32", "bf16", "fp16", "int8")}
"""Device → precisions whose limit is measured."""


@dataclass(frozen=True)
class Layers:
    """A chain of equal layers, so that only its ends are read and written, as in a network.

    Attributes:
        channels: number of channels in and out.
        side: side of the image in pixels; None for a matrix product of ``channels x channels``.
        count: number of layers.
    """

    channels: int
    side: int | None
    count: int

    @property
    def name(self) -> str:
        if self.side is None:
            return f"matmul {self.channels}"
        return f"conv 3x3, {self.channels} channels, {self.side}x{self.side}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of input and output."""
        return (self.channels,) * 2 if self.side is None else (1, self.channels, self.side, self.side)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return (self.channels, self.channels) + (() if self.side is None else (3, 3))

    @property
    def macs(self) -> int:
        """Number of multiplications."""
        return self.count * self.channels**2 * (self.channels if self.side is None else 9 * self.side**2)


CHAINS = (Layers(256, 32, 6), Layers(256, 64, 2), Layers(512, 32, 2), Layers(1024, None, 4), Layers(2048, None, 1))
GPU_CHAINS = (Layers(256, 128, 4), Layers(512, 128, 2), Layers(4096, None, 2), Layers(8192, None, 1))
"""Larger ones: a GPU has many more cores to fill."""


class Limit:
    """All chains in one precision, to be made and timed in a process of `benchmarks.workers`.

    Attributes:
        facts: ``"macs"``: name of a chain → multiplications of a call.
    """

    def __init__(self, chains: tuple[Layers, ...], prepare: Callable[[Layers], Callable[[], object]]) -> None:
        self._calls = {layers.name: prepare(layers) for layers in chains}
        self.facts: dict[str, Any] = {"macs": {layers.name: layers.macs for layers in chains}}

    def turn(self, calls: int) -> dict[str, float]:
        """Return the median ms of a call of each chain."""
        # A call takes long and varies little: half as many are enough.
        return {name: median_ms(call, max(2, calls // 2)) for name, call in self._calls.items()}


class OpenVINOLimit(Limit):
    """The limit of a CPU, by OpenVINO."""

    def __init__(self, precision: str, threads: int) -> None:
        import openvino as ov

        core = ov.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise StarGANError("this CPU has no bf16 arithmetic")
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        self.computed_in: set[str] = set()

        def prepare(layers: Layers) -> Callable[[], object]:
            model = chain(layers, precision)
            compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", config)
            for node in compiled.get_runtime_model().get_ops():
                info = node.get_rt_info()
                if info["layerType"].astype(str) in ("Convolution", "FullyConnected", "MatMul"):
                    self.computed_in.add(info["runtimePrecision"].astype(str))
            feed = {"x": np.random.default_rng(0).normal(size=layers.shape).astype(np.float32)}
            return partial(compiled.create_infer_request().infer, feed, share_inputs=True)

        super().__init__(CHAINS, prepare)


class TorchLimit(Limit):
    """The limit of a GPU, by PyTorch; in int8 matrix products alone, since it has no int8 convolution there."""

    def __init__(self, precision: str) -> None:
        import torch

        # TensorRT and PyTorch's convolutions use TF32 for float32 by default.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
        product = torch._int_mm if precision == "int8" else torch.matmul
        convolution = partial(torch.nn.functional.conv2d, padding=1)

        def prepare(layers: Layers) -> Callable[[], object]:
            x, weights = (
                torch.ones(shape, dtype=dtypes[precision], device="cuda") for shape in (layers.shape, layers.kernel)
            )
            if layers.side is not None:
                x, weights = (tensor.to(memory_format=torch.channels_last) for tensor in (x, weights))
            once: Callable[..., Any] = product if layers.side is None else convolution

            def call() -> None:
                for _ in range(layers.count):
                    once(x, weights)
                torch.cuda.synchronize()

            return call

        super().__init__(tuple(c for c in GPU_CHAINS if c.side is None or precision != "int8"), prepare)


def chain(layers: Layers, precision: str) -> onnx.ModelProto:
    """Make the graph, float32 ``x`` of `Layers.shape` in and out; in int8 with Q/DQ pairs as `stargan_rt.builder`'s."""
    random = np.random.default_rng(0)
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: npt.NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    is_matmul = layers.side is None
    # Values neither grow nor vanish from layer to layer.
    spread = 1 / math.sqrt(math.prod(layers.kernel) / layers.channels)
    name = "x"
    for number in range(layers.count):
        weights = (random.normal(size=layers.kernel) * spread).astype(np.float32)
        if precision == "int8":
            one = [constant(f"scale{number}", np.float32(4 / 127)), constant(f"zero{number}", np.int8(0))]
            name = add("QuantizeLinear", [name, *one], f"q{number}")
            name = add("DequantizeLinear", [name, *one], f"dq{number}")
            scales = np.full(layers.channels, 4 * spread / 127, np.float32)
            rounded = np.clip(np.round(weights / scales[0]), -127, 127).astype(np.int8)
            many = [
                constant(f"scales{number}", scales),
                constant(f"zeros{number}", np.zeros(layers.channels, np.int8)),
            ]
            axis = 1 if is_matmul else 0  # of the output channels
            kernel = add("DequantizeLinear", [constant(f"w{number}", rounded), *many], f"wdq{number}", axis=axis)
        else:
            kernel = constant(f"w{number}", weights)
        output = "y" if number == layers.count - 1 else f"y{number}"
        name = add("MatMul", [name, kernel], output) if is_matmul else add("Conv", [name, kernel], output, pads=[1] * 4)
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, list(layers.shape)) for end in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
