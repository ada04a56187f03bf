from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.cases.alma_cubes import Observation, telescope_of
from skyloom.detect import line_search as search
from skyloom.images.cubes import Cube
from skyloom.seeds import generator
from skyloom.sky import line_sources as sky

INSTRUMENTS = Path(__file__).parents[2] / "resources"
CHANNELS, SIDE = 64, 128
Z = np.arange(CHANNELS)
POINT, LONG = (0.0, 0.0, 0.0), (6.0, 3.0, 30.0)
FWHM = np.sqrt(8 * np.log(2))
SHAPES = st.tuples(st.floats(4, 8), st.floats(2, 4), st.floats(0, 179))
PLACES = st.tuples(st.floats(20, 108), st.floats(20, 108))
OFFSETS = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


@pytest.fixture(scope="module")
def telescope():
    return telescope_of(Observation(side=SIDE, channels=CHANNELS, integration=60), INSTRUMENTS)


@pytest.fixture(scope="module")
def responses(telescope):
    return search.Responses(cube(telescope))


@pytest.fixture(scope="module")
def clean_responses(telescope):
    """The telescope's Gaussian beam, as of a cube that has been cleaned."""
    return search.Responses(cube(telescope, dirty=False))


def cube(telescope, data=None, dirty=True):
    band = telescope.band
    data = np.zeros((CHANNELS, SIDE, SIDE), np.float32) if data is None else data
    beam = band.dirty_beam if dirty else None
    return Cube(data, np.full(len(data), band.rms), band.beam, band.frequency[: len(data)], beam)


def seen(responses, x, y, shape=POINT, side=SIDE):
    """Return the image of a source of 1 Jy."""
    rows, columns = np.indices((side, side))
    return responses.at(shape, columns - x, rows - y)


def sky_of(responses, *sources):
    """Return the cube's data of sources (x, y, shape, spectrum), all seen with the beam of the middle of the band."""
    return sum(
        seen(responses, x, y, shape).astype(np.float32) * np.asarray(spectrum, np.float32)[:, None, None]
        for x, y, shape, spectrum in sources
    )


def line(centre, fwhm, peak, continuum=0.0):
    return continuum + peak * np.exp(-4 * np.log(2) * ((Z - centre) / fwhm) ** 2)


def candidate(x, y, shape=POINT):
    return search.Candidate(x, y, 1.0, shape)


# Maps


def between_cells(low, high):
    """Places [pixel] that two cells of the map are not equally near to."""
    return st.floats(low, high).filter(lambda place: abs(place % 2 - 1.5) > 1e-3)


def found_in(heat, threshold=0.15, dilation=1):
    return search.regions(heat[..., 0] if heat.ndim == 3 else heat, threshold, dilation)


@given(between_cells(8, SIDE - 9), between_cells(8, SIDE - 9))
def test_regions_give_positions_between_pixels(x, y):
    (found,) = found_in(search.map_target([x], [y], (SIDE, SIDE)))
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.12)
    assert found.score > 0.75


@pytest.mark.parametrize("border", ["left", "right", "bottom", "top"])
@settings(max_examples=30)
@given(between_cells(0, 3), between_cells(10, 110))
def test_a_source_at_the_border_of_the_image_is_found(border, inward, along):
    across = inward if border in ("left", "bottom") else SIDE - 1 - inward
    x, y = (across, along) if border in ("left", "right") else (along, across)
    (found,) = found_in(search.map_target([x], [y], (SIDE, SIDE)))
    # What of its peak lies outside is missing in the centre of mass.
    assert (found.x, found.y) == pytest.approx((x, y), abs=1.5)


@pytest.mark.parametrize("columns", [1, 2])
def test_cells_of_one_height_are_one_source(columns):
    """A network that is sure says exactly 1 of several cells."""
    x, y = 60.5 + (columns - 1), 51.5
    heat = search.map_target([x], [y], (SIDE, SIDE))[..., 0]
    heat[25:27, 30 : 30 + columns] = 1
    (found,) = found_in(heat)
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.5)


