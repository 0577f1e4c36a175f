"""The inference graph: uint8 images in and out, float32 in between."""

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
    """A generator with uint8 images as input and output.

    TensorRT supports uint8 only at inputs and outputs: the first node after `image` and the last before
    `translated` are Casts, and transposes work on floats. Its cast to uint8 truncates, so Round comes first.
    """

    def __init__(self, generator: AnyGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate images, uint8 ``(n, H, W, 3)`` RGB, to labels, float32 ``(n, c)``; uint8 ``(n, H, W, 3)`` RGB."""
        y = self.generator(self.scaled(image), label).permute(0, 2, 3, 1)
        out: Tensor = ((y + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8)
        return out

    @staticmethod
    def scaled(image: Tensor) -> Tensor:
        """Convert uint8 ``(n, H, W, 3)`` to float32 ``(n, 3, H, W)`` in [-1, 1]."""
        out: Tensor = (image.float() / 127.5 - 1.0).permute(0, 3, 1, 2)
        return out


def to_onnx(generator: AnyGenerator, label_dim: int, size: tuple[int, int]) -> onnx.ModelProto:
    """Export and simplify a generator; the batch is dynamic, height and width are fixed.

    Args:
        generator: the generator.
        label_dim: length of its label vectors.
        size: (height, width) of the images.

    Raises:
        ExportError: the graph has other normalisation layers than the generator, or simplification changed results.
    """
    graph = InferenceGraph(generator).eval()
    image = torch.zeros(2, *size, 3, dtype=torch.uint8)
    label = torch.zeros(2, label_dim)
    batch = torch.export.Dim("batch", min=1)
    # The exporter warns that torchvision is missing, which is not needed.
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
    assert program is not None  # dynamo=True returns a program
    model: onnx.ModelProto
    model, simplified = onnxsim.simplify(program.model_proto)
    if not simplified:
        raise ExportError("the graph simplified by onnxsim gives other results; install another version of onnxsim")
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Remove module names and source lines: they contain paths of this machine and are not needed to run the model.
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
    """Check that no norm became a BatchNormalization with running statistics, which would change the results."""
    norms = sum(isinstance(module, nn.InstanceNorm2d) for module in generator.modules())
    found = Counter(node.op_type for node in model.graph.node)
    if found["InstanceNormalization"] != norms or found["BatchNormalization"]:
        raise ExportError(
            f"the exported graph has {found['InstanceNormalization']} InstanceNormalization and "
            f"{found['BatchNormalization']} BatchNormalization nodes; expected {norms} and 0"
        )
