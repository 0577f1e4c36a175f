"""The inference graph: uint8 pictures in, uint8 pictures out, everything between in float32."""

from __future__ import annotations

import logging
import warnings
from collections import Counter

import onnx
import onnxsim
import torch
from torch import Tensor, nn

from stargan_rt.errors import ExportError
from stargan_rt.manifest import IMAGE, LABEL, TRANSLATED
from training.architectures import AnyGenerator

OPSET = 18


class InferenceGraph(nn.Module):
    """The generator between pictures.

    TensorRT knows uint8 at the border only: the first node behind `image` and the last before
    `translated` are Casts, and transposes see floats. A cast to uint8 truncates there, hence the Round.
    """

    def __init__(self, generator: AnyGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """uint8 ``(n, H, W, 3)`` RGB and float32 ``(n, c)`` → uint8 ``(n, H, W, 3)`` RGB."""
        y = self.generator(self.scaled(image), label).permute(0, 2, 3, 1)
        return ((y + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8)

    @staticmethod
    def scaled(image: Tensor) -> Tensor:
        """uint8 ``(n, H, W, 3)`` → float32 ``(n, 3, H, W)`` in [-1, 1]."""
        return (image.float() / 127.5 - 1.0).permute(0, 3, 1, 2)


def to_onnx(generator: AnyGenerator, label_dim: int, size: tuple[int, int]) -> onnx.ModelProto:
    """Exports and simplifies; the batch is dynamic, height and width are fixed.

    Raises:
        ExportError: the graph is not the network it should be.
    """
    graph = InferenceGraph(generator).eval()
    image = torch.zeros(2, *size, 3, dtype=torch.uint8)
    label = torch.zeros(2, label_dim)
    batch = torch.export.Dim("batch", min=1)
    # It warns that torchvision, which has no part in this, is missing.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph,
            (image, label),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGE, LABEL],
            output_names=[TRANSLATED],
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    model, simplified = onnxsim.simplify(program.model_proto)
    if not simplified:
        raise ExportError("onnxsim's simplified graph computes something else; try another version of onnxsim")
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Names of modules and source lines help nobody who runs the model, and tell of the machine that made it.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    _check_operators(model, generator)
    return model


def _check_operators(model: onnx.ModelProto, generator: AnyGenerator) -> None:
    """A norm with running statistics would be exported as BatchNormalization: other pictures, silently."""
    norms = sum(isinstance(module, nn.InstanceNorm2d) for module in generator.modules())
    found = Counter(node.op_type for node in model.graph.node)
    if found["InstanceNormalization"] != norms or found["BatchNormalization"]:
        raise ExportError(
            f"the exported graph has {found['InstanceNormalization']} InstanceNormalization and "
            f"{found['BatchNormalization']} BatchNormalization nodes; expected {norms} and 0"
        )
