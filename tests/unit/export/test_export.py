import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from export.__main__ import main as export_main
from export.generator import load_generator
from export.graph import InferenceGraph, to_onnx
from export.parity import prove
from stargan_rt import Engine, ExportError, InputError, LabelSpace
from stargan_rt.images import read_image, resize
from stargan_rt.manifest import read_onnx
from stargan_rt.models import bundled_samples
from training.data.dataset import to_network
from training.model import Generator


class UpstreamGenerator(Generator):
    """The authors' generator: norms that track running statistics, never switched to evaluation."""

    def __init__(self, label_dim, conv_dim, blocks):
        super().__init__(label_dim, conv_dim, blocks)
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, nn.InstanceNorm2d(child.num_features, affine=True, track_running_stats=True))


@pytest.fixture
def upstream():
    torch.manual_seed(0)
    generator = UpstreamGenerator(5, 8, 6)
    with torch.no_grad():
        generator.main[0].weight[:, 3:].mul_(10)
        for _ in range(3):  # running statistics of other images than will be translated
            generator(torch.rand(2, 3, 32, 32) * 0.2, torch.rand(2, 5))
    return generator


LABELS = "Black_Hair,Blond_Hair,Brown_Hair,Male,Young"


def save(state, path, prefix=""):
    torch.save({prefix + key: value for key, value in state.items()}, path)
    return path


def export(*arguments, root):
    line = [sys.executable, "-m", "export", *map(str, arguments)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, check=False)


def test_upstream_checkpoints_export_to_the_pictures_of_their_training_mode(upstream, tmp_path, root, random):
    path = save(upstream.state_dict(), tmp_path / "200000-G.ckpt", prefix="module.")
    out = tmp_path / "g.onnx"
    done = export("--checkpoint", path, "--output", out, "--labels", LABELS, "--image-size", "32", root=root)
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stdout

    images = random.integers(0, 256, (5, 32, 32, 3), np.uint8)
    with Engine.load(out) as engine:
        assert engine.labels.groups == {"hair": ("Black_Hair", "Blond_Hair", "Brown_Hair")}
        for name in engine.labels.names:
            got = engine.translate(images, name)
            label = torch.from_numpy(engine.labels.encode(name)).repeat(5, 1)
            with torch.no_grad():
                in_training = InferenceGraph(upstream.train())(torch.from_numpy(images), label).numpy()
                evaluated = InferenceGraph(upstream.eval())(torch.from_numpy(images), label).numpy()
            assert np.abs(got.astype(int) - in_training).max() <= 1
            assert np.abs(got.astype(int) - evaluated).mean() > 5, "the trap is not there: the test proves nothing"


def test_a_standard_generator_has_17_instance_norms_and_a_dynamic_batch():
    model = to_onnx(Generator(5, 8, 6).eval(), 5, (32, 32))
    found = Counter(node.op_type for node in model.graph.node)
    assert found["InstanceNormalization"] == 17
    assert found["BatchNormalization"] == 0
    assert found["Conv"] == 16
    assert found["ConvTranspose"] == 2
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 32, 32, 3]
    assert not list(model.metadata_props)


def test_uint8_lives_at_the_border_only():
    # TensorRT takes uint8 tensors only between an input or output and a Cast.
    model = to_onnx(Generator(5, 8, 1).eval(), 5, (32, 32))
    assert [n.op_type for n in model.graph.node if "image" in n.input] == ["Cast"]
    assert [n.op_type for n in model.graph.node if "translated" in n.output] == ["Cast"]
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    assert onnx.TensorProto.UINT8 not in types.values()


def test_our_checkpoints_need_no_flags(model):
    manifest, _ = read_onnx(model)
    assert manifest.size == (32, 32)
    assert manifest.labels.groups["hair"] == ("Black_Hair", "Blond_Hair")
    assert manifest.source["weights"] == "averaged"


def test_a_size_other_than_square(checkpoint, tmp_path, root, image):
    out = tmp_path / "g.onnx"
    assert export("--checkpoint", checkpoint, "--output", out, "--image-size", "48x32", root=root).returncode == 0
    with Engine.load(out) as engine:
        assert engine.size == (32, 48)
        assert engine.translate(image, "happy").shape == (32, 48, 3)


def test_jointly_trained_upstream_checkpoints(tmp_path):
    torch.manual_seed(0)
    path = save(UpstreamGenerator(5 + 3 + 2, 8, 2).state_dict(), tmp_path / "G.ckpt")
    loaded = load_generator(path, [f"CelebA:{LABELS}", "RaFD:angry,happy,sad"])
    assert list(loaded.space.datasets) == ["CelebA", "RaFD"]
    assert loaded.space.groups["expression"] == ("angry", "happy", "sad")
    assert loaded.space.groups["hair"] == ("Black_Hair", "Blond_Hair", "Brown_Hair")
    assert loaded.space.dim == 10
    assert loaded.space.encode("happy").tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_parity_refuses_and_names_the_largest_difference(upstream):
    space = LabelSpace({"a": tuple("abcde")})
    generator = Generator(5, 8, 6).eval()
    model = to_onnx(generator, 5, (32, 32))
    assert prove(model, generator, space, (32, 32))["max_levels"] <= 1
    with torch.no_grad():
        generator.main[-2].weight.mul_(1.2)
    with pytest.raises(ExportError, match=r"differs from PyTorch by up to \d+ levels of 255 \(label . batch|label"):
        prove(model, generator, space, (32, 32))


