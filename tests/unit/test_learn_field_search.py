"""The search for diffuse emission: tiles, noise, islands, and what is measured of them."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skyloom.cases.diffuse_radio import Search
from skyloom.detect.local_noise import local_noise
from skyloom.images.radio_fields import Cluster, RadioField
from skyloom.learn import backend

backend.start(1)

import keras  # noqa: E402  (it reads its environment when it is imported)

from skyloom.learn import field_search as search  # noqa: E402
from skyloom.learn import field_tables  # noqa: E402
from skyloom.learn.running import Stages  # noqa: E402

RMS, PIXEL, BEAM = 1e-4, 4.5, 20.0


def a_field(shape=(400, 360), noise=RMS, cluster=None, seed=0, pixel=PIXEL, beam=BEAM) -> RadioField:
    from scipy.ndimage import gaussian_filter

    white = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(white, beam / pixel / math.sqrt(8 * math.log(2)))
    image = (smooth / smooth.std() * noise).astype(np.float32)
    return RadioField(image, pixel, (beam, beam, 0.0), 144.0, cluster)


def with_blob(field: RadioField, x, y, major, minor=None, pa=0.0, flux=0.1) -> RadioField:
    """Add a Gaussian; axes are FWHM [pixel], pa is North to East."""
    minor = minor or major
    rows, columns = np.indices(field.image.shape)
    along = -(columns - x) * math.sin(math.radians(pa)) + (rows - y) * math.cos(math.radians(pa))
    across = (columns - x) * math.cos(math.radians(pa)) + (rows - y) * math.sin(math.radians(pa))
    shape = np.exp(-4 * math.log(2) * ((along / major) ** 2 + (across / minor) ** 2))
    image = field.image + flux * field.beam_area * shape / shape.sum()
    return RadioField(image.astype(np.float32), field.pixel, field.beam, field.frequency, field.cluster)


def test_any_tiling_covers_every_pixel_once_or_twice_with_the_weight_one():
    @settings(max_examples=200, deadline=None)
    @given(st.integers(1, 3000), st.integers(3, 24), st.integers(0, 200), st.integers(0, 100))
    def check(side, tile, margin, blend):
        try:
            plan = search.tiling(side, 32 * tile, margin, blend)
        except ValueError:
            assume(False)
        total, count = np.zeros(side), np.zeros(side, int)
        for span in plan:
            total[span.outer(side)] += span.weight(side)
            count[span.outer(side)] += 1
            assert span.start == 0 or span.start - span.read.start >= margin
            assert span.stop >= side or span.read.stop - span.stop >= margin
            assert span.read.start % search.STEP == 0
        assert np.allclose(total, 1, atol=1e-5)
        assert count.min() == 1 and count.max() <= 2

    check()


@pytest.fixture(scope="module")
def narrow():
    """Return a network that sees 20 pixels around each, at several scales, as the real one does but less far."""
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 5))
    x = keras.layers.Conv2D(4, 4, strides=4, activation="silu")(image)
    x = keras.layers.Conv2D(4, 5, padding="same", activation="silu")(x)
    x = keras.layers.UpSampling2D(4)(x)
    x = keras.layers.Concatenate()([x, image])
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


@pytest.mark.parametrize(("tile", "margin", "blend"), [(96, 16, 0), (128, 20, 16), (160, 32, 32), (192, 16, 40)])
@pytest.mark.parametrize("shape", [(300, 210), (97, 311), (40, 33)])
def test_any_tiling_gives_the_same_map(narrow, shape, tile, margin, blend):
    field = with_blob(a_field(shape, pixel=9.0), shape[1] / 2, shape[0] / 3, 12, flux=0.3)
    one = search.scaled(field, Search())
    assert one.binning == 1
    whole = search.probability_map(one, narrow, Search(tile=4096))
    assert whole.shape == shape and np.isfinite(whole).all() and whole.std() > 0
    tiled = search.probability_map(one, narrow, Search(tile=tile, margin=margin, blend=blend))
    assert np.allclose(tiled, whole, atol=1e-6)


@pytest.mark.parametrize("pixel", [4.5, 9.0, 15.0])
def test_networks_see_noise_as_noise_whatever_it_is_smoothed_with(pixel):
    field = a_field((1200, 1200), pixel=pixel)
    seen = search.network_input(search.scaled(field, Search()), slice(0, 320), slice(32, 352))
    assert seen.shape == (320, 320, search.SIGNALS + 1)
    inner = np.sinh(seen[40:-40, 40:-40, : search.SIGNALS])
    assert inner.std(axis=(0, 1)) == pytest.approx(np.ones(4), rel=0.35)


def test_faint_wide_emission_stands_out_where_the_image_is_smoothed_and_a_compact_source_does_not():
    field = a_field((500, 500), pixel=9.0)
    wide = with_blob(field, 150, 250, 24, flux=0.035)
    both = with_blob(wide, 400, 250, 20 / 9, flux=1.0)
    seen = np.sinh(search.network_input(search.scaled(both, Search()), slice(0, 500), slice(0, 500)))
    assert seen[240:260, 140:160, 0].max() < 6 < seen[240:260, 140:160, 2].max()
    assert seen[245:256, 395:406, 0].max() > 1000 > 20 * seen[245:256, 395:406, 2].max()


def test_what_networks_see_of_a_part_is_what_they_see_of_the_whole():
    field = with_blob(a_field((260, 240), pixel=9.0), 100, 90, 15, flux=0.3)
    field.image[:40, 200:] = np.nan
    one = search.scaled(field, Search())
    whole = search.network_input(one, slice(0, 260), slice(0, 240))
    assert np.isfinite(whole).all() and not whole[:40, 200:, : search.SIGNALS].any()
    for rows, columns in (
        (slice(64, 128), slice(0, 96)),
        (slice(192, 256), slice(160, 240)),
        (slice(0, 32), slice(32, 64)),
    ):
        assert np.allclose(search.network_input(one, rows, columns), whole[rows, columns], atol=1e-6)
    beyond = search.network_input(one, slice(224, 288), slice(192, 256))
    assert np.allclose(beyond[:36, :48], whole[224:, 192:], atol=1e-6)
    assert not beyond[36:].any() and not beyond[:, 48:].any()
    assert search.network_input(one, slice(0, 32), slice(0, 32), "log").shape == (32, 32, 1)


def test_networks_know_how_far_the_cluster_is():
    field = a_field((100, 100), cluster=Cluster(60.5, 40.5, 20.0, 0.2))
    seen = search.network_input(search.scaled(field, Search()), slice(0, 32), slice(0, 64))[..., search.SIGNALS]
    assert seen[20, 30] == 0 and seen[20, 40] == pytest.approx(1) and seen[30, 30] == pytest.approx(1)
    assert seen[0, 0] == pytest.approx(np.hypot(20, 30) / 10) and seen.max() <= search.FAR
    unknown = search.network_input(search.scaled(a_field((100, 100)), Search()), slice(0, 32), slice(0, 32))
    assert (unknown[..., search.SIGNALS] == search.UNKNOWN).all()


def test_pixels_that_were_not_observed_have_no_probability(narrow):
    field = a_field((200, 200), pixel=9.0)
    field.image[:50, 30:60] = np.nan
    given = search.probability_map(search.scaled(field, Search()), narrow, Search())
    assert np.array_equal(np.isnan(given), np.isnan(field.image))


def test_tiles_lose_no_pixel():
    one = SimpleNamespace(image=np.zeros((2000, 2000)))
    seen = np.zeros((2000, 2000), int)
    places = list(search.tiles_of(one, 192))
    for rows, columns in places:
        assert rows.stop - rows.start == columns.stop - columns.start == 192
        seen[rows, columns] += 1
    assert seen.min() == 1 and len(places) == 11**2


@pytest.mark.parametrize("shape", [(210, 330), (64, 64), (40, 500)])
def test_noise_is_that_of_the_image_whatever_lies_in_it(shape):
    field = a_field(shape, pixel=9.0)
    bright = with_blob(field, shape[1] / 3, shape[0] / 2, 14, flux=1.0)
    bright.image[5:9, 5:9] += 1
    noise = local_noise(bright.image)
    rows, columns = slice(0, shape[0]), slice(0, shape[1])
    assert noise.of(rows, columns).shape == shape
    assert noise.typical == pytest.approx(RMS, rel=0.12)


def test_noise_follows_the_image():
    rng = np.random.default_rng(2)
    level = np.linspace(1, 3, 400)
    noise = local_noise(rng.normal(size=(400, 400)) * level)
    found = noise.of(slice(0, 400), slice(0, 400))
    assert np.median(np.abs(found / level - 1)) < 0.06
    part = noise.of(slice(100, 140), slice(7, 300))
    assert np.array_equal(part, found[100:140, 7:300])


def test_an_image_without_noise_is_told():
    with pytest.raises(ValueError, match="no noise"):
        local_noise(np.zeros((50, 50)))


def test_bins_are_means_of_what_was_observed():
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    image[0, 0] = np.nan
    image[2:4, 2:4] = np.nan
    found = search.binned(image, 2)
    assert found.shape == (2, 3)
    assert found[0, 0] == pytest.approx(np.nanmean(image[:2, :2]))
    assert np.isnan(found[1, 1]) and found[1, 2] == pytest.approx(image[2:4, 4:6].mean())


@given(st.floats(3, 60), st.floats(0.5, 10))
def test_networks_see_pixels_of_about_one_size(beam, pixel):
    assume(beam >= 2 * pixel)
    field = RadioField(np.zeros((2, 2), np.float32), pixel, (beam, beam, 0.0), 144.0)
    size = search.binning_of(field, 9.0) * pixel
    assert size >= 9.0 - pixel / 2 - 1e-9
    assert size <= max(9.0, beam / search.BEAM) + pixel / 2 + 1e-9


def test_places_go_there_and_back():
    one = search.scaled(a_field(), Search())
    assert one.binning == 2
    assert one.from_field(one.to_field(17.25)) == pytest.approx(17.25)
    assert one.to_field(0) == 0.5  # the middle of two pixels


def test_compact_sources_are_taken_out_and_emission_stays():
    field = with_blob(a_field(), 180, 200, 60, flux=0.5)
    mixed = field
    for x, y in ((150, 200), (180, 205), (205, 180), (60, 60)):
        mixed = with_blob(mixed, x, y, BEAM / PIXEL, flux=0.05)
    clean, dirty = (search.scaled(one, Search()) for one in (field, mixed))
    for part in ((slice(60, 140), slice(50, 130)), (slice(20, 40), slice(20, 40))):
        wanted = clean.image[part].sum() / clean.beam_area
        noise = RMS * math.sqrt(6400 * max(clean.beam_area, 1)) / clean.beam_area
        before = dirty.image[part].sum() / clean.beam_area
        after = search.without_compact(dirty)[part].sum() / clean.beam_area
        assert before - wanted > 0.045
        assert abs(after - wanted) < max(0.1 * wanted, 3 * noise)
    assert np.array_equal(
        search.without_compact(dirty)[20:50, 30:90], search.without_compact(dirty, slice(20, 50), slice(30, 90))
    )


@pytest.mark.parametrize("turn", [0.0, 22.5, 45.0, 70.0])
def test_a_narrow_relic_is_not_taken_for_a_compact_source(turn):
    field = a_field()
    y, x = np.indices(field.image.shape) - 180
    angle = math.radians(turn)
    across, along = y * math.cos(angle) - x * math.sin(angle), y * math.sin(angle) + x * math.cos(angle)
    width, length = BEAM / PIXEL, 12 * BEAM / PIXEL
    relic = 40 * RMS * np.exp(-4 * math.log(2) * ((across / width) ** 2 + (along / length) ** 2))
    one = search.scaled(replace(field, image=field.image + relic.astype(np.float32)), Search())
    wanted = relic.sum() / field.beam_area
    assert search.without_compact(one).sum() / one.beam_area == pytest.approx(wanted, rel=0.2)


def found_in(field: RadioField, level_map: np.ndarray, **changes) -> list[dict]:
    """Return the islands of a map that is put in place of a network's."""
    options = Search(**changes)
    one = search.scaled(field, options)
    islands, count = search.label_islands(level_map, options.level, options.least_area * one.beam_area)
    from scipy import ndimage

    boxes = ndimage.find_objects(islands, count)
    return [search.measured(field, one, level_map, islands, n, box, options) for n, box in enumerate(boxes, 1)]


