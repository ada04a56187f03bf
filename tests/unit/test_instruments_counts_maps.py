"""Counts that are expected of point sources and background."""

import numpy as np
import pytest
from gamma_fixtures import RATE, WIDTH, response
from hypothesis import given
from hypothesis import strategies as st

from skyloom.instruments.counts_maps import Frame
from skyloom.sky.transients import Background, PointSource

inside = st.floats(-0.7, 0.7)


@given(st.floats(-2, 2), st.floats(-2, 2), st.sampled_from([100, 200]))
def test_offsets_come_back_from_pixels(lon, lat, side):
    frame = Frame(side, 0.025)
    assert frame.offset_of(*frame.pixel_of(lon, lat)) == pytest.approx((lon, lat))


def test_east_is_to_the_left_and_north_is_up():
    frame = Frame(100, 0.025)
    assert frame.pixel_of(0, 0) == (49.5, 49.5)
    x, y = frame.pixel_of(0.1, 0.2)
    assert x < 49.5 < y


@given(inside, inside, st.floats(0.1, 10), st.floats(10, 1000))
def test_all_counts_of_a_source_are_in_the_map_where_it_is(lon, lat, flux, time):
    seen, source = response(), PointSource(lon, lat, flux, 2.0)
    image = seen.expected_source(source, time)
    total = RATE * flux * time * (1 - 0.2 * source.offset)
    assert seen.expected_counts(source, time) == pytest.approx(total)
    assert image.sum() == pytest.approx(total, rel=0.002)
    y, x = np.indices(image.shape)
    found = (x * image).sum() / image.sum(), (y * image).sum() / image.sum()
    assert found == pytest.approx(seen.frame.pixel_of(lon, lat), abs=0.02)
    spread = ((x - found[0]) ** 2 * image).sum() / image.sum()
    assert np.sqrt(spread) * seen.frame.pixel == pytest.approx(WIDTH, rel=0.02)


def test_a_source_at_the_edge_leaves_what_falls_within():
    seen = response()
    image = seen.expected_source(PointSource(0.0, 48 * 0.025, 1.0, 2.0), 100.0)
    expected = seen.expected_counts(PointSource(0.0, 48 * 0.025, 1.0, 2.0), 100.0)
    assert image.sum() == pytest.approx(expected / 2, rel=0.02)
    assert seen.expected_source(PointSource(0.0, 5.0, 1.0, 2.0), 100.0).sum() == 0


def test_between_spectral_indices_the_rate_is_linear():
    seen = response()
    rates = [seen.expected_counts(PointSource(0, 0, 1, index), 1.0) for index in (2.0, 2.5, 3.0)]
    assert rates[1] == pytest.approx((rates[0] + rates[2]) / 2)
    assert rates[2] == pytest.approx(rates[0] / 2)


def test_the_background_follows_its_changes():
    seen = response()
    even = seen.expected_background(Background(), 100.0)
    assert even == pytest.approx(100 * seen.background)
    steep = seen.expected_background(Background(1.2, (0.1, 0.0), ()), 100.0) / even
    lon, _ = seen.frame.grid()
    assert steep == pytest.approx(1.2 * (1 + 0.1 * lon))
    patch = seen.expected_background(Background(1.0, (0.0, 0.0), ((0.3, -0.2, 0.2, 0.5),)), 100.0) / even
    row, column = np.unravel_index(patch.argmax(), patch.shape)
    assert seen.frame.offset_of(column, row) == pytest.approx((0.3, -0.2), abs=0.025)
    assert patch.max() == pytest.approx(1.5, abs=0.01)
    assert seen.expected_background(Background(1.0, (2.0, 0.0), ()), 1.0).min() == 0