def test_parity_refuses_a_generator_whose_pictures_are_lost():
    generator = Generator(5, 8, 1).eval()
    with torch.no_grad():
        generator.main[0].weight.mul_(1e38)
    model = to_onnx(generator, 5, (32, 32))
    with pytest.raises(ExportError, match=r"not finite|differs from PyTorch"):
        prove(model, generator, LabelSpace({"a": tuple("abcde")}), (32, 32))


def test_an_export_that_fails_writes_nothing(checkpoint, tmp_path, monkeypatch):
    from export import __main__ as program
    from export import parity

    monkeypatch.setattr(parity, "MAX_LEVELS", -1)
    with pytest.raises(ExportError, match="nothing was written"):
        program.main(["--checkpoint", str(checkpoint), "--output", str(tmp_path / "g.onnx")], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_a_norm_with_running_statistics_is_refused():
    generator = Generator(5, 8, 1)
    generator.main[1] = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
    with pytest.raises(ExportError, match="6 InstanceNormalization and 1 BatchNormalization nodes; expected 7 and 0"):
        to_onnx(generator.eval(), 5, (32, 32))


def test_wrong_checkpoints_and_labels_are_refused(upstream, tmp_path, root):
    good = save(upstream.state_dict(), tmp_path / "G.ckpt")
    discriminator = save({"main.0.weight": torch.zeros(8, 3, 4, 4)}, tmp_path / "D.ckpt")
    other = save({"layer1.weight": torch.zeros(2)}, tmp_path / "resnet.pt")
    lost = upstream.state_dict() | {"main.21.weight": torch.full((3, 8, 7, 7), float("nan"))}
    half = {k: v for k, v in upstream.state_dict().items() if not k.startswith("main.18")}
    for arguments, message in (
        ((good,), "without names for its 5 labels"),
        ((good, ["A,B"]), "takes a label vector of 5 values, but 2 labels in 1 data set"),
        ((good, [LABELS, LABELS]), "make 12"),
        ((good, ["x:A,B", "x:C"]), "names the data set .x. twice"),
        ((discriminator, [LABELS]), "not a StarGAN generator"),
        ((other, [LABELS]), "found layer1.weight"),
        ((save(half, tmp_path / "half.ckpt"), [LABELS]), "layout of a StarGAN generator"),
        ((save(lost, tmp_path / "lost.ckpt"), [LABELS]), "not finite: main.21.weight"),
        ((save({"state_dict": upstream.state_dict()}, tmp_path / "nested.ckpt"), [LABELS]), "under the key"),
    ):
        with pytest.raises(ExportError, match=message):
            load_generator(*arguments)
    with pytest.raises(InputError, match="no checkpoint"):
        load_generator(tmp_path / "missing.pt")
    for arguments, code, message in (
        (("--checkpoint", good, "--output", tmp_path / "g.txt", "--labels", LABELS), 2, "must end in .onnx"),
        (("--checkpoint", good, "--output", tmp_path / "g.onnx", "--image-size", "30"), 2, "multiples of 4"),
        (("--checkpoint", other, "--output", tmp_path / "g.onnx"), 1, "not a StarGAN generator"),
    ):
        done = export(*arguments, root=root)
        assert done.returncode == code
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "g.onnx").exists()


def test_our_checkpoints_know_their_labels(checkpoint):
    with pytest.raises(ExportError, match="leave out --labels"):
        load_generator(checkpoint, ["a,b"])


def test_norm_modes_are_told_apart_by_what_they_change(tmp_path):
    """A generator that reproduces its input with one mode and not with the other."""
    torch.manual_seed(0)
    generator = UpstreamGenerator(2, 8, 1)
    image = to_network(np.stack([resize(read_image(p), (64, 64)) for p in bundled_samples()]))
    optimizer = torch.optim.Adam(generator.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (generator(image, torch.zeros(len(image), 2)) - image).abs().mean().backward()
        optimizer.step()
    state = generator.state_dict()
    for key in state:  # statistics of pictures that were never seen, as after a change of domain
        if key.endswith("running_var"):
            state[key] = torch.full_like(state[key], 50.0)
    path = save(state, tmp_path / "G.ckpt")
    result = CliRunner().invoke(
        export_main, ["norms", "--checkpoint", str(path), "--labels", "a,b", "--output", str(tmp_path / "modes.png")]
    )
    assert "right: instance statistics, which export uses" in result.output
    assert (tmp_path / "modes.png").exists()


def test_a_checkpoint_without_running_statistics_needs_no_picture(checkpoint, tmp_path):
    result = CliRunner().invoke(export_main, ["norms", "--checkpoint", str(checkpoint)])
    assert "no running statistics" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--checkpoint and --output are required"),
        (["--checkpoint", "G.ckpt"], "--checkpoint and --output are required"),
        (["--checkpoint", "G.ckpt", "norms", "--checkpoint", "G.ckpt"], "options of norms go after its name"),
    ],
)
def test_missing_options_of_the_command_are_named(arguments, message):
    result = CliRunner().invoke(export_main, arguments)
    assert result.exit_code == 2
    assert message in result.output
