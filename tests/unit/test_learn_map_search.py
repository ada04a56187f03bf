"""The search of a counts map, with a cleaner that knows the truth in the networks' place."""

from types import SimpleNamespace

import numpy as np
import pytest
from gamma_fixtures import response, sky

from skyloom.learn import backend

backend.start(1)

from gammapy.stats import WStatCountsStatistic  # noqa: E402

from skyloom.detect.simulated_maps import observe  # noqa: E402
from skyloom.images import counts as counts_of  # noqa: E402
from skyloom.images.counts import CountsMap  # noqa: E402
from skyloom.learn import map_examples, map_search, running  # noqa: E402
from skyloom.learn.datasets import joined  # noqa: E402
from skyloom.sky.transients import Background, Field, PointSource  # noqa: E402

SETTINGS = SimpleNamespace(lowest_score=1.0)
PAIR = Field(300.0, 1, (PointSource(0.3, -0.4, 2.0, 2.0), PointSource(-0.45, 0.2, 4.0, 2.0)), Background())


def true_photons(field, seen):
    """Return the counts map, and in networks' pixels the counts times the true share of photons."""
    observed, rows = observe(field, seen, np.random.default_rng(3))
    source = sum(seen.expected_source(one, field.time) for one in field.sources)
    source, rest = (counts_of.binned(part) for part in (source, seen.expected_background(field.background, field.time)))
    counts = counts_of.binned(observed.counts)
    return observed, rows, counts, counts * source / (source + rest)


def test_binning_keeps_the_counts():
    counts = np.arange(24 * 31).reshape(24, 31)
    whole = counts_of.binned(counts)
    assert whole.shape == (12, 15)
    assert whole.sum() == counts[:, :30].sum()
    assert whole[1, 2] == counts[2:4, 4:6].sum()


def test_peaks_have_the_photons_of_their_sources():
    _, rows, counts, photons = true_photons(PAIR, response())
    found = sorted(map_search.find_peaks(counts, photons, 3.0), key=lambda one: one.photons)
    assert len(found) == 2
    for one, row in zip(found, sorted(rows, key=lambda row: row["counts"]), strict=True):
        assert (one.x * 2 + 0.5, one.y * 2 + 0.5) == pytest.approx((row["x"], row["y"]), abs=3)
        assert one.photons == pytest.approx(row["counts"], abs=4 * np.sqrt(row["counts"]))
        # Photons that are sure count as one each, which is less than a likelihood makes of them.
        assert 0.4 * row["snr"] < one.score < 1.1 * row["snr"]
        assert one.photons_error < np.sqrt(one.photons + one.background)


def test_significance_is_that_of_li_and_ma():
    _, _, counts, photons = true_photons(PAIR, response())
    level = np.full_like(counts, counts.mean())
    y, x = np.indices(counts.shape)
    inside = (x - 20) ** 2 + (y - 30) ** 2 <= 9
    alpha = inside.sum() / (4 * np.pi * map_search.BROAD**2)
    extra = counts.copy()
    extra[inside] += 5
    theirs = WStatCountsStatistic(extra[inside].sum(), level[inside].sum() / alpha, alpha).sqrt_ts
    assert map_search._significance(extra, level, inside) == pytest.approx(float(theirs), rel=1e-3)
    assert map_search._significance(np.zeros_like(counts), level, inside) == 0


def test_nothing_is_found_where_nothing_is():
    empty = np.zeros((48, 48), np.float32)
    assert map_search.find_peaks(empty, empty, 1.0) == []
    assert map_search.detection_table([]).colnames == list(map_search.COLUMNS)


def test_what_the_position_network_is_given_for_y_is_the_x_of_the_transposed_map():
    _, _, counts, photons = true_photons(PAIR, response())
    found = {(one.x, one.y): one for one in map_search.find_peaks(counts, photons, 3.0)}
    turned = {(one.y, one.x): one for one in map_search.find_peaks(counts.T, photons.T, 3.0)}
    assert set(found) == set(turned)
    for place, one in found.items():
        given = map_search.position_input(one, along_y=True)
        assert given == pytest.approx(map_search.position_input(turned[place], along_y=False), rel=1e-4, abs=1e-4)


