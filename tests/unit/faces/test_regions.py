"""`crop` and `paste` compared with a float64 reference that computes each pixel from the definitions."""

import math

import cv2
import numpy as np
import pytest
from frame_cases import LAYOUTS, REGIONS, SIZE, Buffer

from stargan_rt.errors import InputError
from stargan_rt.faces import Region, crop, paste

PICTURE = (21, 19)
WEIGHTS = np.array([(0.257, 0.504, 0.098), (-0.148, -0.291, 0.439), (0.439, -0.368, -0.071)])


def as_rgb(frame, layout):
    if layout == "nv12":
        return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_YUV2RGB_NV12)
    return frame if layout == "rgb" else frame[..., ::-1]


def bilinear(image, x, y):
    """Sample at a position; the centre of the first pixel is (0.5, 0.5)."""
    x, y = x - 0.5, y - 0.5
    left, top = math.floor(x), math.floor(y)
    colour = np.zeros(3)
    for i in (left, left + 1):
        for j in (top, top + 1):
            weight = (1 - abs(x - i)) * (1 - abs(y - j))
            colour += weight * image[min(max(j, 0), len(image) - 1), min(max(i, 0), len(image[0]) - 1)]
    return colour


def reference_crop(image, region, size):
    out = np.empty((*size, 3))
    for y, x in np.ndindex(*size):
        place = np.array(region.matrix) @ ((x + 0.5) / size[1], (y + 0.5) / size[0], 1)
        out[y, x] = bilinear(image, *place)
    return out


def shares_and_colours(picture, region, size, feather):
    """Return the opacity and the colour of the picture for each pixel of a frame."""
    shares, colours = np.zeros(size), np.zeros((*size, 3))
    matrix = np.array(region.matrix)
    for y, x in np.ndindex(*size):
        u, v = np.linalg.solve(matrix[:, :2], (x + 0.5, y + 0.5) - matrix[:, 2])
        if not (0 <= u < 1 and 0 <= v < 1):
            continue
        legs = [max(abs(w - 0.5) - (0.5 - feather), 0) / feather if feather else 0 for w in (u, v)]
        inside = max(1 - math.hypot(*legs), 0)
        shares[y, x] = inside**2 * (3 - 2 * inside)
        colours[y, x] = bilinear(picture, u * picture.shape[1], v * picture.shape[0])
    return shares, colours