@pytest.mark.parametrize(("pa", "major", "minor"), [(0, 60, 25), (35, 70, 30), (90, 50, 20), (140, 80, 30)])
def test_an_island_is_measured_as_it_is(pa, major, minor):
    field = with_blob(a_field(cluster=Cluster(180.0, 120.0, 60.0, 0.2)), 170, 210, major, minor, pa, 0.8)
    one = search.scaled(field, Search())
    rows, columns = np.indices(one.image.shape)
    x, y = columns * 2 + 0.5 - 170, rows * 2 + 0.5 - 210
    angle = math.radians(pa)
    along, across = -x * math.sin(angle) + y * math.cos(angle), x * math.cos(angle) + y * math.sin(angle)
    inside = (along / major) ** 2 + (across / minor) ** 2 < 1
    (row,) = found_in(field, inside * 0.9)
    assert row["x"] == pytest.approx(170, abs=2) and row["y"] == pytest.approx(210, abs=2)
    assert abs((row["pa"] - pa + 90) % 180 - 90) < 5
    assert row["las"] == pytest.approx(2 * major * PIXEL, rel=0.06)
    assert row["flux"] == pytest.approx(0.8, abs=3 * row["flux_error"])
    assert row["flux"] == pytest.approx(0.8, rel=0.12)
    assert row["distance"] == pytest.approx(math.hypot(-10, 90) * PIXEL, rel=0.03)
    assert row["distance_r500"] == pytest.approx(math.hypot(-10, 90) / 60, rel=0.03)
    assert (row["aligned"] > 0.2) if pa == 90 else (row["aligned"] < -0.2) if pa == 0 else True


