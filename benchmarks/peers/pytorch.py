"""PyTorch on the CPU: eager, channels-last in bf16, and compiled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.case import Case
from benchmarks.peers import Runner, Translate
from benchmarks.peers.arrays import to_network, to_picture
from stargan_rt.images import Pixels

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def eager(case: Case) -> Runner:
    """The network as it is."""
    torch.set_num_threads(case.threads)
    return Runner(_between_arrays(case.generator(), torch.float32), "fp32")


def channels_last(case: Case) -> Runner:
    """Network and picture in bf16 and channels-last, the layout that oneDNN computes in."""
    torch.set_num_threads(case.threads)
    layout = torch.channels_last
    network = case.generator().to(torch.bfloat16).to(memory_format=layout)  # type: ignore[call-overload]
    return Runner(_between_arrays(network, torch.bfloat16, layout), "bf16")


def compiled(case: Case, precision: str, mode: str | None) -> Runner:
    """`torch.compile` with frozen weights, which Inductor then lays out once for all calls.

    Args:
        case: the generator.
        precision: ``"fp32"`` or ``"bf16"``.
        mode: of `torch.compile`.
    """
    import torch._inductor.config as inductor

    torch.set_num_threads(case.threads)
    inductor.freezing = True
    dtype = DTYPES[precision]
    return Runner(_between_arrays(torch.compile(case.generator().to(dtype), mode=mode), dtype), precision)


def _between_arrays(
    network: Callable[[Tensor, Tensor], Tensor],
    dtype: torch.dtype,
    layout: torch.memory_format = torch.contiguous_format,
) -> Translate:
    @torch.inference_mode()
    def translate(image: Pixels, label: npt.NDArray[np.float32]) -> Pixels:
        x = torch.from_numpy(to_network(image)).to(dtype=dtype, memory_format=layout)
        y = network(x, torch.from_numpy(label[None]).to(dtype))
        return to_picture(y.float().numpy())

    return translate
