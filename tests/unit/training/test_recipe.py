import subprocess
import sys

import pytest

from stargan_rt import Engine, InputError
from training.checkpoint import read_checkpoint
from training.recipe import RECIPES, Workspace, read_recipe, run_recipe, train_config

SMALL = """
data = ["avatars?count=100&labels=happy,sad"]
image_size = {size}
conv_dim = 4
blocks = 1
d_conv_dim = 4
d_layers = 2
batch_size = 2
n_critic = 1
iterations = {iterations}
"""
RECIPE = f"""
[[stages]]
name = "small"
{SMALL.format(size=16, iterations=4)}
[[stages]]
name = "full"
init = "small"
teacher = "small"
{SMALL.format(size=32, iterations=6)}
[[stages]]
name = "faces"
kind = "export"
checkpoint = "full"
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "faces.toml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_runs_to_the_exported_file_and_continues_where_it_stopped(recipe, tmp_path):
    lines = []
    workspace = Workspace(tmp_path / "out", report=lines.append)
    stages = read_recipe(str(recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.run.train", _interrupted_after_saving)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(stages, workspace)
    assert read_checkpoint(workspace.checkpoint("small"))["iteration"] == 0
    run_recipe(stages, workspace)
    assert read_checkpoint(workspace.checkpoint("small"))["iteration"] == 4
    full = read_checkpoint(workspace.checkpoint("full"))
    assert (full["iteration"], full["image_size"]) == (6, 32)
    with Engine.load(tmp_path / "out" / "faces" / "faces.onnx") as engine:
        assert engine.labels.names == ("happy", "sad")

    lines.clear()
    run_recipe(stages, workspace)
    assert [line.partition(": ")[2] for line in lines] == ["already finished"] * 3
    recipe.write_text(RECIPE.replace("iterations = 6", "iterations = 7"))
    with pytest.raises(InputError, match="full was made with other settings"):
        run_recipe(read_recipe(str(recipe)), workspace)


def _interrupted_after_saving(state, datasets, out, processes):
    state.save(out / "latest.pt")
    raise KeyboardInterrupt


def test_a_scaled_recipe_keeps_its_stages_and_shortens_them(recipe, tmp_path):
    workspace = Workspace(tmp_path, scale=0.01)
    for path in RECIPES.values():
        stages = [stage for stage in read_recipe(str(path)) if stage.kind == "train"]
        for stage in stages:
            whole, short = train_config(stage, Workspace(tmp_path)), train_config(stage, workspace)
            assert short.iterations == round(whole.iterations / 100)
            assert short.decay_iterations == whole.decay_iterations // 100
            assert "count=80" in short.data[0]
    small = train_config(read_recipe(str(recipe))[0], workspace)
    assert small.iterations == 2
    assert small.data == ("avatars?count=64&labels=happy,sad",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("teacher = ", "tutor = "), "full has unknown settings tutor"),
        (('init = "small"', 'init = "large"'), "uses large, which is not an earlier stage"),
        (('kind = "export"', 'kind = "bake"'), "unknown kind 'bake'; known: train, distill, export"),
        (('name = "full"', 'name = "small"'), "stage 2 needs a name that no other stage has; got 'small'"),
        (("batch_size = 2", "batch_size = 0"), "batch_size must be at least 1"),
        (('checkpoint = "full"', ""), "faces needs checkpoint"),
        (("[[stages]]", "[[steps]]"), "has no stages"),
    ],
)
def test_recipes_that_are_not_valid_are_refused_before_the_first_stage(recipe, tmp_path, change, message):
    recipe.write_text(RECIPE.replace(*change))
    with pytest.raises(InputError, match=message):
        run_recipe(read_recipe(str(recipe)), Workspace(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_command(recipe, root, tmp_path):
    line = [sys.executable, "-m", "training", "recipe"]
    refused = subprocess.run([*line, "cake", "--out", "x"], cwd=root, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no recipe cake; expected one of avatars" in refused.stderr
    done = subprocess.run(
        [*line, str(recipe), f"--out={tmp_path / 'out'}", "--scale=0.5"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "faces" / "faces.onnx").exists()


@pytest.mark.slow
def test_the_bundled_recipe_runs_from_nothing_to_the_exported_file(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    run_recipe(read_recipe("avatars"), Workspace(tmp_path / "out", scale=0.0005))
    with Engine.load(tmp_path / "out" / "avatars" / "avatars.onnx") as engine, Engine.load("avatars") as bundled:
        assert engine.labels == bundled.labels
        assert engine.size == bundled.size


def test_a_student_is_distilled_from_an_earlier_stage(recipe, tmp_path):
    recipe.write_text(
        RECIPE.partition('[[stages]]\nname = "full"')[0]
        + """
[[stages]]
name = "student"
kind = "distill"
preset = "tiny"
teacher = "small"
conv_dim = 4
blocks = 1
batch_size = 2
iterations = 3
pairs = 8

[[stages]]
name = "faces"
kind = "export"
checkpoint = "student"
"""
    )
    workspace, lines = Workspace(tmp_path / "out", report=lambda line: lines.append(line)), []
    run_recipe(read_recipe(str(recipe)), workspace)
    student = read_checkpoint(workspace.checkpoint("student"))
    assert (student["iteration"], student["image_size"], student["model"]["arch"]) == (3, 16, "lite")
    with Engine.load(tmp_path / "out" / "faces" / "faces.onnx") as engine:
        assert (engine.manifest.arch, engine.labels.names) == ("lite", ("happy", "sad"))
    lines.clear()
    run_recipe(read_recipe(str(recipe)), workspace)
    assert [line.partition(": ")[2] for line in lines] == ["already finished"] * 3
