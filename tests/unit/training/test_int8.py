"""The last steps of a training can run through the int8 grids that a build writes."""

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.__main__ import main as export_main
from export.graph import to_onnx
from stargan_rt import InputError, LabelSpace, Manifest
from stargan_rt.builder.config import GROUPS
from stargan_rt.builder.quantize import activation_grids, quantize
from stargan_rt.manifest import read_onnx, write_to_onnx
from training.architectures import new_generator
from training.checkpoint import TrainState, read_checkpoint
from training.config import TrainConfig
from training.data.dataset import Dataset, joint_space, to_network, to_pictures
from training.distributed import Processes
from training.int8 import Int8Generator, calibrate, convolutions
from training.trainer import train

SPACE = LabelSpace({"looks": ("Blond", "Beard"), "faces": ("happy", "sad")})
SMALL = {"label_dim": SPACE.dim, "conv_dim": 8, "blocks": 2}
ARCHITECTURES = [SMALL, {"arch": "lite", **SMALL, "stem": 2, "bottleneck": 4}]
ALONE = Processes(0, 1, "cpu")


@pytest.fixture(params=ARCHITECTURES, ids=["paper", "lite"])
def generator(request):
    torch.manual_seed(0)
    return new_generator(request.param).eval()


@pytest.fixture
def pictures(random):
    return random.integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture
def labels():
    return np.stack([SPACE.encode(name) for name in SPACE.names])


@pytest.mark.parametrize("signed", [True, False])
def test_training_computes_what_a_build_writes(generator, pictures, labels, signed):
    inputs = to_network(pictures), torch.from_numpy(labels)
    grids = calibrate(generator, [inputs], signed)
    with torch.no_grad():
        trained = to_pictures(Int8Generator(generator, grids)(*inputs)).astype(int)
        plain = to_pictures(generator(*inputs)).astype(int)

    model = to_onnx(generator, SPACE.dim, (32, 32))
    limits = {f"generator.{name}.weight": grid.limit for name, grid in grids.items()}
    write_to_onnx(Manifest(SPACE, (32, 32), "fp32", 8, 2, int8_limits=limits), model)
    written = activation_grids(model, zip(pictures, labels, strict=True), unsigned=not signed)
    by_weights = {node.input[1]: node.input[0] for node in model.graph.node if "Conv" in node.op_type}
    for name, grid in grids.items():
        found = written[by_weights[f"generator.{name}.weight"]]
        assert (found.signed, found.scale) == (grid.signed, pytest.approx(grid.scale)), name
    session = ort.InferenceSession(
        quantize(model, written, GROUPS[1:]).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    built = session.run(None, {"image": pictures, "label": labels})[0].astype(int)
    # A value on the edge between two steps may fall to either side, and shift what follows by one step.
    assert np.abs(trained - built).mean() < 0.5 * np.abs(trained - plain).mean()


def test_every_convolution_but_the_first_is_quantised_and_learns(generator, pictures, labels):
    inputs = to_network(pictures), torch.from_numpy(labels)
    Int8Generator(generator, calibrate(generator, [inputs]))(*inputs).square().mean().backward()
    names = [name for name, module in generator.named_modules() if "Conv" in type(module).__name__]
    assert list(convolutions(generator)) == names[1:]
    assert all(layer.weight.grad.abs().sum() > 0 for layer in convolutions(generator).values())


def test_the_generator_itself_stays_in_floating_point(generator, pictures, labels):
    inputs = to_network(pictures), torch.from_numpy(labels)
    with torch.no_grad():
        before = generator(*inputs)
        Int8Generator(generator, calibrate(generator, [inputs]))(*inputs)
        torch.testing.assert_close(generator(*inputs), before)


def state_of(data, **changes):
    config = TrainConfig(
        **{
            "image_size": 32,
            "conv_dim": 8,
            "blocks": 1,
            "d_conv_dim": 4,
            "d_layers": 2,
            "batch_size": 2,
            "n_critic": 1,
            "iterations": 4,
            **changes,
        }
    )
    return TrainState.fresh(config, joint_space([data]))


@pytest.fixture
def data(random):
    pixels = random.integers(0, 256, (8, 32, 32, 3), np.uint8)
    return Dataset("looks", pixels, (random.random((8, 2)) < 0.5).astype(np.float32), ("Blond", "Beard"))


def test_the_build_takes_the_grids_of_the_checkpoint(data, tmp_path):
    state = state_of(data, int8_iterations=2)
    train(state, [data], tmp_path, ALONE)
    grids = state.int8_grids
    assert list(grids) == list(convolutions(state.generator))

    config = dataclasses.replace(state.config, iterations=6, int8_iterations=4)
    resumed = TrainState.fresh(config, state.space)
    resumed.resume(tmp_path / "latest.pt")
    assert resumed.int8_grids == grids
    train(resumed, [data], tmp_path, ALONE)
    assert read_checkpoint(tmp_path / "latest.pt")["iteration"] == 6

    export_main(
        ["--checkpoint", str(tmp_path / "latest.pt"), "--output", str(tmp_path / "g.onnx")], standalone_mode=False
    )
    manifest, model = read_onnx(tmp_path / "g.onnx")
    assert manifest.int8_limits == {f"generator.{name}.weight": pytest.approx(g.limit) for name, g in grids.items()}
    initializers = {tensor.name for tensor in model.graph.initializer}
    assert set(manifest.int8_limits) <= initializers


def test_a_run_without_int8_steps_leaves_the_choice_to_the_build(data, tmp_path):
    state = state_of(data)
    train(state, [data], tmp_path, ALONE)
    assert read_checkpoint(tmp_path / "latest.pt")["int8_grids"] == {}


def test_more_int8_steps_than_steps_are_refused(data):
    with pytest.raises(InputError, match="--int8-iterations"):
        state_of(data, int8_iterations=5)


def test_int8_steps_run_in_one_process(data, tmp_path):
    state = state_of(data, int8_iterations=1)
    with pytest.raises(InputError, match="one process"):
        train(state, [data], tmp_path, Processes(0, 2, "cpu"))
