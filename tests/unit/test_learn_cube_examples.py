from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize, signal

from skyloom.cases.alma_cubes import Observation, Search, Sky, telescope_of
from skyloom.detect import line_search as search
from skyloom.detect import simulated_cubes
from skyloom.detect.simulated_cubes import simulate_cube, sky_parts
from skyloom.images.cubes import Cube
from skyloom.instruments import interferometer as radio
from skyloom.learn import cube_examples
from skyloom.sky import line_sources as sky

INSTRUMENTS = Path(__file__).resolve().parents[2] / "resources"
SIDE, CHANNELS = 96, 48
KINDS = Sky(overlapping=0.5, rotating=0.3, more_lines=0.3, double_peaked=0.3, continuum_only=0.2)
STILL = KINDS.model_copy(update={"rotating": 0.0})
BRIGHT = (1e3, 1e3)  # mJy/pixel, beside which there is no noise
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def telescope():
    return telescope_of(Observation(side=SIDE, channels=CHANNELS, integration=120.0), INSTRUMENTS)


@pytest.fixture(scope="module")
def band(telescope):
    return telescope.band


@pytest.fixture(scope="module")
def responses(band):
    return search.Responses(cube_of(np.zeros((1, SIDE, SIDE), np.float32), band))


def cube_of(data, band):
    rms = np.full(len(data), band.rms)
    return Cube(data, rms, band.beam, band.frequency[: len(data)], band.dirty_beam)


def at(image, x, y):
    """Return the value of an image between its pixels."""
    return ndimage.map_coordinates(np.asarray(image, float), [[y], [x]], order=5)[0]


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("x", "y", "id", "group", "origin"))


# Truth


@given(seed=seeds)
@settings(max_examples=8)
def test_truth_agrees_with_the_noiseless_cube_of_each_source(telescope, band, responses, seed):
    for number, source in enumerate(sky.draw_sources(np.random.default_rng(seed), KINDS, CHANNELS, SIDE)):
        row = simulated_cubes.truth_row(number, source, band, responses)
        parts = sky_parts([source], band)
        inside = slice(row["z0"], row["z1"])
        flux = sum(image.sum(dtype=float) * spectrum[inside].mean() for image, spectrum in parts)
        assert row["flux"] == pytest.approx(flux, rel=0.02)
        clean = cube_of(telescope.signal(parts), band)
        assert row["peak"] == pytest.approx(at(clean.data[inside].mean(axis=0), source.x, source.y), rel=0.02)
        mask = np.zeros(CHANNELS)
        mask[inside] = 1
        assert row["snr"] == pytest.approx(at(clean.summed(mask), source.x, source.y), rel=0.02)
        assert (row["x"], row["y"], row["pa"]) == (source.x, source.y, source.pa)
        assert (row["fwhm_major"], row["fwhm_minor"]) == (source.fwhm_major, source.fwhm_minor)
        assert row["continuum"] == source.continuum and row["source"] == number


def source_with(lines=(), fwhm=(6.0, 4.0), pa=30.0, gradient=0.0, place=(48.3, 47.8)):
    return sky.LineSource(*place, *fwhm, pa, 0.01, 0.0, lines, gradient)


@given(centre=st.floats(20, 27), fwhm=st.floats(3, 10))
@settings(max_examples=40)
def test_truth_of_a_line_by_hand(band, responses, centre, fwhm):
    row = simulated_cubes.truth_row(0, source_with((sky.Line(centre, fwhm, 0.05),)), band, responses)
    assert (row["z"], row["line_fwhm"]) == pytest.approx((centre, fwhm), abs=0.12)
    assert abs(row["z0"] - (centre - fwhm)) <= 1.1 and abs(row["z1"] - 1 - (centre + fwhm)) <= 1.1
    # A Gaussian has 98 % of itself within one full width of its centre; a channel is 13.03 km/s wide.
    assert row["line_flux"] == pytest.approx(0.98 * 0.05 * fwhm * 1.0645 * 299792.458 * 0.01 / 230, rel=0.03)


