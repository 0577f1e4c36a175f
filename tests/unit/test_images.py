import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PILImage

from stargan_rt import InputError
from stargan_rt.images import as_pixels, fitted, read_image, resize, write_image


def test_rgb_arrays_are_not_copied(image):
    assert as_pixels(image) is image


def test_every_kind_of_image_gives_the_same_pixels(image, tmp_path):
    path = tmp_path / "a.png"
    write_image(path, image)
    for kind in (path, str(path), PILImage.fromarray(image), PILImage.open(path)):
        np.testing.assert_array_equal(as_pixels(kind), image)
    np.testing.assert_array_equal(as_pixels(np.ascontiguousarray(image[..., ::-1]), "bgr"), image)


def test_alpha_grey_and_16_bit_files_become_rgb(tmp_path, random):
    grey = random.integers(0, 256, (20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([grey] * 4))
    for name in ("grey", "deep", "alpha"):
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), np.dstack([grey] * 3))


def _scene(height, width, random):
    """Detail of every scale, and noise: what JPEG and resizing treat differently."""
    coarse = cv2.resize(random.integers(0, 256, (9, 9, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    for step in range(0, width, 29):
        cv2.line(coarse, (step, 0), (width - step, height), random.integers(0, 256, 3).tolist(), 1, cv2.LINE_AA)
    return np.clip(coarse + random.normal(0, 5, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("side", [512, 1024, 1536])
def test_a_large_jpeg_read_small_is_no_worse_than_read_in_full(tmp_path, random, side, quality):
    scene = _scene(side, side, random)
    truth = resize(scene, (128, 128)).astype(float)
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    small, shape = fitted(path, (128, 128))
    full = resize(read_image(path), (128, 128))
    assert shape == (side, side)
    assert small.shape == (128, 128, 3)
    assert (small != full).any()  # it was read another way
    assert np.square(small - truth).mean() <= np.square(full - truth).mean()


@pytest.mark.parametrize(("height", "width"), [(600, 800), (511, 512), (513, 514), (130, 900), (256, 256), (511, 511)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("progressive", [False, True])
def test_fitted_tells_the_size_that_a_file_has_upright(tmp_path, random, height, width, orientation, progressive):
    picture = PILImage.fromarray(_scene(height, width, random))
    exif = picture.getexif()
    exif[0x0112] = orientation
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"a{suffix}"
        picture.save(path, exif=exif, **({"progressive": progressive} if suffix == ".jpg" else {}))
        pixels, shape = fitted(path, (64, 64))
        expected = read_image(path)
        assert shape == expected.shape[:2]
        assert np.abs(pixels.astype(int) - resize(expected, (64, 64))).mean() < 2


def test_fitted_equals_resizing_where_no_large_jpeg_is_read(tmp_path, image, random):
    small = tmp_path / "a.jpg"
    cv2.imwrite(str(small), _scene(127, 127, random))
    large = random.integers(0, 256, (256, 300, 3), np.uint8)
    for kind in (image, small, large, PILImage.fromarray(large)):
        pixels, shape = fitted(kind, (32, 32))
        np.testing.assert_array_equal(pixels, resize(as_pixels(kind), (32, 32)))
        assert shape == as_pixels(kind).shape[:2]
    np.testing.assert_array_equal(fitted(image, (32, 32), "bgr")[0], image[..., ::-1])
    with pytest.raises(InputError, match="'rgb' or 'bgr'; got 'hsv'"):
        fitted(small, (32, 32), "hsv")


def test_large_jpegs_that_are_damaged_or_lie_are_refused_or_read_in_full(tmp_path, random):
    path = tmp_path / "a.jpg"
    whole = cv2.imencode(".jpg", _scene(400, 400, random))[1].tobytes()
    frame = whole.index(b"\xff\xc0")
    path.write_bytes(whole[: frame + 12])
    with pytest.raises(InputError, match="damaged"):
        fitted(path, (32, 32))
    path.write_bytes(whole[: frame + 5] + b"\xff\xff\xff\xff" + whole[frame + 9 :])
    with pytest.raises(InputError, match="65535x65535; at most"):
        fitted(path, (32, 32))
    path.write_bytes(whole[:frame])
    with pytest.raises(InputError, match="damaged"):
        fitted(path, (32, 32))
    # Bytes to fill up are allowed before a marker.
    path.write_bytes(whole[:frame] + b"\xff\xff" + whole[frame:])
    assert fitted(path, (32, 32))[1] == (400, 400)


def test_exif_orientation_is_followed(tmp_path):
    tall = PILImage.new("RGB", (40, 20))
    exif = tall.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    tall.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 1, 3), np.uint8), "at least 16 pixels"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), "20000x20000; at most"),
        (np.zeros((32, 32, 3), np.float32), "dtype float32; expected uint8"),
        (np.zeros((32, 32), np.uint8), r"shape \(32, 32\); expected \(H, W, 3\)"),
        (np.zeros((32, 32, 4), np.uint8), "expected"),
        (np.zeros((0, 0, 3), np.uint8), "at least"),
        (b"bytes", "got builtins.bytes"),
        (None, "got builtins.NoneType"),
    ],
)
def test_unusable_images_are_refused(bad, message):
    with pytest.raises(InputError, match=message):
        as_pixels(bad)


def test_unusable_files_are_refused(tmp_path):
    text, empty = tmp_path / "text.png", tmp_path / "empty.png"
    text.write_text("not a picture")
    empty.touch()
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    whole = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    for name, message in (
        ("text.png", "damaged or not an image"),
        ("empty.png", "damaged or not an image"),
        ("cut.png", "damaged or not an image"),
        ("dot.png", "1x1; a side must have"),
        ("missing.png", "can't read .*missing.png: No such file"),
        ("", "can't read"),
    ):
        with pytest.raises(InputError, match=message):
            read_image(tmp_path / name)


def test_a_huge_file_is_refused(tmp_path):
    path = tmp_path / "huge.png"
    PILImage.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(InputError, match=r"20000x20000|can't decode"):
        read_image(path)


def test_a_huge_pil_image_is_refused_before_it_is_decoded():
    class Lazy(PILImage.Image):
        size = (20_000, 20_000)

        def convert(self, *args, **kwargs):
            raise AssertionError("decoded")

    with pytest.raises(InputError, match="at most"):
        as_pixels(Lazy())


def test_pil_images_are_read_as_their_files_are(tmp_path):
    tall = PILImage.new("RGB", (40, 20))
    exif = tall.getexif()
    exif[0x0112] = 6
    tall.save(tmp_path / "a.jpg", exif=exif)
    assert as_pixels(PILImage.open(tmp_path / "a.jpg")).shape == (40, 20, 3)
    with pytest.raises(InputError, match="mode I;16, of more than 8 bits"):
        as_pixels(PILImage.new("I;16", (40, 20)))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-20])
    with PILImage.open(tmp_path / "cut.jpg") as cut, pytest.raises(InputError, match="can't be decoded"):
        as_pixels(cut)


def test_a_path_with_a_zero_byte_is_refused():
    with pytest.raises(InputError, match="can't read"):
        read_image("a\0b.png")


def test_an_unknown_colour_order_is_refused(image):
    with pytest.raises(InputError, match="'rgb' or 'bgr'; got 'hsv'"):
        as_pixels(image, "hsv")


def test_writing_to_an_unknown_format_or_place_is_refused(tmp_path, image):
    with pytest.raises(InputError, match="by its suffix"):
        write_image(tmp_path / "a.doc", image)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't write"):
        write_image(tmp_path / "file" / "a.png", image)


@given(st.integers(16, 80), st.integers(16, 80), st.integers(16, 80), st.integers(16, 80), st.integers(0, 255))
def test_resizing_gives_the_size_and_keeps_flat_colours(h, w, to_h, to_w, level):
    out = resize(np.full((h, w, 3), level, np.uint8), (to_h, to_w))
    assert out.shape == (to_h, to_w, 3)
    assert (out == level).all()
