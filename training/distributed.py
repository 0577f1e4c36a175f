"""Training in several processes: DistributedDataParallel under `torchrun`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from stargan_rt.errors import InputError


@dataclass(frozen=True)
class Processes:
    """This process and the number of processes in the run.

    Attributes:
        rank: number of this process; process 0 writes the files.
        count: number of processes.
        device: the device that this process uses.
    """

    rank: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this process prints and writes the files."""
        return self.rank == 0

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network with its gradients averaged over the processes."""
        if self.count == 1:
            return network
        # The networks have no buffers, and are called several times before a backward pass.
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    @contextlib.contextmanager
    def first_one_first(self) -> Iterator[None]:
        """Run the block in the first process, then in the others."""
        if not self.first:
            torch.distributed.barrier()
        yield
        if self.first and self.count > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        """Leave the process group."""
        if self.count > 1:
            torch.distributed.destroy_process_group()


def join(device: str) -> Processes:
    """Join the processes that `torchrun` started; without `torchrun` this is the only process.

    Raises:
        InputError: an unknown device, or CUDA where PyTorch finds no GPU.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"unknown device {device!r}; use --device cpu or --device cuda") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"PyTorch {torch.__version__} finds no CUDA GPU; use --device cpu")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(0, 1, device)
    if kind == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    return Processes(torch.distributed.get_rank(), count, device)