def reference_paste(frame, layout, picture, region, feather):
    size = (len(frame) * 2 // 3 if layout == "nv12" else len(frame)), frame.shape[1]
    shares, colours = shares_and_colours(picture, region, size, feather)
    if layout != "nv12":
        colours = colours if layout == "rgb" else colours[..., ::-1]
        return frame + shares[..., None] * (colours - frame)
    yuv = colours @ WEIGHTS.T + (16, 128, 128)
    out = frame.astype(np.float64)
    for y, x in np.ndindex(*size):
        out[y, x] += shares[y, x] * (yuv[y, x, 0] - out[y, x])
        for channel in (0, 1):
            pixel = size[0] + y // 2, x // 2 * 2 + channel
            out[pixel] += shares[y, x] / 4 * (yuv[y, x, 1 + channel] - frame[pixel])
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_crop_matches_the_reference(random, layout, region):
    frame = Buffer(random, layout, pad=13, offset=3).frame
    got = crop(frame, region, PICTURE, layout)
    assert got.dtype == np.uint8
    assert np.abs(got - reference_crop(as_rgb(frame, layout), region, PICTURE)).max() < 0.501


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_paste_matches_the_reference(random, layout, region):
    buffer, picture = Buffer(random, layout, pad=13, offset=3), random.integers(0, 256, (*PICTURE, 3), np.uint8)
    gaps, before = buffer.gaps, buffer.frame.copy()
    feather = random.choice([0.001, 0.1, 0.37, 0.5])
    paste(buffer.frame, picture, region, layout, feather)
    expected = reference_paste(before, layout, picture, region, feather)
    assert np.abs(buffer.frame - expected).max() < 0.52
    assert (buffer.frame == before)[expected == before].all()
    assert (buffer.gaps == gaps).all()


@pytest.mark.parametrize("size", [(45, 61), (1, 1), (1, 7), (64, 3)])
def test_odd_sizes(random, size):
    frame, region = random.integers(0, 256, (*size, 3), np.uint8), Region.box(-0.6, -2.3, 5.1, 50, 7)
    assert np.abs(crop(frame, region, (9, 30)) - reference_crop(frame, region, (9, 30))).max() < 0.501
    before, picture = frame.copy(), random.integers(0, 256, (30, 1, 3), np.uint8)
    paste(frame, picture, region, "bgr", 0.2)
    assert np.abs(frame - reference_paste(before, "bgr", picture, region, 0.2)).max() < 0.52


def test_many_random_regions(random):
    for _ in range(40):
        frame = random.integers(0, 256, (*random.integers(1, 40, 2), 3), np.uint8)
        x, y, width, height = (*random.uniform(-30, 60, 2), *random.uniform(1, 60, 2))
        region, size = Region.box(x, y, width, height, random.uniform(-360, 360)), tuple(random.integers(1, 16, 2))
        expected = reference_crop(frame, region, size)
        assert np.abs(crop(frame, region, size) - expected).max() < 0.501
        picture = random.integers(0, 256, (*size, 3), np.uint8)
        expected = reference_paste(frame, "rgb", picture, region, 0.25)
        paste(frame, picture, region, feather=0.25)
        assert np.abs(frame - expected).max() < 0.52


def test_positions_far_from_the_corner_are_precise(random):
    """A float32 would resolve only 1/2048 of a pixel there."""
    frame, region = random.integers(0, 256, (3, 8192, 3), np.uint8), Region.box(8170.12, -0.3, 17.3, 3.1, 1)
    assert np.abs(crop(frame, region, (8, 64)) - reference_crop(frame, region, (8, 64))).max() < 0.501


def test_cropping_whole_pixels_copies_them(random):
    frame = random.integers(0, 256, (33, 47, 3), np.uint8)
    assert (crop(frame, Region.box(0, 0, 47, 33), (33, 47)) == frame).all()
    assert (crop(frame, Region.box(5, 7, 20, 10), (10, 20)) == frame[7:17, 5:25]).all()


def test_pixel_centres_follow_opencv(random):
    frame = random.integers(0, 256, (40, 50, 3), np.uint8)
    expected = cv2.resize(frame, (77, 93), interpolation=cv2.INTER_LINEAR)
    assert np.abs(crop(frame, Region.box(0, 0, 50, 40), (93, 77)).astype(int) - expected).max() <= 1


def test_a_region_from_an_opencv_matrix(random):
    frame = cv2.GaussianBlur(random.integers(0, 256, (40, 50, 3), np.uint8), (0, 0), 3)
    matrix = np.array([(0.7, -0.2, 9.1), (0.3, 0.8, 3.4)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(frame, matrix, (24, 20), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    region = Region.of_pixels(matrix, (20, 24))
    assert np.allclose(region.to_frame((20, 24)), matrix)
    assert np.abs(crop(frame, region, (20, 24)).astype(int) - expected).max() <= 2


def test_rotation_is_clockwise_about_the_centre():
    (right_x, _, _), (right_y, _, _) = Region.box(0, 0, 10, 10, 90).matrix
    assert (right_x, right_y) == pytest.approx((0, 10))
    region = Region.box(10, 20, 30, 40, 33)
    assert np.array(region.matrix) @ (0.5, 0.5, 1) == pytest.approx((25, 40))


def test_to_picture_inverts_to_frame(random):
    region = REGIONS["turned"]
    forth, back = (np.vstack([m, (0, 0, 1)]) for m in (region.to_frame(PICTURE), region.to_picture(PICTURE)))
    assert np.allclose(forth @ back, np.eye(3))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_a_feather_the_whole_picture_is_opaque(random, layout):
    frame, picture = Buffer(random, layout).frame, np.full((16, 20, 3), (200, 90, 30), np.uint8)
    before = frame.copy()
    paste(frame, picture, Region.box(8, 6, 20, 16), layout, feather=0)
    outside = np.ones(SIZE, np.bool_)
    outside[6:22, 8:28] = False
    difference = np.abs(as_rgb(frame, layout).astype(int) - (200, 90, 30))
    assert difference[~outside].max() <= (3 if layout == "nv12" else 0)
    assert (as_rgb(frame, layout) == as_rgb(before, layout))[outside].all()


@pytest.mark.parametrize("layout", ["rgb", "bgr"])
def test_adjacent_regions_leave_no_seam(layout):
    frame, picture = np.zeros((20, 40, 3), np.uint8), np.full((5, 5, 3), 255, np.uint8)
    for x in (0.25, 13.25):
        paste(frame, picture, Region.box(x, 0, 13, 20), layout, feather=0)
    assert (frame[:, :26] == 255).all()
    assert (frame[:, 26:] == 0).all()


def test_pasting_a_crop_back_changes_nothing(random):
    frame = random.integers(0, 256, (40, 50, 3), np.uint8)
    before, region = frame.copy(), Region.box(11, 7, 24, 20)
    paste(frame, crop(frame, region, (20, 24)), region, feather=0.3)
    assert (frame == before).all()


def test_invalid_frames_are_refused():
    region, good = Region.box(0, 0, 8, 8), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=r"float64 array of shape \(8, 8, 3\)"):
        crop(np.zeros((8, 8, 3)), region, (4, 4))
    with pytest.raises(InputError, match=r"expected a uint8 array \(H, W, 3\)"):
        crop(good[..., 0], region, (4, 4))
    with pytest.raises(InputError, match="luma above the chroma"):
        crop(good, region, (4, 4), "nv12")
    with pytest.raises(InputError, match="even sides"):
        crop(np.zeros((12, 7), np.uint8), region, (4, 4), "nv12")
    with pytest.raises(InputError, match="a list"):
        crop([[1]], region, (4, 4))
    with pytest.raises(InputError, match="layout must be"):
        crop(good, region, (4, 4), "yuv")
    with pytest.raises(InputError, match="from 1 to 8192"):
        crop(np.zeros((0, 8, 3), np.uint8), region, (4, 4))
    good.setflags(write=False)
    with pytest.raises(InputError, match="read-only"):
        paste(good, np.zeros((8, 8, 3), np.uint8), region)


@pytest.mark.parametrize("size", [(0, 4), (4,), 4, (4.0, 4), (4, 9000), None])
def test_invalid_sizes_are_refused(size):
    with pytest.raises(InputError, match=r"a size is \(height, width\)"):
        crop(np.zeros((8, 8, 3), np.uint8), Region.box(0, 0, 8, 8), size)


def test_invalid_pictures_and_feathers_are_refused():
    frame, region = np.zeros((8, 8, 3), np.uint8), Region.box(0, 0, 8, 8)
    with pytest.raises(InputError, match="the picture is a float32 array"):
        paste(frame, frame.astype(np.float32), region)
    for feather in (-0.1, 0.51, math.nan):
        with pytest.raises(InputError, match="feather"):
            paste(frame, frame, region, feather=feather)


@pytest.mark.parametrize(
    "matrix",
    [
        None,
        ((1, 2), (3, 4)),
        ((1, 2, math.nan), (3, 4, 5)),
        ((8, 16, 0), (4, 8, 0)),
        ((0.5, 0, 0), (0, 9, 0)),
        ((9, 0, 1e6), (0, 9, 0)),
    ],
)
def test_invalid_regions_are_refused(matrix):
    with pytest.raises(InputError, match="a region"):
        Region(matrix)


def test_regions_are_values():
    assert Region.box(1, 2, 3, 4) == Region.box(1, 2, 3, 4)
    assert len({Region(np.eye(2, 3) * 9), Region(((9, 0, 0), (0, 9, 0)))}) == 1
