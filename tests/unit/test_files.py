import os
import subprocess
import sys
from pathlib import Path

import pytest

from stargan_rt import InputError
from stargan_rt.files import cache_folder, sha256, written_whole


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with written_whole(target) as temporary:
        temporary.write_text("first")
        assert not target.exists()
    with pytest.raises(ZeroDivisionError), written_whole(target) as temporary:
        temporary.write_text(str(1 / 0))
    assert target.read_text() == "first"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with written_whole(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"can't write .*file/a\.txt"), written_whole(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(InputError, match="No space left"),
        written_whole(tmp_path / "a"),
        open("/dev/full", "w") as full,
    ):
        full.write("x")
    assert list(tmp_path.iterdir()) == []


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("STARGAN_RT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "stargan-rt"
    if sys.platform == "linux":
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_folder() == Path.home() / ".cache" / "stargan-rt"


def test_the_cache_on_macos_is_in_its_own_folder(tmp_path):
    """In a process of its own, since platformdirs chooses when it is imported."""
    code = "import sys; sys.platform = 'darwin'; from stargan_rt.files import cache_folder; print(cache_folder())"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == str(tmp_path / "Library" / "Caches" / "stargan-rt"), done.stderr


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