def test_a_source_without_a_line_is_looked_at_in_all_channels(band, responses):
    row = simulated_cubes.truth_row(0, source_with(), band, responses)
    assert np.isnan(row["z"]) and np.isnan(row["line_fwhm"]) and row["line_flux"] == 0
    assert (row["z0"], row["z1"]) == (0, CHANNELS)
    assert row["flux"] == pytest.approx(0.01)


def test_a_rotating_disc_has_its_whole_line_in_the_truth(band, responses):
    line = (sky.Line(24.0, 5.0, 0.05),)
    still, turning = (
        simulated_cubes.truth_row(0, source_with(line, gradient=gradient), band, responses) for gradient in (0, 0.8)
    )
    assert turning["line_fwhm"] == pytest.approx(np.hypot(5, 0.8 * 6), rel=0.02)
    assert turning["line_flux"] == pytest.approx(still["line_flux"], rel=0.03)
    assert turning["flux"] < still["flux"]


@given(
    st.floats(40, 56),
    st.floats(40, 56),
    st.lists(st.floats(2, 8), min_size=2, max_size=2).map(sorted),
    st.floats(0, 179.9),
)
@settings(max_examples=40)
def test_the_box_reaches_to_a_full_width_of_the_source_as_the_beam_shows_it(band, responses, x, y, fwhm, pa):
    """There a Gaussian has fallen to one sixteenth, as it has to a half at half that distance."""
    source = source_with(fwhm=fwhm[::-1], pa=pa, place=(x, y))
    row = simulated_cubes.truth_row(0, source, band, responses)
    beam = radio.Beam(*(width * band.pixel for width in band.beam[:2]), band.beam[2])
    image = radio.restore(sky.gaussian(source, (SIDE, SIDE)), beam, band.pixel)
    rows, columns = np.nonzero(image >= at(image, x, y) / 16)
    for low, high, places in ((row["x0"], row["x1"], columns), (row["y0"], row["y1"], rows)):
        assert places.min() - 1.01 <= low <= places.min()
        assert places.max() + 1 <= high <= places.max() + 2.01


def test_the_truth_table_has_units():
    table = simulated_cubes.truth_table([{"x": 1.0, "flux": 0.1, "peak": 0.2, "pa": 3.0, "snr": 5.0, "line_flux": 1.0}])
    units = {name: str(table[name].unit) for name in ("x", "flux", "peak", "pa", "line_flux")}
    assert units == {"x": "pix", "flux": "Jy", "peak": "Jy / beam", "pa": "deg", "line_flux": "Jy km / s"}


# Whole cubes


@given(seed=seeds)
@settings(max_examples=4)
def test_a_cube_is_its_sources_and_noise(telescope, band, seed):
    cube, rows = simulate_cube(telescope, KINDS, np.random.default_rng(seed))
    sources = sky.draw_sources(np.random.default_rng(seed), KINDS, CHANNELS, SIDE)
    assert [(row["x"], row["y"]) for row in rows] == [(source.x, source.y) for source in sources]
    assert [row["source"] for row in rows] == list(range(len(sources)))
    rest = cube.data - telescope.signal(sky_parts(sources, band))
    assert rest.std() == pytest.approx(band.rms, rel=0.03)
    assert np.abs(rest.mean(axis=0)).max() < 6 * band.rms / np.sqrt(CHANNELS)
    assert cube.data.shape == (CHANNELS, SIDE, SIDE) and cube.data.dtype == np.float32
    assert np.array_equal(cube.rms, np.full(CHANNELS, band.rms)) and np.array_equal(cube.frequency, band.frequency)
    assert np.array_equal(cube.dirty_beam, band.dirty_beam) and cube.beam == band.beam


