"""`BenchConfig`: what `stargan-rt bench` measures."""

from __future__ import annotations

from dataclasses import dataclass

from stargan_rt.settings import check, setting


@dataclass(frozen=True)
class BenchConfig:
    """Settings of a benchmark of one engine; the help texts are the documentation of the fields."""

    seconds: float = setting(
        3.0, "Time for each scenario; a sweep divides it among its points.", at_least=0.2, metavar="SECONDS"
    )
    batches: tuple[int, ...] = setting((1, 2, 4, 8), "Batch sizes of the throughput sweep.", at_least=1)
    callers: tuple[int, ...] = setting((1, 2, 4), "Numbers of threads that call the engine concurrently.", at_least=1)

    def __post_init__(self) -> None:
        check(self)
