import numpy as np
import pytest

from stargan_rt.quality import psnr, ssim


def test_equal_pictures(image):
    assert psnr(image, image) == float("inf")
    assert ssim(image, image) == pytest.approx(1.0)


def test_psnr_of_a_known_difference(image):
    dark = np.clip(image, 0, 245).astype(np.uint8)
    assert psnr(dark, dark + 10) == pytest.approx(20 * np.log10(25.5))


def test_ssim_falls_with_noise(image, random):
    flat = np.full((64, 64, 3), 128, np.uint8)
    values = [ssim(flat, np.clip(flat + random.normal(0, s, flat.shape), 0, 255).astype(np.uint8)) for s in (1, 5, 25)]
    assert 1 > values[0] > values[1] > values[2] >= 0


def test_ssim_of_flat_pictures_is_their_luminance_term():
    a, b = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), rel=1e-6)