def test_the_error_of_a_flux_is_that_of_the_noise():
    shape = (400, 360)
    inside = np.zeros((200, 180))
    inside[60:110, 70:120] = 0.9
    fluxes, errors = [], []
    for seed in range(40):
        (row,) = found_in(a_field(shape, seed=seed), inside, flux_scale=0.0)
        fluxes.append(row["flux"])
        errors.append(row["flux_error"])
    assert np.std(fluxes) == pytest.approx(np.mean(errors), rel=0.35)


def test_the_error_of_a_flux_knows_of_the_sources_that_were_subtracted():
    field = with_blob(a_field(), 180, 200, 60, flux=0.5)
    inside = np.zeros((200, 180))
    inside[60:140, 50:130] = 0.9
    (alone,) = found_in(field, inside)
    (beside,) = found_in(with_blob(field, 180, 205, BEAM / PIXEL, flux=2.0), inside)
    assert beside["flux"] == pytest.approx(alone["flux"], rel=0.2)
    assert beside["flux_error"] == pytest.approx(math.hypot(alone["flux_error"], 0.2), rel=0.1)


def test_small_islands_are_left_out_and_numbers_have_no_gap():
    chance = np.zeros((60, 60))
    chance[5:7, 5:7], chance[20:30, 20:30], chance[40:50, 5:25] = 0.9, 0.8, 0.7
    islands, count = search.label_islands(chance, 0.5, 20)
    assert count == 2 and set(np.unique(islands)) == {0, 1, 2} and islands[5, 5] == 0


