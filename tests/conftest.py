"""Small real models, made once a run."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from stargan_rt import Engine, LabelSpace

# PyTorch takes seconds to import, and many a test module, run by itself, needs none of it: see the fixtures.

# The networks of the tests are so small that threads of PyTorch only wait for each other. It reads this on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

SPACE = LabelSpace(
    {"faces": ("Black_Hair", "Blond_Hair", "Beard", "happy", "sad")},
    {"hair": ("Black_Hair", "Blond_Hair"), "expression": ("happy", "sad")},
)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of our trainer before its first step: conv 8, one block, 32x32."""
    import torch

    from training.checkpoint import TrainState
    from training.config import TrainConfig

    config = TrainConfig(image_size=32, conv_dim=8, blocks=1, d_conv_dim=8, d_layers=3)
    path = tmp_path_factory.mktemp("run") / "latest.pt"
    state = TrainState.fresh(config, SPACE)
    with torch.no_grad():  # fresh weights answer faintly; louder ones make differences between labels visible
        for network in (state.generator, state.averaged):
            network.main[0].weight[:, 3:].mul_(10)
            network.main[-2].weight.mul_(10)
    state.save(path)
    return path


@pytest.fixture(scope="session")
def model(checkpoint: Path) -> Path:
    """The ONNX file of `checkpoint`, exported as a user would."""
    from export.__main__ import main as export_main

    path = checkpoint.with_name("g.onnx")
    export_main(["--checkpoint", str(checkpoint), "--output", str(path)], standalone_mode=False)
    return path


@pytest.fixture(scope="session")
def joint_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two data sets with mask vectors, otherwise like `model`."""
    from export.__main__ import main as export_main
    from training.checkpoint import TrainState
    from training.config import TrainConfig

    config = TrainConfig(image_size=32, conv_dim=8, blocks=1, d_conv_dim=8, d_layers=3)
    space = LabelSpace({"looks": ("Blond_Hair", "Beard"), "faces": ("happy", "sad")})
    path = tmp_path_factory.mktemp("joint") / "latest.pt"
    TrainState.fresh(config, space).save(path)
    export_main(["--checkpoint", str(path), "--output", str(path.with_name("g.onnx"))], standalone_mode=False)
    return path.with_name("g.onnx")


@pytest.fixture(params=["openvino", "onnxruntime"])
def engine(request: pytest.FixtureRequest, model: Path):
    with Engine.load(model, backend=request.param) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def rtx():
    """The module of TensorRT-RTX, which compiles without a GPU."""
    return pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX: pip install 'stargan-rt[tensorrt-rtx]'")


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def image(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (32, 32, 3), np.uint8)
