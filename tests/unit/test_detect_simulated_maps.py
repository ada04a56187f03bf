"""Simulated counts maps, and how well any search could do on them."""

import numpy as np
import pytest
from gamma_fixtures import WIDTH, response, sky

from skyloom.detect.simulated_maps import observe, position_bound, significance, truth_table
from skyloom.sky.transients import Background, Field, PointSource, draw_field

ONE = Field(200.0, 1, (PointSource(0.3, -0.4, 1.0, 2.0),), Background())


def test_counts_are_those_that_are_expected():
    seen = response()
    maps = [observe(ONE, seen, np.random.default_rng(seed))[0] for seed in range(200)]
    photons = np.array([one.source_counts.sum() for one in maps], float)
    expected = float(seen.expected_source(ONE.sources[0], 200.0).sum())
    assert photons.mean() == pytest.approx(expected, abs=3 * np.sqrt(expected / 200))
    assert photons.var() == pytest.approx(expected, rel=0.35)
    rest = np.array([(one.counts.astype(int) - one.source_counts).sum() for one in maps], float)
    level = seen.expected_background(Background(), 200.0).sum()
    assert rest.mean() == pytest.approx(level, abs=3 * np.sqrt(level / 200))
    assert all((one.counts >= one.source_counts).all() for one in maps)


def test_the_truth_says_what_is_in_the_map():
    seen = response()
    observed, (row,) = observe(ONE, seen, np.random.default_rng(1))
    assert row["counts"] == observed.source_counts.sum()
    assert (row["x"], row["y"]) == pytest.approx(seen.frame.pixel_of(0.3, -0.4))
    assert row["offset"] == pytest.approx(0.5)
    assert row["expected"] == pytest.approx(seen.expected_counts(ONE.sources[0], 200.0))
    table = truth_table([{"cube": 0, **row}])
    assert table["radius_bound"].unit == "deg"
    assert truth_table([]).colnames == table.colnames


def test_significance_is_that_of_the_asimov_data_set():
    # One pixel: 2 ((s + b) ln(1 + s / b) - s).
    assert significance(np.array([[30.0]]), np.array([[100.0]])) == pytest.approx(2.8661, abs=1e-4)
    assert significance(np.array([[1.0]]), np.array([[10000.0]])) == pytest.approx(0.01, rel=0.01)
    assert significance(np.zeros((2, 2)), np.ones((2, 2))) == 0


def test_without_background_the_bound_is_the_width_over_the_root_of_the_counts():
    seen = response()
    image = seen.expected_source(PointSource(0.01, 0.02, 1.0, 2.0), 100.0)
    bound = position_bound(image, np.zeros_like(image)) * seen.frame.pixel
    assert bound == pytest.approx(WIDTH / np.sqrt(image.sum()), rel=0.03)
    assert position_bound(image, np.full_like(image, 5)) * seen.frame.pixel > 1.2 * bound
    assert np.isnan(position_bound(np.zeros_like(image), np.ones_like(image)))


def test_neighbours_make_a_source_less_significant():
    seen = response()
    near = Field(200.0, 1, (*ONE.sources, PointSource(0.3, -0.2, 5.0, 2.0)), Background())
    alone, beside = (observe(field, seen, np.random.default_rng(0))[1][0]["snr"] for field in (ONE, near))
    assert beside < 0.8 * alone


def test_equal_seeds_give_equal_maps():
    seen = response()
    first, again = (
        observe(draw_field(rng, sky(), [1]), seen, rng)[0]
        for rng in (np.random.default_rng(7), np.random.default_rng(7))
    )
    assert np.array_equal(first.counts, again.counts)
