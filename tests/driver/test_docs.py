"""The examples of docs/gpu.md that need no other library, on the stand-in driver."""

from pathlib import Path

import numpy as np
import pytest
from documentation import python_examples
from played_engine import Network

from stargan_rt import Engine, LabelSpace
from stargan_rt.backends import tensorrt_library as library
from stargan_rt.backends.tensorrt import TensorRT

EXAMPLES = [
    text
    for text in python_examples(Path(__file__).parents[2] / "docs" / "gpu.md")
    if not any(f"import {name}" in text for name in ("torch", "cupy", "pycuda"))
]
LABELS = LabelSpace({"faces": ("Blond_Hair", "happy", "sad", "young", "angry")})


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_example_runs(example, rtx, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("faces.npy", np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8))
    (tmp_path / "g.engine").write_bytes(b"a plan")
    monkeypatch.setattr(library, "deserialise", lambda trt, data: (Network(trt), []))
    monkeypatch.setattr(TensorRT, "_check_intact", lambda self, data: None)
    real = Engine.load
    monkeypatch.setattr(
        Engine, "load", lambda path, **options: real(path, backend="tensorrt-rtx", labels=LABELS, **options)
    )
    exec(compile(example, "docs/gpu.md", "exec"), {})


def test_there_are_examples():
    assert len(EXAMPLES) == 4
