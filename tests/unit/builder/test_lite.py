"""Lite generators go through the same build as the paper's: groups, rewrites, precisions and plans."""

import numpy as np
import onnx
import pytest
import torch

from export.graph import to_onnx
from stargan_rt import Engine, LabelSpace, Manifest
from stargan_rt.builder import BuildConfig, build
from stargan_rt.builder.half import to_half
from stargan_rt.builder.quantize import layer_groups
from stargan_rt.builder.rewrite import fold_label, widen_last_convolution
from stargan_rt.manifest import read_onnx, write_to_onnx
from training.lite import LiteGenerator

SPACE = LabelSpace({"looks": ("Blond_Hair", "Beard"), "faces": ("happy", "sad")}, unspecified=0.5)


@pytest.fixture(scope="module")
def lite_model(tmp_path_factory):
    torch.manual_seed(0)
    generator = LiteGenerator(SPACE.dim, 16, 2, bottleneck=8).eval()
    model = to_onnx(generator, SPACE.dim, (32, 32))
    write_to_onnx(Manifest(SPACE, (32, 32), "fp32", 16, 2, arch="lite", stem=2, bottleneck=8), model)
    path = tmp_path_factory.mktemp("lite") / "lite.onnx"
    onnx.save(model, path)
    return path


def test_layer_groups_follow_from_the_graph(lite_model):
    groups = layer_groups(onnx.load(lite_model))
    assert {name: len(layers) for name, layers in groups.items()} == {
        "first": 1,
        "down": 2,
        "residual": 4,
        "up": 2,
        "last": 1,
    }


def test_rewrites_for_the_paper_s_generator_leave_it_unchanged(lite_model):
    model = onnx.load(lite_model)
    for rewrite in (fold_label, widen_last_convolution):
        assert rewrite(model).SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_graphs_are_strongly_typed(lite_model, precision):
    onnx.checker.check_model(to_half(onnx.load(lite_model), precision), full_check=True)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_it_builds_for_cpus(lite_model, tmp_path, backend, precision, image):
    calib = "avatars" if precision == "int8" else None
    config = BuildConfig(backend, precision, calib=calib, calib_count=12, min_psnr=25)
    made = build(lite_model, config, output=tmp_path / "lite.onnx", force=True)
    assert (made.manifest.arch, made.manifest.stem, made.manifest.bottleneck) == ("lite", 2, 8)
    with Engine.load(made.path) as engine, Engine.load(lite_model) as master:
        for name in SPACE.names:
            difference = engine.translate(image, name).astype(int) - master.translate(image, name)
            assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_rtx_compiles_it(lite_model, tmp_path, rtx, precision):
    config = BuildConfig(
        "tensorrt-rtx",
        precision,
        calib="avatars" if precision == "int8" else None,
        calib_count=12,
        min_psnr=25,
        targets=("sm86",),
    )
    made = build(lite_model, config, output=tmp_path / "lite.engine", force=True)
    assert made.manifest.arch == "lite"


def test_the_manifest_of_the_paper_s_generator_has_the_defaults(model):
    manifest, _ = read_onnx(model)
    assert (manifest.arch, manifest.stem, manifest.bottleneck) == ("paper", 1, 4)
