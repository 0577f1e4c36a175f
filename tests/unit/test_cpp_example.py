"""examples/cpp: the labels of a manifest are read and encoded as in Python."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from stargan_rt import LabelError, LabelSpace, Manifest

COMPILER = next(filter(shutil.which, ("c++", "g++", "clang++")), None)
HAIR = ("Black_Hair", "Blond_Hair")
SPACES = {
    "one": LabelSpace(
        {"faces": ("Black_Hair", "Blond_Hair", "Beard", "happy")}, {"hair": ("Black_Hair", "Blond_Hair")}
    ),
    "joint": LabelSpace(
        {"looks": ("Blond_Hair", "Young", "happy"), "faces": ("happy", "sad", "überrascht 😀")},
        {"expression": ("faces:happy", "sad", "überrascht 😀")},
        unspecified=0.5,
    ),
}
REQUESTS = {
    "one": ["Blond_Hair", " blond_hair ,HAPPY", "Beard=0.7, Black_Hair=0", "faces:Beard", "happy=1e-1,"],
    "joint": ["Young", "sad, Blond_Hair=0.25", "looks:happy, faces:happy", "überrascht 😀=0.5", "faces:sad"],
}


@pytest.fixture(scope="module")
def program(root, tmp_path_factory):
    if COMPILER is None:
        pytest.skip("needs a C++ compiler")
    path = tmp_path_factory.mktemp("cpp") / "labels"
    source = root / "examples" / "cpp" / "labels.cpp"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([COMPILER, *flags, "-o", str(path), str(source)], check=True)
    return path


@pytest.fixture(params=SPACES)
def manifest(request, tmp_path):
    space = SPACES[request.param]
    path = tmp_path / "g.engine.json"
    path.write_text(json.dumps(Manifest(space, (128, 96), "fp16", 8, 1).to_dict()))
    return request.param, space, path


def test_vectors_are_those_of_python(program, manifest):
    name, space, path = manifest
    for label in REQUESTS[name]:
        done = subprocess.run([program, path, label], capture_output=True, text=True, check=True)
        vectors = [np.array(line.split(), np.float32) for line in done.stdout.splitlines()]
        np.testing.assert_array_equal(vectors, space.passes(label))


@pytest.mark.parametrize("label", ["Purple", "Blond_Hair=2", "Blond_Hair=x", "", "Blond_Hair, Blond_Hair"])
def test_what_python_refuses_is_refused(program, manifest, label):
    _, space, path = manifest
    with pytest.raises(LabelError):
        space.passes(label)
    done = subprocess.run([program, path, label], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_labels_that_exclude_each_other_are_refused(program, tmp_path):
    path = tmp_path / "g.engine.json"
    path.write_text(json.dumps(Manifest(SPACES["one"], (128, 96), "fp16", 8, 1).to_dict()))
    done = subprocess.run([program, path, "Black_Hair, Blond_Hair"], capture_output=True, text=True)
    assert (done.returncode, "exclude each other" in done.stderr) == (1, True)


@pytest.mark.parametrize("text", ["", "{", '{"version": 1}', '{"version": 2}', "[1, 2", '{"version": "\\u00"}', "{} x"])
def test_a_damaged_file_is_an_error(program, tmp_path, text):
    (tmp_path / "g.json").write_text(text)
    done = subprocess.run([program, tmp_path / "g.json", "happy"], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "manifest" in done.stderr or "version" in done.stderr
