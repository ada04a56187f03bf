"""The search for sources in patches of the gamma-ray sky: peaks, moments, networks, and what these learn from."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)

from skyloom.errors import UserError  # noqa: E402
from skyloom.images import patches  # noqa: E402
from skyloom.learn import chains, patch_examples, running  # noqa: E402
from skyloom.learn import patch_search as search  # noqa: E402
from skyloom.nets import band_unet, candidate_net  # noqa: E402

BANDS = ((1.0, 2.0), (2.0, 7.0))
SIDES = (64, 128)
WIDTH = 12.8
SETTINGS = SimpleNamespace(lowest_score=0.1)
PLACE = st.floats(20, 107)


def a_patch(sources=(), level=(4.0, 0.7), noisy=False, seed=1):
    """Return a patch with Gaussian sources (x, y, photons of each band) as wide as the search takes them to be."""
    counts = []
    for band, (side, mean) in enumerate(zip(SIDES, level, strict=True)):
        image = np.full((side, side), mean)
        sigma = 0.5 * search.psf_radius(*BANDS[band]) * side / WIDTH
        line = np.arange(side)
        for x, y, photons in sources:
            parts = [np.exp(-0.5 * ((line - patches.on_grid(one, side)) / sigma) ** 2) for one in (y, x)]
            image += photons[band] * np.outer(*parts) / (2 * np.pi * sigma**2)
        counts.append((np.random.default_rng(seed).poisson(image) if noisy else image).astype(np.float32))
    return patches.Patch(tuple(counts), np.full(2, 3e11), 60.0, 40.0, WIDTH, BANDS)


def truth(*sources):
    """Return a table of sources (x, y, flux, kind, snr)."""
    return Table(rows=sources or None, names=("x", "y", "flux", "kind", "snr"), dtype=(float, float, float, int, float))


@settings(deadline=None, max_examples=40)
@given(PLACE, PLACE)
def test_a_peak_is_where_its_source_is_and_as_high(x, y):
    wanted = patch_examples.wanted_map([{"x": x, "y": y, "snr": 9.0}])
    found = search.find_peaks(wanted, 0.1)
    assert len(found[0]) == 1
    assert (found[0][0], found[1][0]) == pytest.approx((x, y), abs=0.05)
    # What the Laplacian of Gaussian gives of such a source at the middle of the nearest pixel.
    away = (np.abs(x - np.round(x)) ** 2 + np.abs(y - np.round(y)) ** 2) / (4 * search.SIGMA**2)
    assert found[2][0] == pytest.approx((1 - away) * np.exp(-away), abs=0.03)


def test_faint_sources_are_lower_in_the_wanted_map_and_fainter_ones_not_in_it():
    heights = [patch_examples.wanted_map([{"x": 60, "y": 60, "snr": snr}]).max() for snr in (1.0, 2.0, 3.0, 30.0)]
    assert heights[0] == 0 < heights[1] < heights[2] == heights[3] == 1


def test_two_sources_apart_are_two_peaks_and_nothing_is_none():
    rows = [{"x": 60, "y": 60, "snr": 9}, {"x": 66, "y": 60, "snr": 9}]
    assert len(search.find_peaks(patch_examples.wanted_map(rows), 0.1)[0]) == 2
    assert [len(one) for one in search.find_peaks(np.zeros((patches.SIDE, patches.SIDE)), 0.1)] == [0, 0, 0]


def measured(patch, x, y):
    sources = np.zeros((patches.SIDE, patches.SIDE))
    return search.measure(
        patch, sources, *(np.atleast_1d(np.asarray(one, float)) for one in (x, y)), np.ones(np.size(x))
    )


def test_an_even_background_has_no_moments_even_at_the_edge():
    found = measured(a_patch(), [63.2, 1.0, 126.5], [63.9, 2.5, 60.1])
    for one in found.moments:
        assert np.abs(one).max() < 1e-3
    assert np.abs(found.counts).max() < 1e-2 and np.abs(found.snr).max() < 0.1


@settings(deadline=None, max_examples=25)
@given(st.floats(45, 82), st.floats(45, 82), st.floats(20, 2000))
def test_photons_of_a_source_are_counted_wherever_it_lies(x, y, photons):
    found = measured(a_patch([(x, y, (2 * photons, photons))]), x, y)
    # The level is taken from a Gaussian that holds the source, too.
    assert found.counts[0] == pytest.approx(3 * photons, rel=0.12)
    for one in found.moments[:2]:
        assert np.abs(one[0, :, 1::2, :]).max() < 0.12 and np.abs(one[0, :, :, 1::2]).max() < 0.12
        assert one[0, :, 0, 0].min() > 0.2


def test_first_moments_tell_the_side_on_which_a_source_lies():
    patch = a_patch([(64.0, 60.0, (500, 300))])
    east, west, north = measured(patch, [63.0, 65.0, 64.0], [60.0, 60.0, 61.0]).moments[0][:, 1]
    assert east[0, 1] > 0.5 and west[0, 1] < -0.5 and north[1, 0] < -0.5
    assert abs(north[0, 1]) < 0.05


@settings(deadline=None, max_examples=10)
@given(PLACE, PLACE, st.integers(0, 99))
def test_inputs_are_those_of_the_transposed_and_mirrored_patch(x, y, seed):
    patch = a_patch([(x + 0.7, y - 0.4, (300, 200))], noisy=True, seed=seed)
    found = measured(patch, x, y)
    turned = patches.Patch(tuple(one.T for one in patch.counts), patch.exposure, 60.0, 40.0, WIDTH, BANDS)
    np.testing.assert_allclose(found.inputs(True), measured(turned, y, x).inputs(), atol=2e-4)
    flipped = patches.Patch(tuple(one[:, ::-1] for one in patch.counts), patch.exposure, 60.0, 40.0, WIDTH, BANDS)
    mirrored = found.inputs(False, np.array([[True, False]]))
    np.testing.assert_allclose(mirrored, measured(flipped, patches.SIDE - 1 - x, y).inputs(), atol=2e-4)


def test_true_values_are_those_of_the_brightest_source_in_reach():
    found = measured(a_patch(), [50.0, 80.0, 100.0], [50.0, 80.0, 100.0])
    known = truth((51.0, 50.5, 1e-9, 0, 8.0), (49.5, 50.0, 3e-9, 1, 9.0), (80.5, 80.0, 1e-10, 2, 1.0))
    wanted = patch_examples.true_values(found, known, WIDTH / patches.SIDE)
    assert wanted[:, 0].tolist() == [1, 0, 0]
    assert wanted[0, 1:4].tolist() == [0, 1, 0] and np.exp(wanted[0, 4]) == pytest.approx(3)
    assert wanted[0, 5:].tolist() == [-0.5, 0.0]
    assert np.isnan(wanted[1:, 1:]).all()
    assert np.isnan(patch_examples.true_values(found, truth(), 0.1)[:, 1:]).all()


class Told:
    """A network that gives the same for every input."""

    def __init__(self, *values):
        self.values, self.output_shape = np.array(values), (None, len(values))

    def predict_on_batch(self, images):
        return np.repeat(self.values[None], len(images), axis=0).astype(np.float32)


class Mapped:
    """A network that gives a map, whatever it sees."""

    def __init__(self, sources):
        self.sources, self.output_shape = sources, (None, *sources.shape, 1)

    def predict_on_batch(self, images):
        return self.sources[None, ..., None].astype(np.float32)


def test_rows_say_what_the_networks_say():
    wanted = patch_examples.wanted_map([{"x": 60.0, "y": 70.0, "snr": 9}])
    networks = {"map": Mapped(wanted), "real": Told(2.5), "kind": Told(0.0, np.log(3), 0.0)}
    networks |= {"flux": Told(np.log(2), 2 * np.log(0.1)), "position": Told(0.5, 2 * np.log(0.3))}
    networks |= {"position.1": Told(0.3, 2 * np.log(0.3))}
    stages = running.Stages()
    (row,) = search.search_patch(a_patch(), networks, SETTINGS, stages)
    assert set(stages.seconds) == {"map", "candidates", "networks"}
    assert row["real"] == pytest.approx(2.5) and row["p_pulsar"] == pytest.approx(0.6)
    assert (row["flux"], row["flux_error"]) == pytest.approx((2e-9, 2e-10))
    assert (row["x"], row["y"]) == pytest.approx((60.4, 70.4), abs=0.05)
    assert row["x_error"] == pytest.approx(np.hypot(0.3, 0.1))
    assert row["xy_correlation"] == pytest.approx(0.1)
    lon, lat = patches.patch_wcs(a_patch()).all_pix2world(row["x"], row["y"], 0)
    assert (row["lon"], row["lat"]) == pytest.approx((float(lon), float(lat)))
    table = search.detection_table([{"cube": 4, **row}])
    assert table["flux"].unit == "1 / (cm2 s)" and table["cube"][0] == 4


def test_a_map_alone_gives_places_and_an_empty_one_no_row():
    wanted = patch_examples.wanted_map([{"x": 60.0, "y": 70.0, "snr": 9}])
    (row,) = search.search_patch(a_patch(), {"map": Mapped(wanted)}, SETTINGS)
    assert (row["x"], row["x_error"], row["p_agn"]) == (pytest.approx(60, abs=0.05), 1, pytest.approx(1 / 3))
    assert search.search_patch(a_patch(), {"map": Mapped(0 * wanted)}, SETTINGS) == []
    assert len(search.detection_table([])) == 0


def test_candidates_are_shown_twice_with_what_is_true_of_each_axis():
    wanted = patch_examples.wanted_map(
        [{"x": 60, "y": 70, "snr": 9}, {"x": 90, "y": 30, "snr": 9}, {"x": 4, "y": 60, "snr": 9}]
    )
    known = truth((60.4, 69.0, 2e-9, 1, 8.0))
    given = patch_examples.predicted_candidates(
        a_patch(), known, {"map": Mapped(wanted)}, SETTINGS, "train.cube_1", np.random.default_rng(1)
    )
    # The candidate at the edge of the patch is not learnt from.
    assert given.x.shape == (4, candidate_inputs()) and given.y.shape == (4, len(patch_examples.TARGETS))
    true = given.y[:, 0] == 1
    assert true.sum() == 2 and np.isnan(given.y[~true, 1:]).all()
    assert np.abs(given.y[true, -1]) == pytest.approx([0.4, 1.0], abs=0.05)
    assert len(set(given.id)) == 4 and set(given.group) == {"train.cube_1"}


def candidate_inputs():
    return measured(a_patch(), 60, 60).inputs().shape[1]


def test_members_of_an_ensemble_are_told_by_their_roles():
    networks = {"position": "a", "position.1": "b", "position.2": "c", "real": "d"}
    assert chains.members(networks, "position") == ["a", "b", "c"]
    assert chains.members(networks, "real") == ["d"] and chains.members(networks, "flux") == []


@pytest.mark.parametrize("sides", [(32,), (64, 128), (32, 32, 64, 128, 256), (256, 256)])
def test_the_network_gives_a_map_on_the_reference_grid_whatever_the_bands(sides):
    packed = patches.packed([np.random.default_rng(1).poisson(2, (side, side)) for side in sides])
    network = band_unet.build(packed.shape, widths=(4, 4, 4, 4), details=4)
    given = network.predict_on_batch(packed[None].astype(np.float32))
    assert given.shape == (1, patches.SIDE, patches.SIDE, 1)
    assert given.max() < 0.2  # sources are rare before anything is learnt
    with pytest.raises(UserError, match="100 rows are no maps"):
        band_unet.build((100, 32, 1))


def test_features_do_not_depend_on_the_level_but_for_the_noise():
    model = band_unet.build((32, 32, 1), widths=(4, 4, 4, 4), details=4)
    features = keras.Model(model.inputs, model.get_layer("band_0_excesses").output)
    images = np.full((2, 32, 32, 1), 4.0, np.float32)
    images[1] *= 100
    given = features.predict_on_batch(images)
    assert np.abs(given[..., :-1]).max() < 1e-3
    np.testing.assert_allclose(given[1, ..., -1] - given[0, ..., -1], np.log(10), atol=1e-3)
    images[:, 16, 16] += np.array([4.0, 40.0])[:, None]  # two standard deviations each
    given = features.predict_on_batch(images)[:, 16, 16]
    np.testing.assert_allclose(given[0, :-1], given[1, :-1], atol=0.1)


def test_packed_maps_are_turned_band_by_band():
    counts = [np.arange(side**2).reshape(side, side) % 997 for side in (32, 64)]
    turned = band_unet.half_turned(patches.packed(counts)[None])[0]
    np.testing.assert_array_equal(turned, patches.packed([one[::-1, ::-1] for one in counts]))


def test_the_network_of_candidates_begins_near_nothing_and_learns():
    network = candidate_net.build((12,), 1, width=32, blocks=2, dropout=0.0)
    random = np.random.default_rng(2)
    x = random.normal(size=(64, 12)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:2] > 0).astype(np.float32)
    network.compile(keras.optimizers.AdamW(5e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = [network.train_on_batch(x, y) for _ in range(50)]
    assert float(losses[-1]) < 0.4 < float(losses[0])
