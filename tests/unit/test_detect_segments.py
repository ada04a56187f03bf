import numpy as np
import pytest
from synthetic import BEAM, SCALE, gaussian, noise

from skyloom.detect.segments import find_segments, grown

AREA = BEAM.area(SCALE)
SHAPE = (160, 160)
SHAPES = {"major": 7, "minor": 5, "pa": 30}


def test_all_objects_are_found_brightest_first():
    at = [(40, 40, 20), (110, 50, 80), (70, 120, 40)]
    snr = noise(SHAPE, 1.0, 4) + sum(gaussian(SHAPE, x, y, **SHAPES, peak=peak) for x, y, peak in at)
    segments, blended = find_segments(snr, 5, 3, AREA)
    assert not blended.any() and len(blended) == 3
    assert [segments[y, x] for x, y, _ in at] == [3, 1, 2]


def test_noise_and_nothing_give_no_objects():
    for snr in (noise(SHAPE, 1.0, 5), np.full(SHAPE, np.nan), np.zeros(SHAPE)):
        segments, blended = find_segments(snr, 5, 3, AREA)
        assert segments.max() == 0 and len(blended) == 0


def test_a_close_companion_is_its_own_object():
    snr = noise(SHAPE, 1.0, 6) + gaussian(SHAPE, 80, 80, **SHAPES, peak=90) + gaussian(SHAPE, 92, 80, **SHAPES, peak=60)
    segments, blended = find_segments(snr, 5, 3, AREA)
    assert len(blended) == 2 and blended.all()
    assert segments[80, 80] == 1 and segments[80, 92] == 2


def test_wings_and_rings_stay_with_their_disc():
    rows, columns = np.indices(SHAPE) - 80
    radius = np.hypot(rows, columns)
    arm = 12 * np.exp(-0.5 * ((rows - columns) / 4) ** 2) * (columns > 0) * (radius < 45)
    ring = 40 * np.exp(-0.5 * ((radius - 18) / 3) ** 2)
    for wings in (arm, ring):
        snr = noise(SHAPE, 1.0, 7) + gaussian(SHAPE, 80, 80, 8, 8, 0, peak=100) + wings
        segments, blended = find_segments(snr, 5, 3, AREA)
        centre = segments[80, 80]
        assert not blended[centre - 1]
        assert (segments[wings > 11] == centre).mean() > 0.9


def test_missing_pixels_belong_to_nothing():
    snr = gaussian(SHAPE, 80, 80, **SHAPES, peak=50)
    snr[78:] = np.nan
    segments, blended = find_segments(snr, 5, 3, AREA)
    assert len(blended) == 1 and segments[78:].max() == 0


def test_grown_segments_contain_the_old_ones_and_do_not_overlap():
    snr = gaussian(SHAPE, 60, 80, **SHAPES, peak=50) + gaussian(SHAPE, 85, 80, **SHAPES, peak=50)
    segments, _ = find_segments(snr, 5, 3, AREA)
    wide = grown(segments, 5)
    assert (wide[segments > 0] == segments[segments > 0]).all()
    assert (wide > 0).sum() > (segments > 0).sum()
    assert sorted(np.unique(wide)) == [0, 1, 2]


@pytest.mark.parametrize("peak, count", [(4.0, 0), (8.0, 1)])
def test_a_segment_must_reach_the_threshold(peak, count):
    assert len(find_segments(gaussian(SHAPE, 80, 80, **SHAPES, peak=peak), 5, 3, AREA)[1]) == count
