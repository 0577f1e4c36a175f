"""PyTorch on the CPU and on a GPU: eager, compiled, and captured as a CUDA graph; from array to array on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.case import Case
from benchmarks.peers import Runner
from benchmarks.peers.arrays import to_image, to_network
from stargan_rt.images import Pixels

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TF32 = "TF32 in convolutions, PyTorch's default"


def eager(case: Case, precision: str = "fp32", device: str = "cpu", channels_last: bool = False) -> Runner:
    """Run the network as it is, or in channels-last, the layout that oneDNN computes in."""
    network = _network(case, precision, device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return _runner(network.to(memory_format=layout), precision, device, layout)  # type: ignore[call-overload]


def compiled(case: Case, precision: str, mode: str | None, device: str = "cpu") -> Runner:
    """Run `torch.compile`; on the CPU with frozen weights, which Inductor then lays out once for all calls.

    On a GPU, ``mode="max-autotune"`` captures CUDA graphs too.
    """
    import torch._inductor.config as inductor

    inductor.freezing = device == "cpu"
    return _runner(torch.compile(_network(case, precision, device), mode=mode), precision, device)


@torch.inference_mode()
def graphs(case: Case, precision: str) -> Runner:
    """Replay one captured CUDA graph, with cuDNN's fastest algorithms, in channels-last."""
    torch.backends.cudnn.benchmark = True
    dtype, layout = DTYPES[precision], torch.channels_last
    network = _network(case, precision, "cuda").to(memory_format=layout)  # type: ignore[call-overload]
    image, label = (torch.from_numpy(array[None]).cuda() for array in case.judged()[0])
    x = image.permute(0, 3, 1, 2).to(dtype).contiguous(memory_format=layout)
    c = label.to(dtype)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # work that is done once must not be captured
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

    return _runner(replay, precision, "cuda", layout)


def _network(case: Case, precision: str, device: str) -> torch.nn.Module:
    torch.set_num_threads(case.threads)
    return case.generator().to(device, DTYPES[precision])


def _runner(
    network: Callable[[Tensor, Tensor], Tensor],
    precision: str,
    device: str,
    layout: torch.memory_format = torch.contiguous_format,
) -> Runner:
    dtype = DTYPES[precision]

    @torch.inference_mode()
    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        x = torch.from_numpy(to_network(image)).to(device).to(dtype=dtype, memory_format=layout)
        y = network(x, torch.from_numpy(label[None]).to(device, dtype))
        return to_image(y.float().cpu().numpy())  # .cpu() waits for the GPU

    return Runner(translate, precision, TF32 if device == "cuda" and precision == "fp32" else "")
