"""`RunOptions`: how a backend runs a network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunOptions:
    """How a backend runs a network; what the network is stands in its `Manifest`.

    Attributes:
        threads: CPU threads; None leaves the choice to the library.
        lanes: number of calls that may run concurrently. On a CPU the lanes share the threads.
        precision: the precision that the graph was typed for; None takes the one in the manifest.
        device: where to run, such as ``"cpu"`` or ``"cuda:1"``; None takes the backend's first device.
        graphs: on a GPU, replay calls as captured CUDA graphs; otherwise every call enqueues kernel by kernel.
    """

    threads: int | None = None
    lanes: int = 1
    precision: str | None = None
    graphs: bool = True
    device: int | str | None = None


DEFAULTS = RunOptions()
