"""The examples of docs/gpu.md, with a plain kernel as the network."""

import re
from pathlib import Path

import numpy as np
import pytest
from kernel_network import make_engine

from stargan_rt import Engine

TEXT = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
LIBRARIES = ("torch", "cupy", "pycuda")


def _library(block):
    return next((name for name in LIBRARIES if re.search(rf"^(import|from) {name}\b", block, re.M)), "numpy")


def test_every_library_has_an_example():
    assert {_library(block) for block in BLOCKS} == {"numpy", *LIBRARIES}


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{i}-{_library(block)}" for i, block in enumerate(BLOCKS)])
def test_examples_run(block, monkeypatch, tmp_path):
    pytest.importorskip(_library(block))
    monkeypatch.chdir(tmp_path)
    np.save("faces.npy", np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8))
    loaded = []

    def load(path, *, lanes=1, **_):
        assert path == "g.engine"
        loaded.append(make_engine(lanes=lanes))
        return loaded[-1]

    monkeypatch.setattr(Engine, "load", load)
    exec(compile(block, "docs/gpu.md", "exec"), {})
    assert loaded
