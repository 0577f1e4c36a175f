"""PyTorch and ONNX Runtime on a GPU, from an array on the host to an array on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.case import Case
from benchmarks.peers import Runner, Translate
from benchmarks.peers.arrays import to_network, to_picture
from benchmarks.peers.pytorch import DTYPES
from stargan_rt.images import Pixels
from stargan_rt.manifest import IMAGE, LABEL

Network = Callable[[Tensor, Tensor], Tensor]
TF32 = "TF32 in convolutions, PyTorch's default"


def eager(case: Case, precision: str) -> Runner:
    """The network as it is."""
    dtype = DTYPES[precision]
    return _runner(_network(case, dtype), dtype, precision)


def compiled(case: Case, precision: str) -> Runner:
    """`torch.compile` with max-autotune, which captures CUDA graphs too."""
    dtype = DTYPES[precision]
    return _runner(torch.compile(_network(case, dtype), mode="max-autotune"), dtype, precision)


@torch.inference_mode()
def graphs(case: Case, precision: str) -> Runner:
    """One captured CUDA graph, with cuDNN's fastest algorithms, channels-last."""
    torch.backends.cudnn.benchmark = True
    dtype, layout = DTYPES[precision], torch.channels_last
    network = _network(case, dtype).to(memory_format=layout)  # type: ignore[call-overload]
    image, label = (torch.from_numpy(array[None]).cuda() for array in case.judged()[0])
    x = image.permute(0, 3, 1, 2).to(dtype).contiguous(memory_format=layout)
    c = label.to(dtype)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is done once must not be captured
        for _ in range(3):
            network(x, c)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = network(x, c)

    def replay(image: Tensor, label: Tensor) -> Tensor:
        x.copy_(image)
        c.copy_(label)
        graph.replay()
        return y

    return _runner(replay, dtype, precision)


def onnxruntime(case: Case) -> Runner:
    """The float graph on the CUDA execution provider."""
    import onnxruntime as ort

    session = ort.InferenceSession(case.plain, providers=["CUDAExecutionProvider"])
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError("ONNX Runtime fell back to the CPU: its CUDA libraries do not load")

    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        return to_picture(session.run(None, {IMAGE: to_network(image), LABEL: label[None]})[0])

    return Runner(translate, "fp32", "TF32, its default")


def _network(case: Case, dtype: torch.dtype) -> torch.nn.Module:
    return case.generator().to("cuda", dtype)


def _runner(network: Network, dtype: torch.dtype, precision: str) -> Runner:
    return Runner(_between_arrays(network, dtype), precision, TF32 if precision == "fp32" else "")


def _between_arrays(network: Network, dtype: torch.dtype) -> Translate:
    @torch.inference_mode()
    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        x = torch.from_numpy(to_network(image)).cuda().to(dtype)
        y = network(x, torch.from_numpy(label[None]).cuda().to(dtype))
        return to_picture(y.float().cpu().numpy())  # .cpu() waits

    return translate