def test_two_sources_that_touch_are_two_islands_and_one_with_structure_is_one():
    field = with_blob(with_blob(a_field(pixel=9.0), 120, 200, 30, flux=1.0), 160, 200, 40, 12, 0, flux=0.8)
    one = search.scaled(field, Search())
    light = search.scaled(
        RadioField(field.image - a_field(pixel=9.0).image, 9.0, field.beam, 144.0, None), Search()
    ).image
    chance = np.where(light > 0.5 * RMS, 0.9, 0.1)
    assert search.label_islands(chance, 0.5, 20)[1] == 1
    islands, count = search.find_islands(one, chance, Search())
    assert count == 2 and islands[200, 115] != islands[200, 160] > 0 < islands[200, 115]
    assert ((islands > 0) == (chance > 0.5)).all()
    rng = np.random.default_rng(4)
    y, x = np.indices((120, 120)) - 60
    halo = 8 * np.exp(-np.hypot(x, y) / 15) * np.exp(0.25 * rng.normal(size=(120, 120)))
    assert search.split_island(np.hypot(x, y) < 40, halo + rng.normal(size=halo.shape), 20).max() == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 60))
def test_parts_of_an_island_are_all_of_it_and_none_is_small(seed, least):
    rng = np.random.default_rng(seed)
    from scipy.ndimage import gaussian_filter
    from scipy.ndimage import label as labels

    rough = gaussian_filter(rng.normal(size=(60, 50)), 5)
    number = labels(rough > 0)[0]
    inside = number == np.argmax(np.bincount(number.ravel())[1:]) + 1
    parts = search.split_island(inside, 40 * rough / rough.max() + rng.normal(size=rough.shape), least)
    assert ((parts > 0) == inside).all()
    sizes = np.bincount(parts.ravel())[1:]
    assert len(sizes) == 1 or sizes.min() >= least


