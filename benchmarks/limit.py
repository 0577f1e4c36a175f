"""What the machine can compute at most: multiplications a second of what fills it best.

A handful of large convolutions and matrix products, which need next to nothing but arithmetic, take their turns
like any contestant. The fastest one is the limit of its precision, and a row's share of it says how much a better
implementation of the same multiplications could still gain.
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
from stargan_rt.timing import call_times

CPU_PRECISIONS = ("fp32", "bf16", "int8")
GPU_PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class Layers:
    """A chain of equal layers: input and output cross its ends only, as in a network.

    Attributes:
        side: of the picture in pixels; None for a matrix product of ``channels x channels``.
        channels: in and out.
        count: of the layers.
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
        """Of input and output."""
        return (self.channels,) * 2 if self.side is None else (1, self.channels, self.side, self.side)


CHAINS = (Layers(256, 32, 6), Layers(256, 64, 2), Layers(512, 32, 2), Layers(1024, None, 4), Layers(2048, None, 1))


def macs(model: onnx.ModelProto) -> int:
    """Multiplications of a network for one picture, from the shapes in its graph.

    Convolutions, transposed ones and matrix products count; what norms and activations multiply is left out.

    Raises:
        StarGANError: a shape is not in the graph.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        if value.type.tensor_type.shape.dim:
            first = value.type.tensor_type.shape.dim[0]
            if not first.dim_value:
                first.dim_value = 1
    del fixed.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(fixed, strict_mode=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
            continue
        image, weights, output = (shapes.get(name, []) for name in (node.input[0], node.input[1], node.output[0]))
        if not all((image, weights, output)) or not all(image + weights + output):
            raise StarGANError(f"the shapes around {node.op_type} {node.name} are not in the graph; can't count it")
        if node.op_type == "ConvTranspose":  # each input value meets every weight of its channel
            total += math.prod(image) * math.prod(weights[1:])
        elif node.op_type == "Conv":
            total += math.prod(output) * math.prod(weights[1:])
        else:
            total += math.prod(output) * image[-1]
    return total


class OpenVINOLimit:
    """All chains in one precision on the CPU, as `benchmarks.workers` takes it.

    Facts: multiplications a call by chain. A turn: ms a call by chain, each the median of its calls.
    """

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
        random = np.random.default_rng(0)
        self.computed_in: set[str] = set()
        self._calls: dict[str, Callable[[], object]] = {}
        self.facts: dict[str, Any] = {"macs": {}}
        for layers in CHAINS:
            model = chain(layers, precision)
            compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", config)
            for node in compiled.get_runtime_model().get_ops():
                info = node.get_rt_info()
                if info["layerType"].astype(str) in ("Convolution", "FullyConnected", "MatMul"):
                    self.computed_in.add(info["runtimePrecision"].astype(str))
            request = compiled.create_infer_request()
            feed = {"x": random.normal(size=layers.shape).astype(np.float32)}
            self._calls[layers.name] = partial(request.infer, feed, share_inputs=True)
            self.facts["macs"][layers.name] = macs(model)

    def turn(self, calls: int) -> dict[str, float]:
        return {name: _median_ms(call, calls) for name, call in self._calls.items()}


class TorchLimit:
    """The same of a GPU, by PyTorch; int8 by matrix products alone, for it has no int8 convolution there."""

    def __init__(self, precision: str) -> None:
        import torch

        # What convolutions and TensorRT use for float32 unless told otherwise.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
        dtype = dtypes[precision]
        self._calls: dict[str, Callable[[], object]] = {}
        self.facts: dict[str, Any] = {"macs": {}}
        # A GPU is not filled by what fills a core.
        for layers in (Layers(256, 128, 4), Layers(512, 128, 2), Layers(4096, None, 2), Layers(8192, None, 1)):
            if precision == "int8" and layers.side is not None:
                continue
            shape = (layers.channels, layers.channels) + ((3, 3) if layers.side else ())
            x = torch.ones(layers.shape, dtype=dtype, device="cuda")
            weights = torch.ones(shape, dtype=dtype, device="cuda")
            once: Callable[..., Any]
            if layers.side is None:
                once = torch._int_mm if precision == "int8" else torch.matmul
            else:
                x, weights = (t.to(memory_format=torch.channels_last) for t in (x, weights))
                once = _conv2d
            self._calls[layers.name] = partial(_on_gpu, once, x, weights, layers.count)
            area = layers.side**2 * 9 if layers.side else layers.channels
            self.facts["macs"][layers.name] = layers.count * layers.channels**2 * area

    def turn(self, calls: int) -> dict[str, float]:
        return {name: _median_ms(call, calls) for name, call in self._calls.items()}


def _on_gpu(once: Callable[..., Any], x: Any, weights: Any, count: int) -> None:
    import torch

    for _ in range(count):
        once(x, weights)
    torch.cuda.synchronize()


def _conv2d(x: Any, weights: Any) -> Any:
    import torch

    return torch.nn.functional.conv2d(x, weights, padding=1)


def _median_ms(call: Callable[[], object], calls: int) -> float:
    # The machine has few programs that large, and each call is long: half as many calls tell as much.
    return float(np.median(call_times(call, warm_up=1, max_calls=max(2, calls // 2), max_seconds=math.inf)))


def chain(layers: Layers, precision: str) -> onnx.ModelProto:
    """The graph, float32 ``x`` of `Layers.shape` in and out; in int8 with the Q/DQ pairs of `stargan_rt.builder`."""
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
    axis = 1 if is_matmul else 0  # of the output channels
    shape = (layers.channels, layers.channels) + (() if is_matmul else (3, 3))
    spread = 1 / math.sqrt(math.prod(shape) / layers.channels)  # values neither grow nor vanish from layer to layer
    name = "x"
    for number in range(layers.count):
        weights = (random.normal(size=shape) * spread).astype(np.float32)
        if precision == "int8":
            one = [constant(f"scale{number}", np.float32(4 / 127)), constant(f"zero{number}", np.int8(0))]
            name = add("QuantizeLinear", [name, *one], f"q{number}")
            name = add("DequantizeLinear", [name, *one], f"dq{number}")
            scales = np.full(layers.channels, 4 * spread / 127, np.float32)
            whole = np.clip(np.round(weights / scales[0]), -127, 127).astype(np.int8)
            many = [
                constant(f"scales{number}", scales),
                constant(f"zeros{number}", np.zeros(layers.channels, np.int8)),
            ]
            kernel = add("DequantizeLinear", [constant(f"w{number}", whole), *many], f"wdq{number}", axis=axis)
        else:
            kernel = constant(f"w{number}", weights)
        output = "y" if number == layers.count - 1 else f"y{number}"
        name = add("MatMul", [name, kernel], output) if is_matmul else add("Conv", [name, kernel], output, pads=[1] * 4)
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, list(layers.shape)) for end in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
