"""Peers of the search for gamma-ray sources: what they find in maps whose sources are known."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skyloom.detect import gamma_peers
from skyloom.detect.simulated_maps import observe
from skyloom.images.counts import CountsMap
from skyloom.instruments import cherenkov, counts_maps
from skyloom.sky.transients import Background, Field, PointSource

ROOT = Path(__file__).resolve().parents[2]
SIDE, TIME, INDEX = 120, 300.0, counts_maps.CRAB_INDEX
"""A part of the field of view is enough, and faster to search."""
FINDERS = ("excess_map", "ts_map", "likelihood_fit")
BRIGHT = PointSource(0.31, -0.52, 2.0, INDEX)


@pytest.fixture(scope="module")
def known():
    performance = cherenkov.read_performance(ROOT / "resources/cherenkov/lst4.ecsv")
    frame = counts_maps.Frame(side=SIDE)
    return gamma_peers.Known(counts_maps.respond(cherenkov.make_irfs(performance, 20.0), frame, (0.03, 5.0)))


def seen(known, sources, seed, time=TIME, background=None):
    """A map, its truth and its background."""
    background = background or Background()
    field = Field(time, 20.0, tuple(sources), background)
    observed, rows = observe(field, known.response, np.random.default_rng(seed))
    return observed, rows, known.response.expected_background(background, time)


def empty_map(known):
    return CountsMap(np.zeros((SIDE, SIDE), np.uint16), known.response.frame.pixel)


def search(name, known, observed, background, threshold=5.0, sources=3):
    if name == "likelihood_fit":
        return gamma_peers.likelihood_fit(observed, known, background, threshold, sources)
    return getattr(gamma_peers, name)(observed, known, threshold)


def mean_and_error(values):
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("name", FINDERS)
def test_a_bright_source_is_found_where_it_is_with_its_photons(name, known):
    off, errors, photons, pulls = [], [], [], []
    for seed in range(20):
        observed, (truth,), background = seen(known, [BRIGHT], seed)
        found = search(name, known, observed, background)[0]
        off.append([found["x"] - truth["x"], found["y"] - truth["y"]])
        errors.append([found["x_error"], found["y_error"]])
        photons.append(found["photons"] - truth["expected"])
        pulls.append(photons[-1] / found["photons_error"])
    assert np.hypot(*np.transpose(off)).max() < 3.5
    for values in (off, photons):
        mean, error = mean_and_error(values)
        assert np.all(np.abs(mean) < 3 * error)
    assert 0.6 < np.std(pulls) < 1.6
    if name == "excess_map":
        assert np.isnan(errors).all()
    else:
        assert 0.7 < np.std(np.divide(off, errors)) < 1.4


def test_the_fit_is_as_good_as_it_can_be(known):
    off, pulls, bounds, snr = [], [], [], []
    rng = np.random.default_rng(3)
    for seed in range(100):
        lon, lat = rng.uniform(-0.7, 0.7, 2)
        observed, (truth,), background = seen(known, [PointSource(lon, lat, 1.5, INDEX)], 1000 + seed)
        fit = gamma_peers.likelihood_fit(observed, known, background)[0]
        off.append([fit["x"] - truth["x"], fit["y"] - truth["y"]])
        pulls.append([off[-1][0] / fit["x_error"], off[-1][1] / fit["y_error"]])
        bounds.append(truth["radius_bound"] / observed.pixel)
        snr.append(truth["snr"])
    assert 15 < np.mean(snr) < 20
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(np.sqrt(np.mean(np.square(bounds))), rel=0.15)
    assert np.std(pulls) == pytest.approx(1, abs=0.15)


def test_photometry_counts_what_a_circle_holds(known):
    excess, pulls, snr = [], [], []
    share = known.contained(*known.response.frame.pixel_of(BRIGHT.lon, BRIGHT.lat), 0.2)
    assert 0.7 < share < 0.95
    for seed in range(20):
        observed, (truth,), background = seen(known, [BRIGHT], seed)
        found = gamma_peers.aperture_photometry(observed, known, [(truth["x"], truth["y"])])[0]
        assert found["background"] == pytest.approx(known.around(background, truth["x"], truth["y"], 0.2), rel=0.1)
        excess.append(found["photons"] - share * truth["expected"])
        pulls.append(excess[-1] / found["photons_error"])
        snr.append(found["snr"])
        # The simple significance, as the background is known well.
        assert snr[-1] == pytest.approx(found["photons"] / found["photons_error"], rel=0.25)
    mean, error = mean_and_error(excess)
    assert abs(mean) < 3 * error
    assert 0.6 < np.std(pulls) < 1.6
    assert np.mean(snr) > 10


def test_photometry_without_a_source_is_noise(known):
    snr = [
        gamma_peers.aperture_photometry(seen(known, [], seed)[0], known, [(75.2, 40.6), (40.1, 62.3)])["snr"]
        for seed in range(20)
    ]
    assert abs(np.mean(snr)) < 0.5
    assert np.std(snr) == pytest.approx(1, abs=0.3)


def test_other_sources_are_no_background_of_photometry(known):
    frame = known.response.frame
    one, other = PointSource(0.0, 0.7, 2.0, INDEX), PointSource(0.0, -0.7, 20.0, INDEX)
    places = [frame.pixel_of(source.lon, source.lat) for source in (one, other)]
    observed = seen(known, [one, other], 5)[0]
    both = gamma_peers.aperture_photometry(observed, known, places)
    alone = gamma_peers.aperture_photometry(observed, known, places[:1])
    assert both["snr"][0] > alone["snr"][0] + 3
    assert both["photons"][0] == pytest.approx(
        known.contained(*places[0], 0.2) * known.response.expected_counts(one, TIME), abs=4 * both["photons_error"][0]
    )


@pytest.mark.parametrize("place", [(59.5, 59.5), (61.0, 59.0), (-40.0, 300.0)])
def test_photometry_has_no_figures_without_a_background(known, place):
    found = gamma_peers.aperture_photometry(seen(known, [BRIGHT], 1)[0], known, [place])
    assert np.isnan(found["snr"][0])
    assert np.isnan(found["photons"][0])
    assert found["x"][0] == place[0]


@pytest.mark.parametrize("name", FINDERS)
def test_noise_has_few_peaks(name, known):
    observed = [seen(known, [], 200 + seed) for seed in range(6)]
    assert sum(len(search(name, known, one, background)) for one, _, background in observed) <= 1


@pytest.mark.parametrize("name", FINDERS)
def test_two_sources_are_two(name, known):
    pair = [PointSource(-0.3, 0.2, 3.0, INDEX), PointSource(0.3, 0.2, 3.0, INDEX)]
    observed, truth, background = seen(known, pair, 8)
    found = search(name, known, observed, background)
    assert len(found) == 2
    for source in truth:
        distance = np.hypot(found["x"] - source["x"], found["y"] - source["y"])
        row = found[int(np.argmin(distance))]
        assert distance.min() < 3
        assert row["photons"] == pytest.approx(source["expected"], abs=4 * row["photons_error"])


@pytest.mark.parametrize("name", FINDERS)
def test_nothing_is_found_in_an_empty_map(name, known):
    found = search(name, known, empty_map(known), known.response.background * TIME, threshold=1.0)
    assert len(found) == 0
    assert found.colnames == list(gamma_peers.COLUMNS)
    assert found["photons"].unit == "ct"


def test_photometry_of_nothing_is_an_empty_table(known):
    nothing = gamma_peers.excess_map(empty_map(known), known)
    found = gamma_peers.aperture_photometry(seen(known, [], 1)[0], known, nothing)
    assert len(found) == 0
    assert found.colnames == list(gamma_peers.COLUMNS)


@pytest.mark.parametrize("name", FINDERS)
def test_results_are_the_same_twice(name, known):
    observed, _, background = seen(known, [BRIGHT], 4)
    first = search(name, known, observed, background, threshold=3.0)
    search(name, known, *seen(known, [], 6)[::2])
    # Nothing of another map is kept, and what is prepared anew is the same.
    for again in (known, gamma_peers.Known(known.response)):
        second = search(name, again, observed, background, threshold=3.0)
        for column in gamma_peers.COLUMNS:
            assert np.array_equal(first[column], second[column], equal_nan=True)
    assert list(first["score"]) == sorted(first["score"], reverse=True)


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize(
    ("source", "time"),
    [
        (PointSource(0.4, 0.4, 1.0, INDEX), 2.0),
        (PointSource(0.4, 0.4, 10.0, 1.8), 3600.0),
        (PointSource(1.45, 1.45, 10.0, INDEX), 600.0),
    ],
    ids=["faint", "very bright", "in the corner"],
)
def test_extremes_are_no_error(name, source, time, known):
    observed, (truth,), background = seen(known, [source], 12, time)
    found = search(name, known, observed, background, threshold=3.0, sources=1)
    assert np.isfinite(found["score"]).all()
    assert np.isfinite(found["photons"]).all()
    if truth["snr"] > 20:
        assert np.hypot(found["x"][0] - truth["x"], found["y"][0] - truth["y"]) < 4
        # Most of a source in the corner is not in the map.
        assert found["photons"][0] == pytest.approx(truth["expected"], rel=0.5)


def test_the_fit_bears_a_background_of_zero(known):
    observed = seen(known, [BRIGHT], 4)[0]
    found = gamma_peers.likelihood_fit(observed, known, np.zeros((SIDE, SIDE)))
    assert np.isfinite(found["score"]).all()


def test_a_background_is_scaled_to_the_map_without_its_sources(known):
    sources = [PointSource(-0.3, 0.2, 10.0, INDEX), PointSource(0.8, -0.8, 5.0, INDEX)]
    observed, _, background = seen(known, sources, 2, 1200.0, Background(scale=0.8))
    assert known.background(observed) == pytest.approx(background, rel=0.03)
    tilted = Background(scale=1.1, gradient=(0.1, -0.05))
    observed, _, background = seen(known, sources, 3, 1200.0, tilted)
    given = known.background(observed, gradient=True)
    assert given == pytest.approx(background, rel=0.05)
    assert np.abs(known.background(observed) / background - 1).max() > 0.08


def test_a_map_of_other_pixels_is_an_error(known):
    for counts, pixel in ((np.ones((64, 64)), 0.025), (np.ones((SIDE, SIDE)), 0.02)):
        with pytest.raises(ValueError, match="does not fit"):
            gamma_peers.excess_map(CountsMap(counts, pixel), known)
    with pytest.raises(ValueError, match="background"):
        gamma_peers.likelihood_fit(seen(known, [], 1)[0], known, np.ones((64, 64)))


def test_columns_are_those_of_the_search():
    # Read, not imported: that would take as long as all other tests.
    tree = ast.parse((ROOT / "scripts/skyloom/learn/map_search.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ("cube", *gamma_peers.COLUMNS) == ast.literal_eval(values["COLUMNS"])
    assert {name: unit for name, unit in gamma_peers.COLUMNS.items() if unit} == ast.literal_eval(values["UNITS"])


def test_the_module_is_light():
    code = "import skyloom.detect.gamma_peers, sys; assert not {'gammapy', 'regions', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)


def test_a_ring_around_the_pointing_tells_the_background(known):
    significances, excesses = [], []
    for seed in range(20):
        observed, (truth,), _ = seen(known, [BRIGHT], seed)
        row = gamma_peers.photometry_on_ring(observed, truth["x"], truth["y"])[0]
        significances.append(row["snr"])
        excesses.append(row["photons"] / known.contained(truth["x"], truth["y"], gamma_peers.ON_RADIUS))
    mean, error = mean_and_error(np.array(excesses)[:, None])
    assert mean[0] == pytest.approx(truth["expected"], abs=4 * error[0] + 0.03 * truth["expected"])
    assert np.mean(significances) > 5
    nothing = [seen(known, [], seed)[0] for seed in range(40)]
    noise = [gamma_peers.photometry_on_ring(one, 80.0, 40.0)["snr"][0] for one in nothing]
    assert abs(np.mean(noise)) < 0.5 and np.std(noise) == pytest.approx(1, abs=0.35)


def test_without_a_ring_there_is_no_significance(known):
    observed, _, _ = seen(known, [BRIGHT], 1)
    row = gamma_peers.photometry_on_ring(observed, (SIDE - 1) / 2, (SIDE - 1) / 2)[0]
    assert row["snr"] == row["score"] == 0