def test_the_region_is_the_box_of_two_r500():
    chance = np.zeros((100, 120))
    chance[40:61, 50:71] = 1.0
    assert search.region_mean(chance, 60, 50, 10) == 1.0
    assert search.region_mean(chance, 60, 50, 20) == pytest.approx(21**2 / 41**2)
    assert search.region_mean(chance, 0, 0, 10) == 0.0
    assert math.isnan(search.region_mean(np.full((30, 30), np.nan), 15, 15, 5))


@given(st.floats(4, 80), st.floats(-20, 140), st.floats(-20, 120))
@settings(max_examples=30, deadline=None)
def test_the_kind_is_told_by_the_same_part_of_a_cluster_of_any_size(r500, x, y):
    field = a_field((200, 240))
    one = search.scaled(field, Search())
    chance = np.full(one.image.shape, 0.25, np.float32)
    given = search.kind_input(one, chance, x, y, r500)
    assert given.shape == (64, 64, 4) and np.isfinite(given).all()
    inside = given[..., 2] > 0.99
    assert np.allclose(given[..., 0][inside], 0.25, atol=1e-3)
    assert given[..., 2].max() <= 1 + 1e-6 and (given[..., 0][given[..., 2] == 0] == 0).all()


def test_the_means_of_boxes_keep_the_sum():
    planes = np.random.default_rng(0).random((30, 40, 2))
    y, x = np.linspace(0, 30, 8), np.linspace(0, 40, 12)
    found = search._means(planes, y, x)
    assert found.sum(axis=(0, 1)) * (30 / 7) * (40 / 11) == pytest.approx(planes.sum(axis=(0, 1)))


def test_a_field_has_a_row_of_its_own_and_one_an_island(narrow):
    field = with_blob(a_field(cluster=Cluster(180.0, 200.0, 60.0, 0.2)), 180, 200, 60, flux=2.0)

    class Bright:
        """Says that what is bright is emission."""

        input_shape = (None, None, None, 5)
        output_shape = (None, None, None, 1)

        def predict_on_batch(self, x):
            return (x[..., :1] > 2.0).astype(np.float32)

    given = a_field(cluster=field.cluster)
    bright = Bright()
    size = search.of_size
    try:
        search.of_size = lambda network, shape: network
        full, empty = (search.search_field(one, {"map": bright}, Search(), Stages()) for one in (field, given))
    finally:
        search.of_size = size
    assert [row["island"] for row in full.rows] == [0, 1] and full.islands.max() == 1
    assert full.rows[0]["region_mean"] == full.rows[1]["region_mean"] > 0.1
    assert full.rows[0]["flux"] == full.rows[1]["flux"]
    assert [row["island"] for row in empty.rows] == [0] and empty.rows[0]["snr"] == 0
    table = field_tables.detection_table([{"cube": 0, **row} for row in full.rows])
    assert len(table) == 2 and str(table["flux"].unit) == "Jy"
    assert field_tables.detection_table([]).colnames == table.colnames
