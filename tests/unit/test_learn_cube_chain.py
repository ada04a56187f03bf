"""The chain of networks, with stand-ins for them: functions that know the truth, or read it off their input."""

import functools
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.cases.alma_cubes import Observation, Search, telescope_of
from skyloom.detect import line_search as search
from skyloom.detect import simulated_cubes
from skyloom.detect.match_sources import match_sources
from skyloom.errors import UserError
from skyloom.images.cubes import Cube
from skyloom.learn import backend
from skyloom.seeds import generator
from skyloom.sky import line_sources as sky

backend.start(1)

from skyloom.learn import cube_chain, running  # noqa: E402  (keras reads its environment when it is imported)

INSTRUMENTS = Path(__file__).parents[2] / "resources"
CHANNELS, SIDE = 64, 128
SHAPE = (5.0, 3.0, 30.0)
"""Of all sources, so that a stand-in knows the shape of whatever it is shown."""
RELATIVE = 0.05


@pytest.fixture(scope="module")
def telescope():
    return telescope_of(Observation(side=SIDE, channels=CHANNELS, integration=60), INSTRUMENTS)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Let a network be any function of its input."""
    monkeypatch.setattr(cube_chain, "outputs", lambda network, given, batch_size=64: network(np.asarray(given)))


def source(x, y, continuum, *lines):
    return sky.LineSource(x, y, *SHAPE, continuum, 0.0, tuple(sky.Line(*line) for line in lines))


def observed(telescope, sources, seed=1, channels=CHANNELS):
    """Return a cube with noise, its truth and its responses."""
    band = telescope.band
    data = telescope.signal(simulated_cubes.sky_parts(sources, band))
    data += telescope.noise(CHANNELS, generator(seed, "t")) * np.float32(band.rms)
    rms = np.full(channels, band.rms)
    cube = Cube(data[:channels], rms, band.beam, band.frequency[:channels], band.dirty_beam)
    responses = search.Responses(cube)
    rows = [{"cube": 0, **simulated_cubes.truth_row(n, one, band, responses)} for n, one in enumerate(sources)]
    return cube, simulated_cubes.truth_table(rows) if rows else Table(), responses


def lines_above(given):
    """Stand for the network of the lines: what is five times its noise, or nothing."""
    snr = np.sinh(4 * given[..., 1])
    return np.where(snr > 5, np.clip(given[..., 0], 0, 1), 0)[..., None]


@functools.cache
def peak_of_shape(telescope):
    """Return the peak [Jy/beam] of a source of `SHAPE` and 1 Jy, as it is measured."""
    band = telescope.band
    empty = np.zeros((1, SIDE, SIDE), np.float32)
    responses = search.Responses(Cube(empty, np.ones(1), band.beam, band.frequency[:1], band.dirty_beam))
    middle = search.STAMP // 2
    rows, columns = np.indices((search.STAMP, search.STAMP)) - middle
    return search.peak_of(responses.at(SHAPE, columns, rows), middle, middle)[2]


def networks(telescope, places):
    """Return a map with these places on it, and the networks of sources of `SHAPE`."""
    x, y = np.array(places, float).reshape(-1, 2).T
    targets = search.stamp_target(*([value] for value in SHAPE), [1 / peak_of_shape(telescope)])
    major, minor, cosine, sine, flux = targets[0]

    def always(*values):
        return lambda given: np.tile(np.array([*values, 2 * np.log(RELATIVE)]), (len(given), 1))

    return {
        "map": lambda given: search.map_target(x, y, (SIDE, SIDE))[None],
        "lines": lines_above,
        "fwhm_major": always(major),
        "fwhm_minor": always(minor),
        "pa": always(cosine, sine),
        "flux": always(flux),
    }


def places_of(sources):
    return [(one.x, one.y) for one in sources]


BRIGHT = [
    source(40.3, 45.7, 0.004, (20.3, 6.0, 0.01)),
    source(90.2, 40.1, 0.003, (45.0, 4.0, 0.01)),
    source(64.6, 90.2, 0.003, (33.2, 8.0, 0.006)),
    source(100.7, 92.4, 0.005),
    source(30.0, 95.0, 0.002, (50.0, 5.0, 0.006)),
]


@pytest.fixture(scope="module")
def field(telescope):
    return observed(telescope, BRIGHT)


@pytest.fixture
def rows(telescope, field):
    return cube_chain.search_cube(field[0], networks(telescope, places_of(BRIGHT)), Search())


# A whole cube


def test_all_bright_sources_are_found_where_they_are(field, rows):
    truth = field[1]
    found = cube_chain.detection_table([{"cube": 0, **row} for row in rows])
    matched = match_sources(truth, found, spectral=True)
    assert sorted(matched) == list(range(len(truth))), "each source once, and nothing else"
    found = found[matched]
    for name, limit in {"x": 0.3, "y": 0.3, "z": 1.0, "x0": 1, "x1": 1, "y0": 1, "y1": 1}.items():
        off = np.abs(np.asarray(found[name], float) - np.asarray(truth[name], float))
        assert np.nanmax(off) <= limit, name
        assert np.array_equal(np.isnan(off), np.isnan(truth["z"]) & (name == "z")), "a source without a line has no z"
    assert found["line_fwhm"][:3] == pytest.approx(truth["line_fwhm"][:3], rel=0.15)
    assert found["snr"] == pytest.approx(truth["snr"], rel=0.05, abs=3)


def test_fluxes_are_those_of_the_sky(field, rows):
    for wanted in field[1]:
        (row,) = (row for row in rows if np.hypot(row["x"] - wanted["x"], row["y"] - wanted["y"]) < 3)
        # The mean over the line's channels hangs on how many these are.
        fewer = (row["z1"] - row["z0"]) / (wanted["z1"] - wanted["z0"]) - 1
        assert row["flux"] == pytest.approx(wanted["flux"], rel=0.08 + abs(fewer))
        assert row["flux_error"] == pytest.approx(RELATIVE * row["flux"])
        assert abs(row["continuum"] - wanted["continuum"]) < 4 * row["continuum_error"] + 0.03 * wanted["continuum"]
        line = (row["flux"] - row["continuum"]) * (row["z1"] - row["z0"])
        wanted_line = (wanted["flux"] - wanted["continuum"]) * (wanted["z1"] - wanted["z0"])
        assert line == pytest.approx(wanted_line, rel=0.12, abs=1e-4)
        for name, value in zip(("fwhm_major", "fwhm_minor", "pa"), SHAPE, strict=True):
            assert row[name] == pytest.approx(value, rel=1e-3)


def test_the_search_sees_nothing_but_the_cube(telescope, field, rows):
    """Another sky gives other sources although the networks say the same, and the cube is left as it is."""
    cube = field[0]
    before = cube.data.copy()
    named = networks(telescope, [(one.x + 1, one.y - 1) for one in BRIGHT])
    moved = [
        source(one.x + 2, one.y - 2, one.continuum, *((line.centre + 5, line.fwhm, line.peak) for line in one.lines))
        for one in BRIGHT
    ]

    def placed(cube):
        rows = cube_chain.search_cube(cube, named, Search())
        return np.array(sorted((row["x"], row["y"], np.nan_to_num(row["z"])) for row in rows))

    here, there = placed(cube), placed(observed(telescope, moved)[0])
    assert (there - here)[:, :2] == pytest.approx(np.tile([2.0, -2.0], (5, 1)), abs=0.4)
    assert (there - here)[here[:, 2] > 0, 2] == pytest.approx(5, abs=1)
    assert np.array_equal(placed(cube), here), "the same cube gives the same sources"
    assert np.array_equal(cube.data, before)


def test_the_map_need_be_right_to_a_pixel_only(telescope, field, rows):
    off = networks(telescope, [(one.x + 1.5, one.y - 1) for one in BRIGHT])
    again = cube_chain.search_cube(field[0], off, Search())
    key = [(row["x"], row["y"]) for row in rows]
    assert len(again) == len(rows)
    for row in again:
        assert min(np.hypot(row["x"] - x, row["y"] - y) for x, y in key) < 0.3


def test_an_empty_cube_gives_nothing(telescope):
    cube = observed(telescope, [])[0]
    assert cube_chain.search_cube(cube, networks(telescope, []), Search()) == []
    noise = cube.integrated()
    y, x = np.unravel_index(np.argmax(noise), noise.shape)
    assert cube_chain.search_cube(cube, networks(telescope, [(x, y), (50, 50)]), Search()) == []


def test_a_cube_that_was_not_observed_gives_nothing(telescope, field):
    cube = field[0]
    gone = Cube(np.full_like(cube.data, np.nan), cube.rms, cube.beam, cube.frequency, cube.dirty_beam)
    assert cube_chain.search_cube(gone, networks(telescope, places_of(BRIGHT)), Search()) == []


def test_a_source_where_nothing_was_observed_is_none(telescope, field):
    cube = field[0]
    data = cube.data.copy()
    data[:, :, 75:] = np.nan
    part = Cube(data, cube.rms, cube.beam, cube.frequency, cube.dirty_beam)
    found = cube_chain.search_cube(part, networks(telescope, places_of(BRIGHT)), Search())
    assert sorted(round(row["x"]) for row in found) == [30, 40, 65]


def test_images_of_any_size_are_padded_for_the_map(telescope, field):
    cube = field[0]
    shapes = []

    def map_network(given):
        shapes.append(given.shape)
        whole = search.map_target(*np.array(places_of(BRIGHT)).T, (SIDE, SIDE))[None]
        return whole[:, : given.shape[1], : given.shape[2]]

    cut = Cube(cube.data[:, :119, :113], cube.rms, cube.beam, cube.frequency, cube.dirty_beam)
    found = cube_chain.find_regions(cut, map_network, Search())
    assert shapes == [(1, 64, 64, 2)]
    assert sorted(round(one.x) for one in found) == [30, 40, 65, 90, 101]


def test_the_time_of_each_stage_is_told(telescope, field):
    stages = running.Stages()
    for _ in range(2):
        cube_chain.search_cube(field[0], networks(telescope, places_of(BRIGHT[:1])), Search(), stages)
    assert set(stages.seconds) == {"map", "lines", "sources"} and min(stages.seconds.values()) > 0


# Lines


def lines_of(cube, places, telescope, responses):
    network = networks(telescope, places)
    candidates = cube_chain.find_regions(cube, network["map"], Search())
    assert len(candidates) == len(places)
    return cube_chain.find_lines(cube, candidates, network["lines"], Search(), responses)


def test_sources_over_each_other_are_split_by_their_frequencies(telescope):
    pair = [source(60.0, 64.0, 0.002, (18.0, 6.0, 0.008)), source(64.0, 64.5, 0.003, (44.0, 6.0, 0.008))]
    cube, truth, responses = observed(telescope, pair)
    found = sorted(lines_of(cube, [(62.0, 64.25)], telescope, responses), key=lambda one: one.z)
    assert [one.z for one in found] == pytest.approx([18, 44], abs=0.5)
    assert found[0].x < 61 < 63 < found[1].x
    rows = cube_chain.search_cube(cube, networks(telescope, [(62.0, 64.25)]), Search())
    matched = match_sources(truth, cube_chain.detection_table([{"cube": 0, **row} for row in rows]), spectral=True)
    assert sorted(matched) == [0, 1]
    for row, wanted in zip(sorted(rows, key=lambda row: row["z"]), truth, strict=True):
        assert (row["x"], row["y"]) == pytest.approx((wanted["x"], wanted["y"]), abs=0.3)


def test_a_faint_line_over_a_bright_one_is_found_in_a_second_look(telescope):
    pair = [source(60.0, 64.0, 0.004, (18.0, 6.0, 0.04)), source(64.0, 64.5, 0.001, (44.0, 6.0, 0.004))]
    cube, _, responses = observed(telescope, pair)
    found = sorted(lines_of(cube, [(60.5, 64.1)], telescope, responses), key=lambda one: one.z)
    assert [one.z for one in found] == pytest.approx([18, 44], abs=0.5)
    assert found[1].x == pytest.approx(64, abs=0.7)


def test_what_is_seen_over_a_source_does_not_enter_its_measures(telescope):
    # The second source is as wide and as bright as the first, and 40 % of what the beam shows of either is the other's.
    pair = [source(60.0, 64.0, 0.004, (18.0, 6.0, 0.01)), source(64.0, 64.5, 0.004, (44.0, 6.0, 0.01))]
    cube, truth, _ = observed(telescope, pair)
    rows = sorted(
        cube_chain.search_cube(cube, networks(telescope, places_of(pair)), Search()), key=lambda row: row["z"]
    )
    for row, wanted in zip(rows, truth, strict=True):
        assert (row["x"], row["y"]) == pytest.approx((wanted["x"], wanted["y"]), abs=0.25)
        assert row["flux"] == pytest.approx(wanted["flux"], rel=0.06)


def test_a_filter_shows_the_line_alone_only_where_another_source_lies_in_the_beam(telescope, field):
    cube = field[0]

    def filtered(*places):
        spectrum = 0.002 + 0.01 * np.exp(-4 * np.log(2) * ((np.arange(CHANNELS) - 20) / 6) ** 2)
        them = [search.Candidate(*place, 1.0, z=z, line_fwhm=6.0, spectrum=spectrum) for *place, z in places]
        return cube_chain.filter_of(cube, them, 0), them

    used, them = filtered((60, 60, 20.0), (63, 60, 45.0), (90, 60, 20.0))
    assert used.others == them[2:] and used.offset == pytest.approx(0.002, rel=0.01)
    for others in ([(90, 60, 45.0)], [(63, 60, 22.0)], []):
        used, them = filtered((60, 60, 20.0), *others)
        assert used.others == them[1:] and used.offset == 0
        assert np.array_equal(used.weights, cube_chain.template(them[0]))


@pytest.mark.parametrize("apart", [12.0, 26.0])
def test_a_source_with_two_lines_is_one(telescope, apart):
    one = source(60.0, 64.0, 0.003, (18.0, 6.0, 0.008), (18.0 + apart, 6.0, 0.005))
    cube, _, responses = observed(telescope, [one])
    (found,) = lines_of(cube, [(60.0, 64.0)], telescope, responses)
    assert (found.z, found.line_fwhm) == pytest.approx((18, 6), abs=0.7), "the brighter one is its line"
    assert (found.x, found.y) == pytest.approx((60, 64), abs=0.2)


def test_a_line_belongs_to_its_own_source_and_not_to_its_neighbour(telescope):
    pair = [source(58.0, 64.0, 0.003, (18.0, 6.0, 0.02)), source(70.0, 64.0, 0.004)]
    cube, _, responses = observed(telescope, pair)
    found = sorted(lines_of(cube, places_of(pair), telescope, responses), key=lambda one: one.x)
    assert len(found) == 2 and found[0].z == pytest.approx(18, abs=0.3)
    # What is left of the neighbour's line, whose shape is not known yet, is below a sixth of it.
    assert np.isnan(found[1].z) or found[1].spectrum[18] - np.median(found[1].spectrum) < 0.02 / 6


def test_candidates_of_one_source_are_merged(telescope):
    one = source(60.0, 64.0, 0.003, (30.0, 6.0, 0.008))
    cube, _, responses = observed(telescope, [one])
    twice = [search.Candidate(60.2, 64.0, 0.9), search.Candidate(59.4, 64.3, 0.5)]
    (found,) = cube_chain.find_lines(cube, twice, lines_above, Search(), responses)
    assert found.score == 0.9 and found.z == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("channels", [1, cube_chain.FEWEST_CHANNELS - 1])
def test_with_few_channels_no_line_is_looked_for(telescope, channels):
    one = source(60.0, 64.0, 0.02, (4.0, 4.0, 0.02))
    cube = observed(telescope, [one], channels=channels)[0]
    named = networks(telescope, [(60.0, 64.0)])
    named["lines"] = None
    (row,) = cube_chain.search_cube(cube, named, Search())
    assert np.isnan(row["z"]) and np.isnan(row["line_fwhm"]) and (row["z0"], row["z1"]) == (0, channels)
    wanted = 0.02 + sky.line_profile(one.lines, CHANNELS)[:channels].mean()
    assert row["flux"] == pytest.approx(wanted, rel=0.06)


def test_boxes_instead_of_solving_give_the_lines_of_lone_sources_too(telescope, field):
    named = networks(telescope, places_of(BRIGHT))
    rows = cube_chain.search_cube(field[0], named, Search(deblend=False))
    found = cube_chain.detection_table([{"cube": 0, **row} for row in rows])
    matched = match_sources(field[1], found, spectral=True)
    bright = np.asarray(field[1]["snr"]) > 50
    assert bright.sum() >= 3 and (matched[bright] >= 0).all()


# Single sources


def test_faint_false_candidates_are_dropped(telescope, field):
    false = (64.0, 64.0)
    named = networks(telescope, [*places_of(BRIGHT), false])

    def near(rows):
        return [row for row in rows if np.hypot(row["x"] - false[0], row["y"] - false[1]) < 8]

    rows = cube_chain.search_cube(field[0], named, Search())
    assert len(rows) == len(BRIGHT) and not near(rows)
    kept = cube_chain.search_cube(field[0], named, Search(focused_snr=0.01))
    assert len(kept) == len(BRIGHT) + 1 and near(kept)[0]["snr"] < 4


def test_without_candidates_there_is_no_row(telescope, field):
    assert cube_chain.characterise(field[0], [], networks(telescope, []), Search(), field[2]) == []


def test_without_networks_of_quantities_sources_are_placed_only(telescope, field):
    named = {role: networks(telescope, places_of(BRIGHT))[role] for role in ("map", "lines")}
    rows = cube_chain.search_cube(field[0], named, Search())
    assert len(rows) == len(BRIGHT) and "flux" not in rows[0] and "fwhm_major" not in rows[0]
    table = cube_chain.detection_table([{"cube": 3, **row} for row in rows])
    assert np.isnan(table["flux"]).all() and set(table["cube"]) == {3}


@settings(max_examples=30)
@given(
    st.floats(0.5, 9),
    st.floats(0, 179.9),
    st.floats(0.3, 3),
    st.floats(0.01, 0.3),
    st.floats(2, 500),
    st.floats(0.2, 3),
)
def test_estimates_are_in_pixels_degrees_and_units_of_the_noise(size, angle, flux, relative, snr, length):
    target = search.stamp_target([size], [size], [angle], [flux])[0]
    variance = 2 * np.log(relative)
    made = {
        "fwhm_major": lambda given: np.tile([target[0], variance], (len(given), 1)),
        "pa": lambda given: np.tile([length * target[2], length * target[3], variance], (len(given), 1)),
        "flux": lambda given: np.tile([target[4], variance], (len(given), 1)),
    }
    stamp = search.Focused(np.zeros((search.STAMP,) * 2, np.float32), 60.0, 60.0, 0.1, snr, 36, 36)
    found = cube_chain.estimate(made, [stamp] * 3)
    assert found["fwhm_major"] == pytest.approx([size] * 3, rel=1e-5)
    assert found["fwhm_major_error"] == pytest.approx([size * relative] * 3, rel=1e-5)
    assert found["flux"] == pytest.approx([flux * snr] * 3, rel=1e-5)
    assert found["flux_error"] == pytest.approx([flux * snr * relative] * 3, rel=1e-5)
    assert np.all((found["pa"] >= 0) & (found["pa"] < 180))
    assert np.abs((found["pa"] - angle + 90) % 180 - 90) == pytest.approx([0] * 3, abs=1e-3)
    assert found["pa_error"] == pytest.approx([min(np.degrees(relative / length) / 2, 52)] * 3, rel=1e-4)


def test_published_networks_which_give_no_errors_are_taken_too():
    target = search.stamp_target([6.0], [3.0], [30.0], [1.5])[0]
    places = {"fwhm_major": [0], "fwhm_minor": [1], "pa": [2, 3], "flux": [4]}
    made = {name: lambda given, some=some: np.tile(target[some], (len(given), 1)) for name, some in places.items()}
    stamp = search.Focused(np.zeros((search.STAMP,) * 2, np.float32), 60.0, 60.0, 0.1, 20.0, 36, 36)
    found = cube_chain.estimate(made, [stamp])
    assert [found[name][0] for name in places] == pytest.approx([6.0, 3.0, 30.0, 30.0], rel=1e-5)
    assert all(0 < found[f"{name}_error"][0] < np.inf for name in places)


def test_an_angle_without_a_direction_has_the_error_of_any_angle():
    made = {"pa": lambda given: np.tile([0.0, 0.0, 0.0], (len(given), 1))}
    stamp = search.Focused(np.zeros((search.STAMP,) * 2, np.float32), 60.0, 60.0, 0.1, 5.0, 36, 36)
    # 180 deg over the square root of twelve: the spread of angles drawn at random.
    assert cube_chain.estimate(made, [stamp])["pa_error"] == pytest.approx([180 / np.sqrt(12)], abs=0.1)


@given(st.floats(5, 58), st.floats(2, 10), st.floats(0, 0.01), st.floats(0.005, 0.05))
def test_the_template_of_a_source_is_its_spectrum(z, fwhm, continuum, peak):
    channels = np.arange(CHANNELS)
    spectrum = continuum + peak * np.exp(-4 * np.log(2) * ((channels - z) / fwhm) ** 2)
    one = search.Candidate(60.0, 60.0, 1.0, z=z, line_fwhm=fwhm, spectrum=spectrum, noise=1e-4)
    assert cube_chain.template(one) == pytest.approx(spectrum, abs=0.03 * peak)
    one.z, one.line_fwhm = np.nan, np.nan
    assert np.ptp(cube_chain.template(one)) == 0, "and flat without a line"


def test_a_template_is_never_negative(telescope):
    rng = generator(3, "t")
    for z in (30.0, np.nan):
        spectrum = -0.01 + 1e-3 * rng.standard_normal(CHANNELS)
        one = search.Candidate(60.0, 60.0, 1.0, z=z, line_fwhm=5.0, spectrum=spectrum, noise=1e-3)
        assert cube_chain.template(one).min() >= 0 and cube_chain.template(one).max() > 0


def test_a_table_without_rows_has_all_columns_with_their_units():
    empty = cube_chain.detection_table([])
    one = cube_chain.detection_table([{"cube": 1, "x": 3.5, **dict.fromkeys(cube_chain.WHOLE, 2)}])
    assert empty.colnames == one.colnames and len(empty) == 0
    for name in ("x", "y", "z", "flux", "continuum", "fwhm_major", "pa"):
        assert f"{name}_error" in empty.colnames
        assert empty[name].unit == empty[f"{name}_error"].unit
    assert empty["flux"].unit == "Jy" and empty["x"].unit == "pix" and empty["pa"].unit == "deg"
    assert empty["x0"].dtype.kind == empty["cube"].dtype.kind == "i"
    assert one["x"][0] == 3.5 and np.isnan(one["y"][0])


# Networks of another size


def test_a_network_of_convolutions_takes_any_size():
    import keras

    rng = generator(4, "t")
    inside = keras.Input((16, 16, 2), name="image")
    small = keras.Model(inside, keras.layers.Conv2D(1, 3, padding="same", name="conv")(inside), name="small")
    assert running.of_size(small, (16, 16, 2)) is small
    larger = running.of_size(small, (32, 48, 2))
    image = rng.normal(0, 1, (1, 32, 48, 2)).astype(np.float32)
    made = keras.ops.convert_to_numpy(larger(image))
    assert made.shape == (1, 32, 48, 1)
    part = keras.ops.convert_to_numpy(small(image[:, 8:24, 8:24]))
    assert made[0, 9:23, 9:23] == pytest.approx(part[0, 1:-1, 1:-1], abs=1e-5), "the weights are the same"
    assert running.of_size(small, (32, 48, 2)) is larger


def test_a_network_of_one_size_only_is_told():
    import keras

    inside = keras.Input((16, 16, 2), name="image")
    x = keras.layers.Dense(4, name="dense")(keras.layers.Flatten(name="flat")(inside))
    fixed = keras.Model(inside, x, name="fixed")
    with pytest.raises(UserError, match="fixed.*16x16.*32x32"):
        running.of_size(fixed, (32, 32, 2))
