"""The search of a counts map, with a cleaner that knows the truth in the networks' place."""

from types import SimpleNamespace

import numpy as np
import pytest
from gamma_fixtures import response, sky

from skyloom.learn import backend

backend.start(1)

from gammapy.stats import WStatCountsStatistic  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402
from skimage.feature import peak_local_max  # noqa: E402

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
    given = float(level[inside].sum()), int(inside.sum())
    assert map_search._significance(float(extra[inside].sum()), *given) == pytest.approx(float(theirs), rel=1e-3)
    assert map_search._significance(0.0, *given) == 0


def plain_peaks(counts, photons, lowest):
    """Measure peaks one by one, pixel by pixel, with scipy's Gaussian."""
    smooth = gaussian_filter(photons, map_search.PEAK, mode="constant")
    peaks = peak_local_max(smooth, min_distance=map_search.APART, threshold_abs=1e-6, exclude_border=False)
    y, x = np.indices(counts.shape)
    level, ones = (
        gaussian_filter(part, map_search.BROAD, mode="constant") for part in (counts - photons, counts * 0 + 1)
    )
    level = level / ones
    distance = np.stack([(x - column) ** 2 + (y - row) ** 2 for row, column in peaks])
    found = []
    for own, (row, column) in zip(distance, peaks, strict=True):
        nearest = own <= distance.min(axis=0)
        inside = nearest & (own <= map_search.INSIDE**2)
        some, given = photons[inside].sum(), (photons**2 / np.maximum(counts, 1))[inside].sum()
        if np.sqrt(given) >= lowest:
            noise = np.sqrt(some + level[own <= (map_search.INSIDE / 2) ** 2].sum() + 1)
            image = np.pad(np.where(nearest, counts - level, 0) / noise, map_search.CROP // 2)
            near = own <= map_search.NEAR**2
            found.append(
                {
                    "x": column,
                    "y": row,
                    "photons": some,
                    "photons_error": np.sqrt(some - given + 1),
                    "background": level[inside].sum(),
                    "score": np.sqrt(given),
                    "snr": map_search._significance(counts[near].sum(), level[near].sum(), near.sum()),
                    "width": np.sqrt((photons * own)[inside].sum() / some),
                    "image": image[row : row + map_search.CROP, column : column + map_search.CROP],
                }
            )
    return found


@pytest.mark.parametrize("lowest", [0.01, 1.0])
def test_peaks_are_measured_as_one_by_one(lowest):
    rng = np.random.default_rng(5)
    counts = rng.poisson(1.0, (64, 88)).astype(np.float32)
    # Some sources, two of them beside each other and some at the edges, upon many faint peaks.
    photons = 0.02 * counts * rng.uniform(size=counts.shape)
    for row, column in ((0, 0), (30, 40), (36, 44), (63, 50), (20, 87)):
        photons[row, column] = counts[row, column] = 40
    photons = photons.astype(np.float32)
    found, wanted = map_search.find_peaks(counts, photons, lowest), plain_peaks(counts, photons, lowest)
    assert len(found) == len(wanted) >= 5
    for one, other in zip(found, wanted, strict=True):
        for name, value in other.items():
            assert getattr(one, name) == pytest.approx(value, rel=1e-4, abs=1e-4)


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


def test_the_search_sees_nothing_but_the_counts():
    observed, _, _, photons = true_photons(PAIR, response())
    networks = {"map": Cleaner(photons), "position": Centroid()}
    found = map_search.search_map(observed, networks, SETTINGS, running.Stages({}))
    blind = CountsMap(observed.counts, observed.pixel)
    assert observed.source_counts is not None and blind.source_counts is None
    assert map_search.search_map(blind, networks, SETTINGS, running.Stages({})) == found != []


def test_examples_of_maps_are_counts_and_their_photons():
    seen = {1.0: response()}
    parts = list(map_examples.map_examples(seen, sky(), 5, np.random.default_rng, "train", map_examples.cleaned))
    samples = joined(parts)
    assert samples.x.shape == samples.y.shape == (5, 48, 48, 1)
    assert (samples.y <= samples.x).all()
    assert set(samples.origin) == {"truth"}
    again = joined(
        list(map_examples.map_examples(seen, sky(), 5, np.random.default_rng, "train", map_examples.cleaned))
    )
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
