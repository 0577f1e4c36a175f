from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from stargan_rt import InputError
from stargan_rt.settings import check, setting


@dataclass(frozen=True)
class Example:
    size: int = setting(8, "Size.", at_least=1)
    level: int | None = setting(None, "Level.", at_least=0, at_most=5)
    rate: float = setting(1.0, "Rate.", at_least=0)
    decay: float = setting(0.9, "Decay.", at_least=0, below=1)
    backend: str = setting("auto", "Backend.", choices=("auto", "cpu"))
    precision: str = setting("fp16", "Precision.", choices={"fp32": "Single.", "fp16": "Half."})
    folder: str | None = setting(None, "Folder.")
    names: tuple[str, ...] = setting((), "Names.", flag="name")
    counts: tuple[int, ...] = setting((1, 2), "Counts.", at_least=1)
    compile: bool = setting(False, "Compile.")

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "size must be at least 1; got 0 (set it with --size)"),
        ({"size": 1.5}, "size must be a whole number; got 1.5 (set it with --size)"),
        ({"size": True}, "size must be a whole number; got True (set it with --size)"),
        ({"size": None}, "size must be a whole number; got None (set it with --size)"),
        ({"level": 6}, "level must lie in [0, 5]; got 6 (set it with --level)"),
        ({"rate": -1}, "rate must be at least 0 and finite; got -1 (set it with --rate)"),
        ({"rate": float("nan")}, "rate must be at least 0 and finite; got nan (set it with --rate)"),
        ({"rate": "fast"}, "rate must be a number; got 'fast' (set it with --rate)"),
        ({"decay": 1.0}, "decay must lie in [0, 1); got 1.0 (set it with --decay)"),
        ({"backend": "tpu"}, "backend must be one of auto, cpu; got 'tpu' (set it with --backend)"),
        ({"precision": "fp8"}, "precision must be one of fp32, fp16; got 'fp8' (set it with --fp32 or --fp16)"),
        ({"folder": 3}, "folder must be text; got 3 (set it with --folder)"),
        ({"names": "a"}, "names must be a list; got 'a' (set it with --name)"),
        ({"counts": [2, 0]}, "counts must be at least 1; got (2, 0) (set it with --counts)"),
        ({"compile": 1}, "compile must be true or false; got 1 (set it with --compile)"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_the_flag(given, message):
    with pytest.raises(InputError) as caught:
        Example(**given)
    assert str(caught.value) == message


def test_values_are_kept_as_plain_data():
    example = Example(rate=3, folder=Path("faces"), names=["a", Path("b")], level=None)
    assert (example.rate, example.folder, example.names, example.level) == (3, "faces", ("a", "b"), None)