class Cleaner:
    """Gives the true photons of one map, whatever it is shown."""

    input_shape = (None, 48, 48, 1)
    output_shape = (None, 48, 48, 2)

    def __init__(self, photons):
        self.photons = photons

    def predict_on_batch(self, x):
        return np.stack([self.photons, x[0, ..., 0]], axis=-1)[None]


class Centroid:
    """Measures x as the mean of a candidate's excess around its middle."""

    input_shape = (None, map_search.CROP, map_search.CROP, 5)
    output_shape = (None, 2)

    def predict_on_batch(self, x):
        part = np.clip(x[:, 8:24, 8:24, 0], 0.02, None) - 0.02
        offset = (part.sum(axis=1) * (np.arange(16) - 8)).sum(axis=1) / np.maximum(part.sum(axis=(1, 2)), 1e-6)
        return np.stack([offset, np.full(len(x), -2.0)], axis=1)


def test_rows_are_in_pixels_of_the_map():
    observed, rows, _, photons = true_photons(PAIR, response())
    seconds = {}
    networks = {"map": Cleaner(photons), "position": Centroid()}
    found = map_search.search_map(observed, networks, SETTINGS, running.Stages(seconds))
    assert set(seconds) == {"clean", "peaks", "positions"}
    sure = [row for row in found if row["score"] > 4]
    assert len(sure) == 2
    for row in rows:
        near = min(sure, key=lambda one: np.hypot(one["x"] - row["x"], one["y"] - row["y"]))
        assert (near["x"], near["y"]) == pytest.approx((row["x"], row["y"]), abs=2)
        assert near["x_error"] == pytest.approx(2 * np.exp(-1))


def test_examples_of_maps_are_counts_and_their_photons():
    seen = {1.0: response()}
    parts = list(map_examples.map_examples(seen, sky(), 5, np.random.default_rng, "train"))
    samples = joined(parts)
    assert samples.x.shape == samples.y.shape == (5, 48, 48, 1)
    assert (samples.y <= samples.x).all()
    assert set(samples.origin) == {"truth"}
    again = joined(list(map_examples.map_examples(seen, sky(), 5, np.random.default_rng, "train")))
    assert np.array_equal(samples.x, again.x)


def test_examples_of_positions_have_the_true_offsets():
    from skyloom.detect.simulated_maps import truth_table

    observed, rows, counts, photons = true_photons(PAIR, response())
    truth = truth_table([{"cube": 0, **row} for row in rows])
    samples = map_examples.predicted_positions(
        observed, truth, {"map": Cleaner(photons)}, SETTINGS, "train.cube_000000"
    )
    assert samples.x.shape == (4, map_search.CROP, map_search.CROP, 5)
    assert set(samples.group) == {"train.cube_000000"}
    peaks = [one for one in map_search.find_peaks(counts, photons, 1.0) if one.score > 3]
    wanted = sorted(
        value
        for one in peaks
        for row in rows
        for value in ((row["x"] - 0.5) / 2 - one.x, (row["y"] - 0.5) / 2 - one.y)
        if np.hypot((row["x"] - 0.5) / 2 - one.x, (row["y"] - 0.5) / 2 - one.y) < 3
    )
    assert np.sort(samples.y.ravel()) == pytest.approx(wanted, abs=1e-4)


def test_a_map_without_a_source_gives_no_example_of_a_position():
    from skyloom.detect.simulated_maps import truth_table

    observed = CountsMap(np.ones((96, 96), np.uint16), 0.025)
    cleaner = Cleaner(np.zeros((48, 48), np.float32))
    assert map_examples.predicted_positions(observed, truth_table([]), {"map": cleaner}, SETTINGS, "a") is None