def test_a_bright_source_is_seen_where_the_truth_has_it(telescope):
    one = Sky(fewest=1, most=1, brightness=(50, 50), rotating=0, more_lines=0, continuum_only=0)
    for seed in range(5):
        cube, (row,) = simulate_cube(telescope, one, np.random.default_rng(seed))
        mask = np.zeros(CHANNELS)
        mask[row["z0"] : row["z1"]] = 1
        image = cube.summed(mask)
        y, x = np.unravel_index(image.argmax(), image.shape)
        assert np.hypot(x - row["x"], y - row["y"]) < 1.2
        assert image.max() == pytest.approx(row["snr"], rel=0.05)
        spectrum = cube.data[:, y, x]
        assert abs(np.argmax(spectrum) - row["z"]) <= 0.5 * row["line_fwhm"] + 1
        assert spectrum[mask > 0].mean() == pytest.approx(row["peak"], rel=0.05)


def test_equal_seeds_make_equal_cubes(telescope):
    (one, rows), (other, more), (third, _) = (
        simulate_cube(telescope, KINDS, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.data, other.data) and str(rows) == str(more)
    assert not np.array_equal(one.data, third.data)


# Maps


def generator_of(number):
    return np.random.default_rng([7, number])


def maps(telescope, kinds, count, **options):
    return list(cube_examples.map_examples(telescope, kinds, count, generator_of, "train", **options))


def test_maps_have_their_shapes_and_names(telescope):
    blocks = maps(telescope, STILL, 5, block=3)
    assert [len(block) for block in blocks] == [3, 2]
    assert blocks[0].x.shape == (3, SIDE // 2, SIDE // 2, 2) and blocks[0].y.shape == (3, SIDE // 2, SIDE // 2, 1)
    assert blocks[0].x.dtype == blocks[0].y.dtype == np.float32
    names = [name for block in blocks for name in block.id]
    assert len(set(names)) == 5 and all(name.startswith("train.") for name in names)
    assert set(blocks[1].origin) == {"truth"}


def test_maps_do_not_depend_on_the_blocks_or_on_their_number(telescope):
    (whole,) = maps(telescope, STILL, 3)
    for blocks in (maps(telescope, STILL, 3, block=2), maps(telescope, STILL, 3, block=1), maps(telescope, STILL, 4)):
        for name in ("x", "y", "id"):
            parts = np.concatenate([getattr(block, name) for block in blocks])
            assert np.array_equal(parts[:3], getattr(whole, name))
    assert not np.array_equal(whole.x[0], whole.x[1])


def test_a_map_is_the_integrated_image_of_the_cube_with_the_same_sources(telescope):
    kinds = KINDS.model_copy(update={"brightness": BRIGHT})
    (examples,) = maps(telescope, kinds, 3)
    for number, found in enumerate(examples.x):
        cube, _ = simulate_cube(telescope, kinds, generator_of(number))
        linear, above = np.moveaxis(np.abs(found - search.map_input(cube.integrated())), -1, 0)
        assert linear.max() < 1e-3
        assert above[np.abs(found[..., 0]) > 0.05].max() < 1e-3


def test_maps_have_noise_of_one(telescope):
    dark = Sky(fewest=1, most=1, brightness=(1e-9, 1e-9), rotating=0)
    (examples,) = maps(telescope, dark, 60)
    snr = 3 * np.sinh(5 * examples.x[..., 1])
    noise = telescope.noise(200, np.random.default_rng(1)).reshape(200, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    assert snr.std() == pytest.approx(noise.std(), rel=0.05)


def test_targets_have_a_peak_at_every_source(telescope):
    kinds = Sky(fewest=4, most=4, overlapping=0, rotating=0)
    (examples,) = maps(telescope, kinds, 12)
    for number, target in enumerate(examples.y[..., 0]):
        sources = sky.draw_sources(generator_of(number), kinds, CHANNELS, SIDE)
        found = search.regions(target, 0.3, 1)
        assert len(found) == len(sources)
        apart = [min(np.hypot(source.x - one.x, source.y - one.y) for one in found) for source in sources]
        assert max(apart) < 0.3
        assert target.max() <= 1 and target.min() >= 0


def test_maps_lie_on_their_targets(telescope):
    """The middle of a source's image is the middle of its peak, to a small part of a cell."""
    one = Sky(fewest=1, most=1, brightness=BRIGHT, rotating=0)
    (examples,) = maps(telescope, one, 12)
    offsets = []
    for seen, target in zip(examples.x[..., 0], examples.y[..., 0], strict=True):
        row, column = np.unravel_index(target.argmax(), target.shape)
        window = (slice(row - 3, row + 4), slice(column - 3, column + 4))
        rows, columns = np.mgrid[window]
        places = []
        for image in (np.clip(seen[window] - 0.5, 0, None), target[window]):
            places.append([(rows * image).sum() / image.sum(), (columns * image).sum() / image.sum()])
        offsets.append(np.subtract(*places))
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.1 and np.abs(offsets).max() < 0.4


# Spectra


@pytest.fixture(scope="module")
def spectra(band):
    return cube_examples.spectrum_examples(band, Sky(continuum_only=0), 400, np.random.default_rng(3), "train")


def test_spectra_have_their_shapes_and_names(spectra):
    assert spectra.x.shape == (400, CHANNELS, 2) and spectra.y.shape == (400, CHANNELS, 1)
    assert spectra.x.dtype == spectra.y.dtype == np.float32
    assert len(set(spectra.id)) == 400 and set(spectra.origin) == {"truth"}
    assert np.isfinite(spectra.x).all() and np.abs(spectra.x[..., 0]).max() <= 1


def test_targets_are_lines_of_height_one_or_none(spectra):
    heights = spectra.y.max(axis=(1, 2))
    none = heights == 0
    assert heights[~none] == pytest.approx(np.ones((~none).sum()), abs=1e-5)
    assert none.mean() == pytest.approx(0.1, abs=0.06)
    assert spectra.y.min() >= 0
    widths = (spectra.y[~none, :, 0] >= 0.5).sum(axis=1)
    assert widths.min() >= 2 and 4 < np.median(widths) < 11


def test_spectra_are_their_targets_and_noise(spectra):
    snr = np.sinh(4 * spectra.x[..., 1].astype(float))
    lines = spectra.y[..., 0]
    bright = (np.abs(snr).max(axis=1) > 40) & (lines.max(axis=1) > 0)
    assert bright.sum() > 60
    agree = [np.corrcoef(seen, line)[0, 1] for seen, line in zip(snr[bright], lines[bright], strict=True)]
    assert np.median(agree) > 0.98 and np.mean(np.array(agree) > 0.8) > 0.9
    dark = lines.max(axis=1) == 0
    assert np.median(snr[dark].std(axis=1)) == pytest.approx(1, abs=0.15)
    beside = [seen[line < 1e-4].std() for seen, line in zip(snr, lines, strict=True) if np.sum(line < 1e-4) > 10]
    assert np.median(beside) == pytest.approx(1, abs=0.3)


def test_spectra_come_at_all_signal_to_noise_ratios(spectra):
    snr = np.sinh(4 * spectra.x[..., 1]).max(axis=1)
    assert np.percentile(snr, 20) < 6 and np.percentile(snr, 90) > 80 and snr.max() < 300


def test_spectra_depend_on_the_seed_only(band):
    one, other, third = (
        cube_examples.spectrum_examples(band, Sky(), 6, np.random.default_rng(seed), "a") for seed in (1, 1, 2)
    )
    assert equal(one, other) and not np.array_equal(one.x, third.x)


# Focused sources


@pytest.fixture(scope="module")
def focused(telescope):
    return cube_examples.source_examples(telescope, Sky(), 60, np.random.default_rng(4), "train")


def quantities(target):
    """Return major, minor [pixel], position angle [deg], and flux over the stamp's peak, of an example's target."""
    major, minor, cosine, sine, flux = target.astype(float)
    return 5 * np.exp(major), 5 * np.exp(minor), np.degrees(np.arctan2(sine, cosine)) / 2 % 180, np.exp(flux)


def stamp_of(example):
    """Return the stamp in units of its noise, and the S/N of its peak."""
    height = 10 ** (2 * float(example[0, 0, 1]))
    return example[..., 0].astype(float) * height, height


def seen_as(beam, shape, dx, dy):
    """Return the image of a source of 1 Jy and this shape near the middle of a stamp, convolved with the beam."""
    side, half = search.STAMP, len(beam) // 2
    beam = beam[half - side + 1 : half + side, half - side + 1 : half + side].astype(float)
    source = sky.LineSource(side / 2 + dx, side / 2 + dy, *shape, 1.0, 0.0)
    return signal.fftconvolve(sky.gaussian(source, (side, side)).astype(float), beam)[side - 1 :, side - 1 :][
        :side, :side
    ]


def flux_and_rest(stamp, beam, shape, place):
    """Return the flux of a source of this shape and place that fits a stamp best, and the rms of what it leaves."""
    image = seen_as(beam, shape, *place)
    flux = np.sum(image * stamp) / np.sum(image**2)
    return flux, np.sqrt(np.mean((stamp - flux * image) ** 2))


def place_of(stamp, beam, shape):
    """Return where a source of this shape lies beside the middle of a stamp."""
    start = {"initial_simplex": [[0, 0], [0.3, 0], [0, 0.3]], "xatol": 2e-3}
    found = optimize.minimize(
        lambda place: flux_and_rest(stamp, beam, shape, place)[1], (0, 0), method="Nelder-Mead", options=start
    )
    assert np.abs(found.x).max() < 0.8
    return found.x


def test_sources_have_their_shapes_and_names(focused):
    assert focused.x.shape == (60, search.STAMP, search.STAMP, 2)
    assert focused.y.shape == (60, len(search.QUANTITIES))
    assert focused.x.dtype == focused.y.dtype == np.float32
    assert len(set(focused.id)) == 60 and set(focused.origin) == {"truth"}


def test_targets_of_sources_keep_the_settings(focused):
    major, minor, pa, flux = np.array([quantities(target) for target in focused.y]).T
    assert np.all((minor > 1.999) & (minor <= major) & (major <= 8.001))
    assert focused.y[:, 2] ** 2 + focused.y[:, 3] ** 2 == pytest.approx(np.ones(60), abs=1e-5)
    assert pa.min() < 30 and pa.max() > 150
    assert np.all(flux[[stamp_of(example)[1] > 10 for example in focused.x]] > 0.95)  # never below the peak


def test_a_target_explains_its_image_down_to_the_noise(band, focused):
    """The flux comes back by a fit of the target's shape, and no other size or angle fits as well."""
    bright = [n for n, example in enumerate(focused.x) if stamp_of(example)[1] > 150][:6]
    assert len(bright) == 6
    for number in bright:
        stamp, height = stamp_of(focused.x[number])
        major, minor, pa, ratio = quantities(focused.y[number])
        place = place_of(stamp, band.dirty_beam, (major, minor, pa))
        flux, rest = flux_and_rest(stamp, band.dirty_beam, (major, minor, pa), place)
        assert flux == pytest.approx(ratio * height, rel=0.02)
        assert rest == pytest.approx(1, abs=0.35)
        others = [(1.15 * major, minor, pa), (0.85 * major, minor, pa), (major, 1.2 * minor, pa)]
        if major > 1.3 * minor:
            others += [(major, minor, pa + angle) for angle in (-40, 40)]
        assert all(flux_and_rest(stamp, band.dirty_beam, other, place)[1] > rest for other in others)


def test_sources_come_at_all_signal_to_noise_ratios(focused):
    height = np.array([stamp_of(example)[1] for example in focused.x])
    assert height.min() < 8 and height.max() > 400
    assert np.exp(np.mean(np.log(height))) == pytest.approx(np.sqrt(3 * 1000), rel=0.6)


def test_sources_depend_on_the_seed_only(telescope):
    one, other, third = (
        cube_examples.source_examples(telescope, Sky(), 4, np.random.default_rng(seed), "a") for seed in (1, 1, 2)
    )
    assert equal(one, other) and not np.array_equal(one.x, third.x)


# What the chain so far makes of a cube


class Oracle:
    """A network that knows: `answer` takes a batch and gives what the network should."""

    def __init__(self, answer):
        self.predict_on_batch = answer


@pytest.fixture(scope="module")
def searched(telescope):
    """A cube of bright sources with single lines, its truth, and networks that are right."""
    from skyloom.learn import backend

    backend.start(1)
    kinds = Sky(fewest=3, most=3, brightness=(20, 20), overlapping=0, rotating=0, more_lines=0, double_peaked=0)
    kinds = kinds.model_copy(update={"continuum_only": 0.0})
    cube, rows = simulate_cube(telescope, kinds, np.random.default_rng(6))
    truth = simulated_cubes.truth_table(rows)
    target = search.map_target(truth["x"], truth["y"], (SIDE, SIDE))

    def lines(batch):
        return np.clip(batch[..., :1], 0, 1)

    return cube, truth, {"map": Oracle(lambda batch: np.stack([target] * len(batch))), "lines": Oracle(lines)}


def test_predicted_spectra_are_those_of_the_sources_with_their_lines(searched):
    cube, truth, networks = searched
    found = cube_examples.predicted_spectra(cube, truth, networks, Search(), "train.cube_000001")
    assert found.x.shape == (3, CHANNELS, 2) and found.y.shape == (3, CHANNELS, 1)
    assert set(found.origin) == {"predicted"} and set(found.group) == {"train.cube_000001"}
    assert len(set(found.id)) == 3
    peaks = sorted(found.y[..., 0].argmax(axis=1))
    assert peaks == pytest.approx(sorted(truth["z"]), abs=0.6)
    for seen, line in zip(found.x[..., 0], found.y[..., 0], strict=True):
        assert np.corrcoef(seen, line)[0, 1] > 0.95
    assert found.y.max(axis=(1, 2)) == pytest.approx(np.ones(3), abs=1e-5)


def test_predicted_sources_have_the_truth_of_what_they_show(searched):
    cube, truth, networks = searched
    found = cube_examples.predicted_sources(cube, truth, networks, Search(), "train.cube_000001")
    assert found.x.shape == (3, search.STAMP, search.STAMP, 2) and set(found.group) == {"train.cube_000001"}
    left = set(range(3))
    for example, target in zip(found.x, found.y, strict=True):
        *shape, ratio = quantities(target)
        row = min(left, key=lambda n: abs(truth["fwhm_major"][n] - shape[0]))
        left.remove(row)
        assert shape == pytest.approx([truth[name][row] for name in ("fwhm_major", "fwhm_minor", "pa")], rel=1e-3)
        stamp, height = stamp_of(example)
        flux, _ = flux_and_rest(stamp, cube.dirty_beam, shape, place_of(stamp, cube.dirty_beam, shape))
        assert flux == pytest.approx(ratio * height, rel=0.05)


def test_a_cube_without_a_candidate_gives_no_examples(searched):
    cube, truth, networks = searched
    blind = {**networks, "map": Oracle(lambda batch: np.zeros((len(batch), SIDE // 2, SIDE // 2, 1)))}
    assert cube_examples.predicted_spectra(cube, truth, blind, Search(), "a") is None
    assert cube_examples.predicted_sources(cube, truth, blind, Search(), "a") is None


def test_candidates_without_a_source_have_no_lines_and_are_no_sources(searched):
    """A detection that is none teaches the spectra's network silence, and nothing about sizes."""
    cube, truth, networks = searched
    elsewhere = truth.copy()
    elsewhere["x"] += 12.0
    found = cube_examples.predicted_spectra(cube, elsewhere, networks, Search(), "a")
    assert len(found) == 3 and not found.y.any()
    assert cube_examples.predicted_sources(cube, elsewhere, networks, Search(), "a") is None
