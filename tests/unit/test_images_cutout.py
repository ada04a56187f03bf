import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import BEAM, SCALE, celestial, gaussian, image, noise

from skyloom.detect.fields import field_objects
from skyloom.images.cutout import (
    FINEST,
    kernel_width,
    native_cutout,
    scaled_cutout,
    scaled_wcs,
    smoothed_noise,
    smoothed_snr,
)

PIXELS = BEAM.in_pixels(SCALE)
MAJOR, MINOR, PA = PIXELS


def scaled(data, x, y, step, side=100):
    kernel = kernel_width(step, PIXELS)
    smooth = smoothed_snr(data, np.zeros(data.shape, bool), PIXELS, kernel) * smoothed_noise(PIXELS, kernel)
    return scaled_cutout(smooth, celestial(*data.shape), PIXELS, kernel, x, y, step, side)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 149), st.integers(0, 119), st.sampled_from([20, 64, 100]))
def test_native_cutouts_keep_every_value_and_pad_with_nan(x, y, side):
    data = np.arange(120 * 150, dtype=float).reshape(120, 150)
    cut = native_cutout(data, celestial(120, 150), PIXELS, x, y, side)
    assert cut.data.shape == (side, side)
    assert cut.data[side // 2, side // 2] == data[y, x]
    inside = np.isfinite(cut.data)
    rows, columns = np.nonzero(inside)
    np.testing.assert_array_equal(cut.data[inside], data[rows + y - side // 2, columns + x - side // 2])


@settings(deadline=None, max_examples=25)
@given(st.floats(20, 130), st.floats(20, 130), st.floats(0.4, 6), st.floats(0, 99), st.floats(0, 99))
def test_world_coordinates_go_round(x, y, step, column, row):
    old = celestial(150, 150)
    new = scaled_wcs(old, x, y, step, 100)
    sky = new.pixel_to_world(column, row)
    back = old.world_to_pixel(sky)
    assert back == pytest.approx((x + (column - 49.5) * step, y + (row - 49.5) * step), abs=1e-5)
    again = WCS(fits.Header.fromstring(native_cutout(np.zeros((150, 150)), old, PIXELS, x, y, 20).header, sep="\n"))
    assert again.pixel_to_world(10, 10).separation(old.pixel_to_world(round(x), round(y))).arcsec < 1.5 * SCALE


@settings(deadline=None, max_examples=20)
@given(st.floats(120, 140), st.floats(120, 140), st.floats(0.5, 2.3))
def test_scaling_conserves_flux_and_centres_the_source(x, y, step):
    cut = scaled(gaussian((260, 260), x, y, 14, 9, 40, peak=100), x, y, step)
    total = cut.data.sum() * step**2
    assert total == pytest.approx(100 * np.pi / (4 * np.log(2)) * 14 * 9, rel=0.02)
    rows, columns = np.indices(cut.data.shape)
    assert (cut.data * rows).sum() / cut.data.sum() == pytest.approx(49.5, abs=0.1)
    assert (cut.data * columns).sum() / cut.data.sum() == pytest.approx(49.5, abs=0.1)


def test_near_and_far_objects_look_alike():
    near = scaled(gaussian((400, 400), 200, 200, 40, 20, 30, peak=50), 200, 200, 4.0)
    far = scaled(gaussian((400, 400), 200, 200, 20, 10, 30, peak=50), 200, 200, 2.0)
    np.testing.assert_allclose(near.data, far.data, atol=0.1 * near.data.max() + 1)


def test_what_is_too_fine_is_smoothed_and_never_aliased():
    assert kernel_width(0.5, PIXELS) == 0
    for step in (1.0, 2.0, 4.0):
        kernel = kernel_width(step, PIXELS)
        assert np.sqrt(MAJOR * MINOR + kernel**2) / step >= FINEST * 0.999
    assert (kernel_width(2.0, PIXELS) * 2**0.25) > np.sqrt((FINEST * 2) ** 2 - MAJOR * MINOR)


@pytest.mark.parametrize("kernel", [4.0, 8.0, 13.0])
def test_noise_after_smoothing_is_as_theory_says_and_is_measured(kernel):
    data = noise((500, 500), 1.0, 8)
    everywhere = np.ones(data.shape, bool)
    by_theory = smoothed_snr(data, ~everywhere, PIXELS, kernel)
    measured = smoothed_snr(data, everywhere, PIXELS, kernel)
    assert np.std(by_theory) == pytest.approx(1, rel=0.15)
    assert np.std(measured) == pytest.approx(1, rel=0.05)


def test_missing_pixels_neither_dim_nor_spread():
    data = np.ones((200, 200))
    data[:, 120:] = np.nan
    cut = scaled(data, 100, 100, 2.0, 60)
    assert np.nanmin(cut.data) == pytest.approx(1, abs=1e-5) and np.nanmax(cut.data) == pytest.approx(1, abs=1e-5)
    assert np.isnan(cut.data[:, 45:]).all() and np.isfinite(cut.data[10:50, 12:38]).all()


def test_a_small_field_is_padded_not_thrown_away():
    data = 0.01 * noise((80, 80), 1.0, 9) + gaussian((80, 80), 30, 50, MAJOR, MINOR, PA)
    found = field_objects(image(data), 100, 5, 3, 8, 24, 16, 3)
    assert len(found.objects) == 1
    one = found.objects[0]
    assert one.native.data.shape == one.scaled.data.shape == one.wide.data.shape == (100, 100)
    assert one.observed_fraction == pytest.approx(0.64)
    row, column = np.unravel_index(np.nanargmax(one.native.data), (100, 100))
    assert row in (49, 50) and column in (49, 50)


def test_the_largest_count_keeps_the_brightest_and_counts_the_rest():
    data = noise((200, 200), 0.01, 10)
    for rank in range(5):
        data = data + gaussian((200, 200), 30 + 35 * rank, 100, MAJOR, MINOR, PA, peak=1 + rank)
    found = field_objects(image(data), 100, 5, 3, 2, 24, 16, 3)
    assert found.segment_count == 5
    assert [round(one.measurement.x) for one in found.objects] == [170, 135]
