import signal
import subprocess
import time

import numpy as np
from command_line import PROGRAM, refused, run_process
from PIL import Image as PILImage

from stargan_rt import Engine
from stargan_rt.images import read_image, write_image


def files_below(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_translate_a_file(cli, model, face, tmp_path):
    out = tmp_path / "new" / "out.png"
    result = cli("translate", face, "--engine", model, "--label", "Blond_Hair", "--output", out)
    assert result.returncode == 0, result.stderr
    with Engine.load(model) as engine:
        np.testing.assert_array_equal(read_image(out), engine.translate(face, "Blond_Hair"))
    cli("translate", face, "--engine", model, "--label", "Blond_Hair", "--output", out, "--keep-size")
    assert read_image(out).shape == (40, 48, 3)


def test_translate_into_every_domain(cli, model, face, tmp_path):
    result = cli("translate", face, "--engine", model, "--all", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    names = ("Black_Hair", "Blond_Hair", "Beard", "happy", "sad")
    assert files_below(tmp_path / "out") == sorted(f"face.{name}.png" for name in names)


def test_translate_a_folder_keeps_its_structure(cli, model, folder, tmp_path):
    result = cli("translate", folder, "--engine", model, "--label", "happy", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert files_below(tmp_path / "out") == ["a.png", "b.jpg", "sub/c.png"]
    assert "translated 3 of 3" in result.stderr


def test_a_bad_image_in_a_folder_is_named_and_the_rest_done(cli, model, folder, tmp_path):
    (folder / "b.png").write_text("not a picture")
    result = cli("translate", folder, "--engine", model, "--label", "happy", "--output", tmp_path / "out")
    assert result.returncode == 2
    assert "b.png is damaged or not an image" in " ".join(result.stderr.split())
    assert "1 of 4 images could not be translated" in result.stderr
    assert files_below(tmp_path / "out") == ["a.png", "b.jpg", "sub/c.png"]


def test_misuse_is_refused(cli, model, face, folder, tmp_path):
    out = tmp_path / "out.png"
    engine = ("--engine", model, "--output", out)
    refused(cli("translate", face, *engine), 2, "either --label LABEL or --all")
    refused(cli("translate", face, *engine, "--label", "x", "--all"), 2, "either --label LABEL or --all")
    refused(cli("translate", face, *engine, "--label", "Blond_Hiar"), 2, "did you mean Blond_Hair?")
    refused(cli("translate", face, *engine, "--label", "happy, sad"), 2, "exclude each other")
    refused(cli("translate", face, *engine, "--label", "happy=nan"), 2, "must lie in [0, 1]")
    refused(cli("translate", face, *engine, "--all"), 2, "give a folder")
    refused(cli("translate", "", *engine, "--label", "happy"), 2, "the path is empty")
    refused(cli("translate", face, "--engine", model, "--label", "happy", "--output", ""), 2, "the path is empty")
    refused(cli("translate", folder, *engine, "--label", "happy"), 2, "give a folder")
    refused(cli("translate", "missing.png", *engine, "--label", "happy"), 2, "no such file or folder: missing.png")
    refused(cli("translate", face, *engine, "--label", "happy", "--backend", "x"), 2, "unknown backend 'x'")
    refused(cli("translate", face, *engine, "--label", "happy", "--threads", "0"), 2, "--threads")
    (tmp_path / "text.png").write_text("not a picture")
    refused(cli("translate", tmp_path / "text.png", *engine, "--label", "happy"), 2, "damaged or not an image")
    (tmp_path / "empty").mkdir()
    refused(cli("translate", tmp_path / "empty", *engine, "--label", "happy"), 2, "no images in")
    refused(cli("translate", face, "--engine", model, "--label", "happy", "--output", face), 2, "overwrite an input")
    assert not out.exists()


def test_outputs_that_collide_are_refused(cli, model, folder, face, tmp_path):
    same = tmp_path / "other" / "a.png"
    write_image(same, read_image(face))
    out = ("--engine", model, "--label", "happy", "--output", tmp_path / "out")
    refused(cli("translate", folder, same, *out), 2, "have the same output")
    assert not (tmp_path / "out").exists()


def test_hidden_files_and_earlier_results_are_no_inputs(cli, model, folder):
    (folder / "._a.png").write_text("left by another system")
    line = ("translate", folder, "--engine", model, "--label", "happy", "--output", folder / "results")
    for _ in range(2):
        result = cli(*line)
        assert result.returncode == 0, result.stderr
        assert files_below(folder / "results") == ["a.png", "b.jpg", "sub/c.png"]


def test_names_of_results(cli, model, face, tmp_path):
    bare = face.rename(tmp_path / "face")
    line = ("translate", bare, "--engine", model, "--label", "happy", "--output")
    assert cli(*line, tmp_path / "out").returncode == 0
    assert files_below(tmp_path / "out") == ["face.png"]
    refused(cli(*line, tmp_path / "out.gif"), 2, "no known suffix")
    long = tmp_path / f"{'x' * 250}.png"
    write_image(tmp_path / "short.png", read_image(bare))
    (tmp_path / "short.png").rename(long)
    assert cli("translate", long, "--engine", model, "--label", "happy", "--output", tmp_path / "l").returncode == 0


def test_every_domain_of_a_folder(cli, model, folder, tmp_path):
    (folder / "bad.png").write_text("not a picture")
    result = cli("translate", folder, "--engine", model, "--all", "--output", tmp_path / "out")
    assert result.returncode == 2
    assert len(files_below(tmp_path / "out")) == 3 * 5


def test_a_huge_file_is_refused_before_it_is_decoded(model, tmp_path):
    PILImage.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    line = ("translate", tmp_path / "huge.png", "--engine", model, "--label", "happy", "--output", tmp_path / "o.png")
    # By OpenCV, before it decodes: our own check comes afterwards, and says "at most".
    refused(run_process(*line), 2, "more pixels than the limit of 67108864")


def test_models_that_can_not_be_loaded(cli, model, face, tmp_path):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:5000])
    for bad in (cut, tmp_path / "missing.onnx"):
        refused(cli("translate", face, "--engine", bad, "--label", "happy", "--output", "o.png"), 1, "export")
        refused(cli("info", bad), 1, "export")


def test_an_output_that_can_not_be_written(cli, model, face, folder, tmp_path):
    (tmp_path / "file").touch()
    out = ("--engine", model, "--label", "happy", "--output")
    refused(cli("translate", face, *out, tmp_path / "file" / "o.png"), 2, "can't write", "choose another --output")
    assert cli("translate", folder, *out, tmp_path / "file" / "x").returncode == 2
    assert files_below(tmp_path / "in") == ["a.png", "b.jpg", "notes.txt", "sub/c.png"]


def test_control_c_in_a_long_run_leaves_whole_files(model, tmp_path, random):
    for number in range(400):
        write_image(tmp_path / "in" / f"{number:03d}.png", random.integers(0, 256, (300, 300, 3), np.uint8))
    out = tmp_path / "out"
    line = ("translate", str(tmp_path / "in"), "--engine", str(model), "--label", "happy", "--output", str(out))
    process = subprocess.Popen([*PROGRAM, *line, "--keep-size"], stderr=subprocess.PIPE, text=True)
    while len(list(out.glob("[0-9]*"))) < 5 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert "stopped after" in errors
    written = files_below(out)
    assert 5 <= len(written) < 400
    assert all(read_image(out / name).shape == (300, 300, 3) for name in written)
