"""A check that the activations of a graph fit into fp16, for plans that can't be run where they are built."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from stargan_rt.builder.half import inside
from stargan_rt.errors import BuildError
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL

LARGEST = 30_000.0
"""The largest activation that is accepted: less than half of 65,504, the largest number of fp16."""


def check_range(model: onnx.ModelProto, pairs: Iterable[tuple[Pixels, npt.NDArray[np.float32]]]) -> None:
    """Run a float32 graph on images and labels, and refuse activations that may overflow in fp16.

    The comparison of images can't be relied on for this: on a CPU, ONNX Runtime computes some fp16 operators in
    float32, and a norm after an overflow hides it.

    Args:
        model: float32, as it was before fp16 was written into it.
        pairs: images uint8 ``(H, W, 3)`` RGB and label vectors float32 ``(c,)``.

    Raises:
        BuildError: naming the tensor and its largest value.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = sorted(inside(model.graph))
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for image, label in pairs:
        values = session.run(names, {IMAGE: image[None], LABEL: label[None]})
        for name, value in zip(names, values, strict=True):
            if value.dtype == np.float32 and (largest := float(np.abs(value).max())) > LARGEST:
                raise BuildError(
                    f"the activations of {name} reach {largest:,.0f}, which is too near to 65,504, the largest "
                    "number of fp16; nothing was written. Build with --fp32 or --bf16, or where the GPU "
                    "is, so that the plan itself is judged"
                )
