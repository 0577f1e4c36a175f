"""`stargan-rt translate --faces` and `stargan-rt detector`, in processes of their own."""

import os
import subprocess
import sys

import numpy as np
import pytest
from face_fixtures import astronaut, detector, detector_file

from stargan_rt import Engine
from stargan_rt.images import read_image, write_image
from stargan_rt.mark import read_metadata

__all__ = ["astronaut", "detector", "detector_file"]


def cli(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", "from stargan_rt.cli import entry; entry()", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=200,
    )


@pytest.fixture
def photo(tmp_path, astronaut):
    path = tmp_path / "photo.png"
    write_image(path, astronaut)
    return path


def test_a_photo(model, photo, astronaut, detector, tmp_path, detector_file):
    out = tmp_path / "out.png"
    line = ("translate", photo, "--faces", "largest", "--engine", model, "--label", "happy", "--output", out)
    done = cli(*line, "--detector", detector_file)
    assert done.returncode == 0, done.stderr
    result = read_image(out)
    (face,) = detector.find(astronaut)[:1]
    with Engine.load(model) as engine:
        np.testing.assert_array_equal(result, engine.translate_faces(astronaut, "happy", [face]))
    assert (result[400:] == astronaut[400:]).all()
    assert b"compositeWithTrainedAlgorithmicMedia" in read_metadata(out)["xmp"]
    assert cli(*line, "--detector", detector_file, "--no-mark").returncode == 0
    assert read_metadata(out) == {}


def test_a_folder_says_what_had_no_face(model, photo, tmp_path, detector_file):
    write_image(tmp_path / "in" / "sky.png", np.full((300, 400, 3), 200, np.uint8))
    photo.rename(tmp_path / "in" / "photo.png")
    line = ("translate", tmp_path / "in", "--faces", "all", "--engine", model, "--label", "happy", "--output")
    done = cli(*line, tmp_path / "out", "--detector", detector_file)
    assert done.returncode == 2
    assert "sky.png: no face was found" in " ".join(done.stderr.split())
    assert "translated 1 of 2" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.png"]


def test_doctor_says_how_an_image_fits(photo, detector_file):
    from stargan_rt.models import bundled_samples

    line = ("--detector", detector_file, "--min-score", 0.5)
    fits = cli("doctor", "--image", bundled_samples()[1], *line)
    assert fits.returncode == 0, fits.stderr + fits.stdout
    done = cli("doctor", "--image", photo, *line)
    assert done.returncode == 1
    assert "times the size" in done.stdout
    assert "translate IMAGE --faces all" in done.stderr


def test_no_detector(model, photo, tmp_path):
    line = ("translate", photo, "--faces", "all", "--engine", model, "--label", "happy", "--output", tmp_path / "o.png")
    done = cli(*line, STARGAN_RT_CACHE=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "stargan-rt detector install" in done.stderr
    assert "--detector goes with --faces" in cli(*line[:2], *line[4:], "--detector", photo).stderr


def test_a_photograph_for_the_bundled_model_gets_a_note(photo, tmp_path):
    line = ("translate", photo, "--label", "happy", "--output", tmp_path / "out.png")
    assert "only seen drawings" in cli(*line).stderr
    from stargan_rt.models import bundled_samples

    assert "note" not in cli("translate", bundled_samples()[0], *line[2:]).stderr
