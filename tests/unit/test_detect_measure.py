from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from synthetic import BEAM, SCALE, celestial, gaussian, image, noise

from skyloom.detect.fields import field_objects
from skyloom.detect.measure import measure, position_angle
from skyloom.images.fits import read_image

SHAPE = (120, 120)
MAJOR, MINOR, PA = BEAM.in_pixels(SCALE)
REAL = Path(__file__).parents[2] / "../shared/data/disk_winds"


def measured(data, radius=25, centre=(60, 60)):
    rows, columns = np.indices(data.shape)
    segments = (np.hypot(rows - centre[1], columns - centre[0]) < radius).astype(int)
    return measure(image(data), np.full(data.shape, 0.01), segments, 1)


@settings(deadline=None, max_examples=30)
@given(st.floats(55, 65), st.floats(55, 65), st.floats(1, 4), st.floats(0, 179))
def test_a_gaussian_comes_back(x, y, wide, pa):
    major, minor = 8.0 * wide**0.5, 8.0
    got = measured(gaussian(SHAPE, x, y, major, minor, pa))
    assert np.hypot(got.x - x, got.y - y) < 0.1
    assert got.flux == pytest.approx(major * minor / (MAJOR * MINOR), rel=0.02)
    assert got.fwhm_major / SCALE == pytest.approx(major, rel=0.06)
    assert got.fwhm_minor / SCALE == pytest.approx(minor, rel=0.06)
    assert got.size / SCALE == pytest.approx(np.sqrt(major * minor), rel=0.05)
    if major > 1.3 * minor:
        assert abs((got.pa - pa + 90) % 180 - 90) < 6


def test_a_point_has_its_peak_flux_and_the_sky_position_of_its_pixel():
    got = measured(gaussian(SHAPE, 60, 60, MAJOR, MINOR, PA, peak=0.7))
    assert got.peak_flux == pytest.approx(0.7)
    assert got.flux == pytest.approx(0.7, rel=0.01)
    sky = celestial(*SHAPE).pixel_to_world(60, 60)
    assert (got.ra, got.dec) == pytest.approx((sky.ra.deg, sky.dec.deg), abs=1e-7)


def test_faint_wings_do_not_change_the_size():
    core = gaussian(SHAPE, 60, 60, 10, 10, 0)
    winged = core + gaussian(SHAPE, 60, 60, 60, 12, 45, peak=0.1)
    assert measured(winged, 50).size == pytest.approx(measured(core, 50).size, rel=0.1)
    assert measured(winged, 50).flux > 1.4 * measured(core, 50).flux


def test_errors_hold_what_noise_does():
    offsets, fluxes = [], []
    source = gaussian(SHAPE, 60.3, 59.8, MAJOR, MINOR, PA, peak=0.2)
    for seed in range(60):
        got = measured(source + noise(SHAPE, 0.01, seed), 8)
        offsets += [(got.x - 60.3) * SCALE / got.pos_error, (got.y - 59.8) * SCALE / got.pos_error]
        fluxes.append((got.flux - 0.2) / got.flux_error)
    assert 0.5 < np.std(offsets) < 1.6
    assert 0.5 < np.std(fluxes) < 1.8


def test_position_angles_count_from_north_to_east():
    wcs = celestial(*SHAPE)
    assert position_angle(wcs, 60, 60, np.pi / 2) == pytest.approx(0, abs=0.01)
    assert position_angle(wcs, 60, 60, np.pi) == pytest.approx(90, abs=0.01)
    assert position_angle(wcs, 60, 60, 0.75 * np.pi) == pytest.approx(45, abs=0.01)


def test_the_edge_is_noticed():
    data = gaussian(SHAPE, 60, 60, MAJOR, MINOR, PA)
    assert not measured(data, 8).edge
    data[:55] = np.nan
    assert measured(data, 8).edge


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images of ../shared/data are not here")
@pytest.mark.parametrize(
    "name", ["b335_2017_band6_0", "serpenssouthc7_2019_band6_0", "HD100546_B6_ALMA01041775.cont.pbcor"]
)
def test_real_objects_are_where_their_images_have_them(name):
    real = read_image(REAL / f"{name}.fits")
    found = field_objects(real, 100, 5, 3, 8, 24, 16, 3)
    got = found.objects[0].measurement
    y, x = np.unravel_index(np.nanargmax(real.data), real.data.shape)
    brightest = real.wcs.pixel_to_world(x, y).icrs
    apart = np.hypot((got.ra - brightest.ra.deg) * np.cos(np.radians(got.dec)), got.dec - brightest.dec.deg) * 3600
    assert apart < real.beam.minor
    assert found.objects[0].native.data[50, 50] == pytest.approx(real.data[y, x], rel=0.1)
    parts, _ = ndimage.label(real.data > 3 * got.rms)
    footprint = ndimage.binary_dilation(parts == parts[y, x], iterations=2)
    assert got.flux == pytest.approx(np.nansum(real.data[footprint]) / real.beam_area, rel=0.05)
