"""Several processes as one run: DistributedDataParallel under `torchrun`."""

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
    """This process among those of the run.

    Attributes:
        rank: number of this process; 0 writes the files.
        count: of all processes.
        device: where this process computes.
    """

    rank: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        return self.rank == 0

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over the processes."""
        if self.count == 1:
            return network
        # Buffers there are none; both networks are called several times before a backward pass.
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)

    @contextlib.contextmanager
    def first_one_first(self) -> Iterator[None]:
        """The first process goes through the block alone, then the others do."""
        if not self.first:
            torch.distributed.barrier()
        yield
        if self.first and self.count > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        if self.count > 1:
            torch.distributed.destroy_process_group()


def join(device: str) -> Processes:
    """Joins the run that `torchrun` started, or stands alone where it did not.

    Raises:
        InputError: a device that PyTorch does not know or can't use.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"unknown device {device!r}; use cpu or cuda") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"no GPU that PyTorch {torch.__version__} can use; leave out --device {device}")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(0, 1, device)
    if kind == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    return Processes(torch.distributed.get_rank(), count, device)
