import cv2
import numpy as np
import pytest

from stargan_rt import InputError
from stargan_rt.faces import ALIGNMENTS, Face, Region, aligned_region
from stargan_rt.faces.alignment import TEMPLATES, misalignment, similarity
from stargan_rt.faces.blend import cut, put_back
from stargan_rt.images import read_image
from stargan_rt.models import bundled_samples
from stargan_rt.quality import psnr


def face_in(region, alignment):
    """A face that lies in a region exactly as the alignment wants it."""
    matrix = np.array(region.matrix)
    template = TEMPLATES.get(alignment, TEMPLATES["avatars"])
    box = (1 / 2 - 1 / 3.6, 1 / 2 - 1 / 3.6, 1 / 2 + 1 / 3.6, 1 / 2 + 1 / 3.6)  # the middle, with a margin of 1.8
    return Face.of(box, template, 0.9).moved(matrix)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("degrees", [0, 20, -75])
def test_a_face_that_lies_right_gives_its_region(alignment, degrees):
    region = Region.box(40, 60, 90, 90, degrees)
    found = aligned_region(face_in(region, alignment), alignment, (128, 128))
    np.testing.assert_allclose(found.matrix, region.matrix, atol=0.3)


def test_pictures_that_are_not_square_keep_the_scale():
    face = face_in(Region.box(40, 60, 90, 90), "celeba")
    (left, _, x), (_, down, y) = aligned_region(face, "celeba", (64, 128)).matrix
    assert (left, down, x, y) == pytest.approx((180, 90, -5, 60), abs=0.3)


def test_a_similarity_is_found_among_noise(random):
    points = random.normal(size=(20, 2)) * 50
    turned = cv2.getRotationMatrix2D((3, 4), 33, 1.7)
    found = similarity(points, points @ turned[:, :2].T + turned[:, 2] + random.normal(size=(20, 2)) * 0.01)
    np.testing.assert_allclose(found, turned, atol=0.05)


def test_misalignment_in_numbers():
    face = face_in(Region.box(0, 0, 128, 128), "celeba")
    assert misalignment(face, "celeba", (128, 128)) == pytest.approx((1, 0, 0), abs=0.01)
    turned = face_in(Region.box(0, 0, 256, 256, 10), "celeba")
    size, angle, distance = misalignment(turned, "celeba", (128, 128))
    assert (size, angle) == pytest.approx((0.5, 10), abs=0.01)
    assert distance == pytest.approx(np.hypot(0.5, 0.5), abs=0.01)


def test_avatars_lie_as_their_alignment_says(detector):
    sizes = []
    for path in bundled_samples():
        picture = read_image(path)
        size, angle, distance = misalignment(detector.find(picture)[0], "avatars", picture.shape[:2])
        sizes.append(size)
        assert abs(angle) < 12
        assert distance < 0.08
    assert np.median(sizes) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("degrees", [0, 15, 30])
def test_a_crop_of_a_turned_photograph_is_upright(detector, astronaut, turned, degrees):
    picture, _ = turned(degrees)
    crops = []
    for image in (astronaut, picture):
        region = aligned_region(detector.find(image)[0], "celeba", (128, 128))
        crops.append(cut(image, region, (128, 128)))
    (face,) = detector.find(crops[1], min_size=20)
    (x0, y0), (x1, y1) = face.keypoints[:2]
    assert abs(np.degrees(np.arctan2(y1 - y0, x1 - x0))) < 4
    assert psnr(*(crop[24:104, 24:104] for crop in crops)) > 24  # the same crop, but for a pixel or less


def test_unknown_alignments_are_refused():
    face = face_in(Region.box(0, 0, 9, 9), "box")
    with pytest.raises(InputError, match="known: celeba, avatars, box, none"):
        aligned_region(face, "ffhq", (128, 128))


def test_what_did_not_change_keeps_its_pixels(random):
    frame = random.integers(0, 256, (500, 500, 3), np.uint8)
    before, region = frame.copy(), Region.box(60, 70, 400, 380, 12)
    crop = cut(frame, region, (128, 128))
    put_back(frame, crop, crop, region)
    np.testing.assert_array_equal(frame, before)


def test_what_changed_is_replaced_and_the_rest_is_kept(random):
    frame = cv2.GaussianBlur(random.integers(0, 256, (400, 400, 3), np.uint8), (0, 0), 2)
    before, region = frame.copy(), Region.box(50, 50, 256, 256)
    crop = cut(frame, region, (128, 128))
    translated = crop.copy()
    translated[50:80, 50:80] = (250, 10, 10)
    put_back(frame, crop, translated, region)
    assert (frame[160:200, 160:200] == (250, 10, 10)).all()
    same = np.ones(frame.shape[:2], np.bool_)
    same[120:240, 120:240] = False
    assert (frame == before)[same].all()


def test_large_regions_are_averaged_not_thinned_out(random):
    frame = random.integers(0, 256, (640, 640, 3), np.uint8)
    small = cut(frame, Region.box(0, 0, 640, 640), (64, 64))
    expected = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).max() <= 1
    outside = cut(frame, Region.box(700, 700, 500, 500), (64, 64))
    assert (outside == frame[-1, -1]).all()
