import io
import json
import logging
import shutil
import struct
import subprocess
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from stargan_rt import Engine, MissingDependencyError
from stargan_rt.images import read_image
from stargan_rt.mark import SOURCE_TYPE, Mark, read_metadata, write_marked

MARK = Mark("g.pt")
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="mine" '
    'xmlns:x4="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" x4:DigitalSourceType="something else"/>'
    "</rdf:RDF></x:xmpmeta>"
)
SUFFIXES = (".jpg", ".png", ".webp")


@pytest.fixture
def pixels(random):
    return np.repeat(np.repeat(random.integers(0, 256, (12, 16, 3), np.uint8), 4, 0), 4, 1)


def exiftool(path):
    """What exiftool reads, by tag."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    done = subprocess.run(["exiftool", "-j", "-G0", str(path)], capture_output=True, text=True, check=True)
    (tags,) = json.loads(done.stdout)
    assert "ExifTool:Warning" not in tags, tags
    return tags


def photo(path, pixels):
    """A picture with EXIF that turns it by a quarter, a thumbnail, a colour profile and XMP."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = io.BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[path.suffix]
    xmp = {} if kind == "PNG" else {"xmp": XMP.encode()}
    Image.fromarray(pixels).save(data, kind, exif=exif, icc_profile=profile, **xmp)
    data = data.getvalue()
    if kind == "PNG":
        chunk = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + XMP.encode()
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        data = data[:33] + chunk + data[33:]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exiftool_reads_the_mark(tmp_path, pixels, suffix):
    path = tmp_path / f"x{suffix}"
    assert write_marked(path, pixels, MARK)
    tags = exiftool(path)
    assert tags["XMP:DigitalSourceType"] == SOURCE_TYPE
    assert tags["XMP:AISystemUsed"] == "g.pt"
    assert tags["XMP:CreatorTool"].startswith("stargan-rt ")
    if suffix == ".png":
        assert (read_image(path) == pixels).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_the_original_said_survives(tmp_path, pixels, suffix):
    source, target = photo(tmp_path / f"in{suffix}", pixels), tmp_path / f"out{suffix}"
    upright = read_image(source)
    assert upright.shape == (64, 48, 3)
    write_marked(target, upright, MARK, read_metadata(source))
    tags = exiftool(target)
    assert tags["EXIF:Make"] == "Maker"
    assert tags["EXIF:Orientation"] == "Horizontal (normal)"
    assert tags["XMP:Source"] == "mine"
    assert tags["XMP:DigitalSourceType"] == SOURCE_TYPE
    assert "ICC_Profile:ProfileDescription" in tags
    assert read_image(target).shape == (64, 48, 3)


def test_formats_without_metadata_are_written_plain(tmp_path, pixels):
    assert not write_marked(tmp_path / "x.bmp", pixels, MARK)
    assert (read_image(tmp_path / "x.bmp") == pixels).all()
    assert write_marked(tmp_path / "x.png", pixels, None)
    assert read_metadata(tmp_path / "x.png") == {}


def test_damaged_metadata_is_reported(tmp_path, pixels, caplog):
    with caplog.at_level(logging.WARNING):
        xmp = MARK.xmp(b"<x:xmpmeta")
    assert SOURCE_TYPE.encode() in xmp
    assert "XMP metadata is damaged" in caplog.text


def test_an_old_opencv_says_what_to_do(tmp_path, pixels, monkeypatch):
    monkeypatch.delattr(cv2, "imencodeWithMetadata")
    with pytest.raises(MissingDependencyError, match=r"4\.12 or later.*--no-mark"):
        write_marked(tmp_path / "x.png", pixels, MARK)


def test_a_models_mark_names_it(model):
    with Engine.load(model) as engine:
        mark = Mark.of(engine.manifest)
    assert mark.model.startswith("latest.pt (SHA-256 ")
    assert mark.model in mark.sentence