def test_the_surest_region_comes_first_and_the_threshold_is_one():
    faint, bright = (search.map_target([x], [50], (SIDE, SIDE)) for x in (30, 90))
    heat = np.maximum(0.4 * faint, 0.8 * bright)
    first, second = found_in(heat)
    assert (first.x, second.x) == pytest.approx((90, 30), abs=0.12)
    assert 0.8 >= first.score > 0.6 and 0.4 >= second.score > 0.3
    assert [one.x for one in found_in(heat, threshold=0.5)] == pytest.approx([90], abs=0.12)
    assert found_in(heat, threshold=0.9) == []
    assert found_in(np.zeros((64, 64))) == []


@pytest.mark.parametrize("dilation", [0, 1, 3])
def test_two_peaks_in_one_region_are_two_sources(dilation):
    heat = search.map_target([50.5, 60.5], [60.5, 60.5], (SIDE, SIDE))
    found = sorted(found_in(heat, 0.05, dilation), key=lambda one: one.x)
    assert [one.x for one in found] == pytest.approx([50.5, 60.5], abs=0.5)
    assert [one.y for one in found] == pytest.approx([60.5, 60.5], abs=0.01)


@settings(max_examples=50)
@given(PLACES)
def test_what_the_network_is_given_and_what_it_shall_say_lie_in_the_same_cells(responses, place):
    given = search.map_input(100 * seen(responses, *place))[..., 0]
    x, y, _ = search.peak_of(given, *((np.array(place) - 0.5) / 2), reach=2)
    assert (2 * x + 0.5, 2 * y + 0.5) == pytest.approx(place, abs=0.2)
    target = search.map_target([place[0]], [place[1]], (SIDE, SIDE))[..., 0]
    assert target.shape == given.shape == (SIDE // 2, SIDE // 2)
    row, column = np.unravel_index(np.argmax(target), target.shape)
    assert abs(column - x) < 0.65 and abs(row - y) < 0.65 and target.max() > 0.75


def test_the_map_input_keeps_ratios_in_one_channel_and_the_noise_in_the_other():
    rng = generator(1, "t")
    snr = rng.normal(0, 1, (31, 41))
    snr[10:12, 20:22] = 80.0
    given = search.map_input(snr)
    assert given.shape == (15, 20, 2) and given.dtype == np.float32, "the odd row and column are left out"
    assert given[5, 10, 0] == 1
    assert 3 * np.sinh(5 * given[..., 1]) == pytest.approx(80 * given[..., 0], abs=1e-3)
    assert search.map_input(10 * snr)[..., 0] == pytest.approx(given[..., 0], abs=1e-6)
    assert given[0, 0, 0] * 80 == pytest.approx(snr[:2, :2].mean(), abs=1e-5)
    # Without a source the noise is not blown up.
    assert np.abs(search.map_input(0.1 * rng.normal(0, 1, (32, 32)))[..., 0]).max() < 0.5


def test_what_was_not_observed_is_zero_in_the_map_input():
    snr = np.full((32, 32), 5.0)
    snr[:, :10] = np.nan
    given = search.map_input(snr)
    assert np.isfinite(given).all() and not given[:, :5].any() and given[:, 5:, 0].min() == 1
    assert not search.map_input(np.full((32, 32), np.nan)).any()


# Responses and boxes


@settings(max_examples=10)
@given(PLACES, SHAPES)
def test_a_response_is_what_the_telescope_sees_of_a_source(telescope, responses, place, shape):
    source = sky.LineSource(*place, *shape, 1.0, 0.0)
    dirty = telescope.summed([(sky.gaussian(source, (SIDE, SIDE)), Z == CHANNELS // 2)])
    assert seen(responses, *place, shape) == pytest.approx(dirty, abs=2e-3)


@settings(max_examples=20)
@given(SHAPES)
def test_a_source_keeps_its_flux_behind_a_gaussian_beam(telescope, clean_responses, shape):
    image = clean_responses.of(shape)
    assert image.sum() == pytest.approx(cube(telescope).beam_area, rel=1e-3)
    major, minor, _ = telescope.band.beam
    assert major * minor / (major * minor + 64 + 80) < image.max() < 1


def test_a_point_is_the_beam_and_far_away_is_nothing(telescope, responses):
    assert responses.of(POINT) == pytest.approx(telescope.band.dirty_beam, abs=1e-5)
    assert responses.of(None) is not None and float(responses.at(None, 0.0, 0.0)) == pytest.approx(1, abs=1e-5)
    assert responses.at(LONG, np.array([SIDE + 9.0, 0]), np.array([0, -SIDE - 9.0])) == pytest.approx([0, 0])


@settings(max_examples=50)
@given(PLACES, SHAPES)
def test_boxes_hold_one_full_width_each_side_of_what_the_beam_shows(telescope, clean_responses, place, shape):
    x0, x1, y0, y1 = search.box(*place, shape, telescope.band.beam)
    # The full widths of a Gaussian's projections, by its second moments.
    image = clean_responses.of(shape).astype(float)
    rows, columns = np.indices(image.shape) - image.shape[0] // 2
    width, height = (FWHM * np.sqrt(np.sum(image * axis**2) / image.sum()) for axis in (columns, rows))
    for low, high, centre, half in ((x0, x1, place[0], width), (y0, y1, place[1], height)):
        # Half-open and in whole pixels, whose edges lie halfway between their centres.
        assert low - 0.5 <= centre - half + 0.05 and centre + half - 0.05 <= high - 0.5
        assert 2 * half - 0.1 <= high - low < 2 * half + 2.1


def test_a_box_lies_along_the_source():
    beam = (8.0, 8.0, 0.0)
    north, east = (search.box(50, 50, (20.0, 2.0, angle), beam) for angle in (0.0, 90.0))
    assert north[1] - north[0] < 20 < 40 < north[3] - north[2]
    assert east == (north[2], north[3], north[0], north[1])


# Spectra


@settings(max_examples=50)
@given(PLACES, st.floats(-8, 8), st.floats(-8, 8))
def test_images_are_read_between_their_pixels(responses, place, dx, dy):
    image = seen(responses, *place)
    wanted = float(responses.at(POINT, dx, dy))
    assert search.sampled(image[None], place[0] + dx, place[1] + dy) == pytest.approx([wanted], abs=0.01)


def test_reading_at_borders_and_gaps_gives_finite_values():
    images = np.ones((2, 40, 30), np.float32)
    for x, y in ((0.3, 0.2), (28.9, 38.7), (-0.4, 39.4), (15.5, 20.5)):
        assert search.sampled(images, x, y) == pytest.approx([1, 1])
    images[1] = np.nan
    assert search.sampled(images, 15.5, 20.5) == pytest.approx([1, 0])


PAIR = ((60.3, 64.7), (63.9, 66.4))
PAIR_SPECTRA = line(20, 7, 0.03, 0.01), line(40, 7, 0.02, 0.02)


def test_overlapping_points_get_their_own_spectra(telescope, responses):
    assert np.hypot(*np.subtract(*PAIR)) == pytest.approx(4, abs=0.1)
    data = sky_of(responses, *((*place, POINT, spectrum) for place, spectrum in zip(PAIR, PAIR_SPECTRA, strict=True)))
    both = [candidate(*place) for place in PAIR]
    search.deblended_spectra(cube(telescope, data), both, responses)
    for one, spectrum in zip(both, PAIR_SPECTRA, strict=True):
        assert one.spectrum == pytest.approx(spectrum, rel=0.01)
    search.box_spectra(cube(telescope, data), both)
    assert both[0].spectrum[40] > 2 * PAIR_SPECTRA[0][40], "a box has its neighbour's line in it, too"


def test_the_beam_of_the_middle_serves_the_whole_band(telescope):
    """Each channel of a simulated cube has a beam of its own."""
    profiles = (sky.Line(8.0, 6.0, 0.02),), (sky.Line(56.0, 6.0, 0.02),)
    sources = [sky.LineSource(*place, *LONG, 0.01, 0.0, lines) for place, lines in zip(PAIR, profiles, strict=True)]
    parts = [part for source in sources for part in sky.parts(source, (SIDE, SIDE), CHANNELS, np.ones(CHANNELS))]
    observed = cube(telescope, telescope.signal(parts))
    both = [candidate(*place, LONG) for place in PAIR]
    search.deblended_spectra(observed, both, search.Responses(observed))
    for one, lines in zip(both, profiles, strict=True):
        assert one.spectrum == pytest.approx(0.01 + sky.line_profile(lines, CHANNELS), rel=0.01)


def test_noise_biases_no_spectrum_and_is_as_large_as_it_says(telescope, responses):
    signal = sky_of(responses, *((*place, POINT, spectrum) for place, spectrum in zip(PAIR, PAIR_SPECTRA, strict=True)))
    pulls, rng = [], generator(2, "t")
    for _ in range(5):
        noise = telescope.noise(CHANNELS, rng) * np.float32(telescope.band.rms)
        both = [candidate(*place) for place in PAIR]
        search.deblended_spectra(cube(telescope, signal + noise), both, responses)
        pulls += [(one.spectrum - wanted) / one.noise for one, wanted in zip(both, PAIR_SPECTRA, strict=True)]
    assert both[0].noise > 1.1 * telescope.band.rms, "two that overlap are known less well than one"
    pulls = np.array(pulls)
    assert pulls.mean(axis=1) == pytest.approx(0, abs=4 / np.sqrt(CHANNELS))
    assert pulls.mean() == pytest.approx(0, abs=3 / np.sqrt(pulls.size))
    assert pulls.std() == pytest.approx(1, abs=0.1)


def test_without_a_source_there_is_no_spectrum(telescope, responses):
    none = []
    search.deblended_spectra(cube(telescope), none, responses)
    search.box_spectra(cube(telescope), none)
    assert none == []


@settings(max_examples=20)
@given(PLACES, SHAPES)
def test_a_box_holds_the_flux_of_a_lone_source(telescope, clean_responses, place, shape):
    spectrum = line(30, 6, 0.02, 0.01)
    one = candidate(*place, shape)
    search.box_spectra(cube(telescope, sky_of(clean_responses, (*place, shape, spectrum)), dirty=False), [one])
    # A Gaussian has 96 % of its flux within one full width each side.
    assert one.spectrum == pytest.approx(0.97 * spectrum, rel=0.02)


def test_the_noise_of_a_box_is_about_as_large_as_it_says(telescope):
    noise = cube(telescope, telescope.noise(CHANNELS, generator(3, "t")) * np.float32(telescope.band.rms))
    boxes = [candidate(x, y, (5.0, 5.0, 0.0)) for x in (25.0, 64.0, 100.0) for y in (25.0, 64.0, 100.0)]
    search.box_spectra(noise, boxes)
    spread = np.std([one.spectrum / one.noise for one in boxes])
    assert 0.75 < spread < 1.1, "a dirty beam has less than a Gaussian one's area, so it is a little less"


def test_a_box_across_the_border_or_a_gap_is_summed_where_there_are_pixels(telescope, clean_responses):
    spectrum = line(30, 6, 0.02, 0.01)
    half = candidate(-0.5, 64.0)
    data = sky_of(clean_responses, (half.x, half.y, POINT, spectrum), (64.5, 64.0, POINT, spectrum))
    data[:, :, 65:] = np.nan
    other = candidate(64.5, 64.0)
    search.box_spectra(cube(telescope, data, dirty=False), [half, other])
    for one in (half, other):
        assert one.spectrum == pytest.approx(spectrum / 2, rel=0.04)


def test_the_line_input_stands_on_the_continuum():
    spectrum = line(30, 6, 0.05, 0.01)
    given = search.line_input(spectrum, 0.002)
    assert given.shape == (CHANNELS, 2) and given.dtype == np.float32
    assert given[30].tolist() == pytest.approx([1, np.arcsinh(25) / 4]) and given[:15] == pytest.approx(0, abs=1e-3)
    assert search.line_input(1e3 * spectrum, 2.0) == pytest.approx(given, abs=1e-5), "units do not matter"
    spectrum[5] = np.nan
    assert np.isfinite(search.line_input(spectrum, 0.002)).all()
    assert not search.line_input(np.zeros(CHANNELS), 0.002).any()


# Lines


@given(st.floats(12, 50), st.floats(3, 10))
def test_peaks_of_a_cleaned_spectrum_are_lines(centre, fwhm):
    ((z, width),) = search.line_peaks(line(centre, fwhm, 1.0), 0.3)
    assert z == pytest.approx(centre, abs=0.51)
    assert width == pytest.approx(fwhm, rel=0.1)


def test_lines_come_with_the_highest_first_and_none_below_the_height():
    clean = line(15, 5, 0.5) + line(45, 8, 1.0) + line(30, 4, 0.2)
    assert [z for z, _ in search.line_peaks(clean, 0.3)] == [45, 15]
    assert [z for z, _ in search.line_peaks(clean, 0.1)] == [45, 15, 30]
    assert search.line_peaks(np.zeros(CHANNELS), 0.3) == []


@pytest.mark.parametrize("centre", [0, CHANNELS - 1])
def test_a_line_at_the_end_of_the_band_is_seen(centre):
    ((z, _),) = search.line_peaks(line(centre, 6, 1.0), 0.3)
    assert z == centre


@given(st.floats(15, 48), st.floats(3, 10), st.floats(-1.5, 1.5), st.floats(0.7, 1.4), st.floats(-1e-4, 1e-4))
def test_a_fit_gives_centre_and_width_of_a_line(centre, fwhm, off, factor, slope):
    spectrum = line(centre, fwhm, 0.03, 0.01) + slope * Z
    z, width, _, _ = search.fit_line(spectrum, 3e-4, centre + off, factor * fwhm)
    assert z == pytest.approx(centre, abs=0.01)
    assert width == pytest.approx(fwhm, rel=0.01)


@pytest.mark.parametrize(("fwhm", "snr"), [(4.0, 10.0), (8.0, 15.0)])
def test_the_errors_of_a_fit_hold(fwhm, snr):
    rng = generator(4, "t")
    right = []
    for _ in range(60):
        centre = 30 + rng.uniform(-0.5, 0.5)
        spectrum = line(centre, fwhm, snr, 2.0) + rng.standard_normal(CHANNELS)
        z, width, z_error, width_error = search.fit_line(spectrum, 1.0, centre + rng.normal(0, 0.5), fwhm)
        right.append((abs(z - centre) <= z_error, abs(width - fwhm) <= width_error))
    assert np.mean(right, axis=0) == pytest.approx(0.68, abs=0.12)


@given(st.floats(20, 44), st.floats(2.5, 9), st.floats(0.1, 0.9), st.floats(0.3, 1.2), st.floats(-0.5, 2))
def test_moments_give_mean_and_width_of_a_line_of_any_shape(centre, fwhm, share, shift, continuum):
    first, second = centre - share * shift * fwhm, centre + (1 - share) * shift * fwhm
    spectrum = line(first, fwhm, 1 - share, continuum) + line(second, fwhm, share)
    variance = (fwhm / FWHM) ** 2 + share * (1 - share) * (shift * fwhm) ** 2
    width = FWHM * np.sqrt(variance)
    mean, moment_fwhm, *_ = search.line_moments(spectrum, 1e-6, centre, width)
    assert mean == pytest.approx(centre, abs=0.02 * fwhm)
    assert moment_fwhm == pytest.approx(width, rel=0.02)


def test_a_wing_belongs_to_the_line_and_a_bowl_does_not():
    wing = line(30, 4, 1.0) + line(22, 6, 0.05)
    plain, winged, bowled = (
        search.line_moments(spectrum, 0.002, 30, 4) for spectrum in (line(30, 4, 1.0), wing, wing - line(37, 3, 0.2))
    )
    assert plain[:2] == pytest.approx((30, 4), rel=0.01)
    weight = np.array([4, 0.05 * 6]) / 4.3
    mean = np.sum(weight * [30, 22])
    variance = np.sum(weight * (np.square([4 / FWHM, 6 / FWHM]) + np.square(np.array([30, 22]) - mean)))
    assert winged[:2] == pytest.approx((mean, FWHM * np.sqrt(variance)), rel=0.02)
    assert bowled[:2] == pytest.approx(winged[:2], rel=0.03)


@pytest.mark.parametrize(("fwhm", "snr"), [(3.0, 30.0), (8.0, 30.0), (8.0, 100.0)])
def test_the_errors_of_moments_hold(fwhm, snr):
    rng, within = generator(3, fwhm, snr), []
    for _ in range(400):
        centre = 32 + rng.uniform(-0.5, 0.5)
        spectrum = line(centre, fwhm, snr, 0.5 * snr) + rng.standard_normal(CHANNELS)
        fitted = search.fit_line(spectrum, 1.0, centre, fwhm)
        mean, width, mean_error, width_error = search.line_moments(spectrum, 1.0, *fitted[:2])
        within.append((abs(mean - centre) < mean_error, abs(width - fwhm) < width_error))
    assert np.mean(within, axis=0) == pytest.approx([0.6827, 0.6827], abs=0.07)


@pytest.mark.parametrize(
    ("spectrum", "noise", "z"),
    [(line(30, 4, 1.0), 0.01, np.nan), (line(30, 4, 1.0), 10.0, 30.0), (np.zeros(CHANNELS), 1.0, 30.0)],
)
def test_what_the_noise_hides_has_no_moments(spectrum, noise, z):
    assert np.isnan(search.line_moments(spectrum, noise, z, 4.0)).all()


def test_gaps_change_no_fit_and_noise_is_none():
    spectrum = line(30, 6, 0.03, 0.01)
    spectrum[[28, 35]] = np.nan
    assert search.fit_line(spectrum, 3e-4, 30, 6)[:2] == pytest.approx((30, 6), abs=0.01)
    assert search.fit_line(np.full(CHANNELS, np.nan), 1.0, 30, 6) is None
    assert search.fit_line(spectrum[:5], 1.0, 2, 6) is None, "five channels are fewer than a line has parameters"
    rng = generator(5, "t")
    fits = [search.fit_line(rng.standard_normal(CHANNELS), 1.0, 30, 6) for _ in range(20)]
    assert sum(fit is not None for fit in fits) <= 3


@given(st.floats(0, CHANNELS - 1), st.floats(0.1, 20))
def test_a_window_reaches_one_width_each_side(z, fwhm):
    chosen = search.window(z, fwhm, CHANNELS)
    assert chosen.shape == (CHANNELS,) and chosen.any()
    inside = np.abs(Z - z) <= fwhm
    assert chosen[inside].all() and np.sum(chosen & ~inside) <= (1 if fwhm < 0.5 else 0)


def test_a_source_without_a_line_is_summed_over_all_channels():
    assert search.window(np.nan, np.nan, CHANNELS).all()
    assert list(np.flatnonzero(search.window(-3.0, 1.0, CHANNELS))) == [0], "and one beyond the band over the last"


# One source alone


@settings(max_examples=50)
@given(OFFSETS, SHAPES)
def test_a_peak_lies_between_pixels(responses, offset, shape):
    image = seen(responses, 24 + offset[0], 24 + offset[1], shape, search.STAMP)
    x, y, height = search.peak_of(image, 25, 23)
    assert (x - 24, y - 24) == pytest.approx(offset, abs=0.02)
    assert height == pytest.approx(float(responses.at(shape, 0.0, 0.0)), rel=0.02)


def test_a_peak_beyond_reach_is_not_taken(responses):
    image = seen(responses, 12, 24, side=search.STAMP) + 3 * seen(responses, 36, 24, side=search.STAMP)
    assert search.peak_of(image, 13, 24)[:2] == pytest.approx((12, 24), abs=0.5)
    assert search.peak_of(image, 35, 25)[:2] == pytest.approx((36, 24), abs=0.5)


@settings(max_examples=20)
@given(OFFSETS, st.floats(6, 12), st.floats(0, 360), st.floats(0.5, 10))
def test_focus_takes_a_neighbour_out(telescope, responses, offset, apart, direction, brighter):
    x, y = 64 + offset[0], 64 + offset[1]
    other = x + apart * np.cos(np.radians(direction)), y + apart * np.sin(np.radians(direction)), (4.0, 4.0, 0.0)
    alone = 30 * seen(responses, x, y, LONG)
    image = alone + 30 * brighter * seen(responses, *other)
    found = search.focus(image, [candidate(x, y, LONG), candidate(*other)], 0, responses, telescope.band.beam)
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.15)
    assert found.snr == pytest.approx(alone.max(), rel=0.03)
    cut = alone[found.low : found.low + search.STAMP, found.left : found.left + search.STAMP]
    assert found.stamp == pytest.approx(cut, abs=0.3 * max(1, brighter / 2))
    unknown = search.focus(image, [candidate(x, y, LONG)], 0, responses, telescope.band.beam)
    assert np.abs(unknown.stamp - cut).max() > 5, "it is there as long as nobody knows of it"


@pytest.mark.parametrize("place", [(3.2, 64.0), (124.6, 5.1), (64.0, 125.3)])
def test_a_source_at_the_border_is_focused_with_zeros_around(telescope, responses, place):
    image = 30 * seen(responses, *place, LONG)
    image[:, 40:44] = np.nan
    found = search.focus(image, [candidate(*place, LONG)], 0, responses, telescope.band.beam)
    assert (found.x, found.y) == pytest.approx(place, abs=0.1)
    assert found.stamp.shape == (search.STAMP, search.STAMP) and np.isfinite(found.stamp).all()
    rows, columns = np.mgrid[found.low : found.low + search.STAMP, found.left : found.left + search.STAMP]
    outside = (rows < 0) | (rows >= SIDE) | (columns < 0) | (columns >= SIDE)
    assert outside.any() and not found.stamp[outside].any()


def test_positions_scatter_about_as_much_as_their_errors_say(telescope, responses):
    rng = generator(6, "t")
    off, error, height = [], [], []
    for image in telescope.noise(100, rng):
        x, y = 64 + rng.uniform(-0.5, 0.5, 2)
        image += 20 * seen(responses, x, y, LONG) / float(responses.at(LONG, 0.0, 0.0))
        found = search.focus(image, [candidate(x, y, LONG)], 0, responses, telescope.band.beam)
        off += [found.x - x, found.y - y]
        error.append(found.error)
        height.append(found.snr)
    assert np.mean(off) == pytest.approx(0, abs=4 * np.std(off) / np.sqrt(len(off)))
    assert 0.7 < np.std(off) / np.mean(error) < 1.5, "the rest is what the calibration is for"
    assert np.mean(height) == pytest.approx(20, abs=0.6) and np.std(height) == pytest.approx(1, abs=0.3)


def test_a_stamp_is_given_by_its_peak_and_the_log_of_its_noise():
    stamp = np.zeros((search.STAMP, search.STAMP), np.float32)
    stamp[24, 24] = 50.0
    found = search.Focused(stamp, 64.0, 64.0, 0.1, 50.0, 40, 40)
    given = search.stamp_input(found)
    assert given.shape == (search.STAMP, search.STAMP, 2)
    assert given[24, 24, 0] == 1 and given[..., 1] == pytest.approx(np.log10(50) / 2)
    found.snr = 0.2
    assert search.stamp_input(found)[24, 24].tolist() == pytest.approx([50, 0]), "noise is not blown up"


@given(SHAPES, st.floats(0.1, 10))
def test_stamp_targets_are_the_same_after_half_a_turn(shape, flux):
    major, minor, angle = shape
    row, turned = search.stamp_target([major, major], [minor, minor], [angle, angle + 180], [flux, flux])
    assert len(row) == len(search.QUANTITIES) and turned == pytest.approx(row, abs=1e-5)
    assert 5 * np.exp(row[:2]) == pytest.approx((major, minor), rel=1e-5)
    assert np.hypot(row[2], row[3]) == pytest.approx(1, abs=1e-5)
    assert np.cos(np.arctan2(row[3], row[2]) - 2 * np.radians(angle)) == pytest.approx(1, abs=1e-5)
    assert np.exp(row[4]) == pytest.approx(flux, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 63), st.floats(2, 10), st.floats(-5, 5), st.floats(0.5, 2))
def test_the_template_of_a_line_alone_sees_no_continuum(z, fwhm, level, noisier):
    rms = np.where(np.arange(64) % 2, noisier, 1.0)
    weights = search.line_weights(rms, z, fwhm, [(30.0, 4.0)])
    if weights is None:
        return
    assert np.sum(weights * level / rms**2) == pytest.approx(0, abs=1e-9)
    near_other = np.abs(np.arange(64) - 30) <= 3
    assert not np.any(weights[near_other] > 0)
    assert np.all(weights <= 1)


def test_a_line_alone_needs_channels_beside_it():
    assert search.line_weights(np.ones(8), 4.0, 5.0, []) is None
    assert search.line_weights(np.full(64, np.nan), 30.0, 5.0, []) is None


def test_a_spectrum_without_its_line_is_level():
    spectrum = 2 + 5 * np.exp(-4 * np.log(2) * ((np.arange(64) - 30) / 6) ** 2)
    assert search.without_line(spectrum, 30.0, 6.0) == pytest.approx(np.full(64, 2.0), abs=0.01)
    assert np.array_equal(search.without_line(spectrum, 30.0, 6.0)[:10], spectrum[:10])
    assert np.isfinite(search.without_line(np.arange(5.0), 2.0, 6.0)).all(), "even if there is nothing beside it"
