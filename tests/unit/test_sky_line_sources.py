from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal
from scipy.interpolate import CubicSpline

from skyloom.cases.alma_cubes import Sky
from skyloom.sky import line_sources as sky
from skyloom.sky.line_sources import Line, LineSource

SIDE, CHANNELS = 64, 96
SHAPE = (SIDE, SIDE)
LINE_AREA = np.sqrt(np.pi / np.log(2)) / 2  # of a Gaussian of peak and FWHM one

places = st.floats(28, 36)
angles = st.floats(0, 179.9)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def sources(draw, lines=(), gradient=0.0, smallest=2.0):
    """Draw a source that lies well inside of the image."""
    minor, major = draw(st.lists(st.floats(smallest, 8), min_size=2, max_size=2).map(sorted))
    return LineSource(draw(places), draw(places), major, minor, draw(angles), 0.3, 0.0, lines, gradient)


def moments(image):
    """Return flux, centroid (x, y) and the covariance of a position (east, north) in an image."""
    rows, columns = np.indices(image.shape)
    weight = image.astype(float) / image.sum(dtype=float)
    x, y = (weight * columns).sum(), (weight * rows).sum()
    east, north = x - columns, rows - y
    mixed = (weight * east * north).sum()
    covariance = [[(weight * east**2).sum(), mixed], [mixed, (weight * north**2).sum()]]
    return image.sum(dtype=float), (x, y), np.array(covariance)


def turned(angle):
    """Return an angle between -90 and 90 degrees that is the same for an axis."""
    return (angle + 90) % 180 - 90


def full_width(profile):
    """Return middle and full width of a profile between the outermost places of half its maximum, in its samples."""
    fine = np.arange(0, len(profile) - 1, 0.002)
    values = CubicSpline(np.arange(len(profile)), profile)(fine)
    above = fine[values >= values.max() / 2]
    return (above[0] + above[-1]) / 2, above[-1] - above[0]


def painted(source, channels=CHANNELS, shape=SHAPE):
    """Return the cube of a source's parts [Jy/pixel], all of it at the reference frequency."""
    found = sky.parts(source, shape, channels, np.ones(channels))
    return sum(spectrum[:, None, None] * image.astype(float) for image, spectrum in found)


# One source


@given(sources())
def test_a_source_has_its_flux_its_place_and_its_widths_by_second_moments(source):
    flux, centroid, covariance = moments(sky.gaussian(source, SHAPE))
    assert flux == pytest.approx(1, abs=1e-4)
    assert centroid == pytest.approx((source.x, source.y), abs=2e-3)
    spread, axes = np.linalg.eigh(covariance)
    widths = np.sqrt(8 * np.log(2) * spread)
    assert widths == pytest.approx((source.fwhm_minor, source.fwhm_major), rel=3e-3)
    if source.fwhm_major > 1.1 * source.fwhm_minor:
        east, north = axes[:, 1]
        assert abs(turned(np.degrees(np.arctan2(east, north)) - source.pa)) < 1


@given(sources(smallest=3))
def test_the_painted_image_is_half_as_bright_half_a_width_from_its_centre(source):
    image = sky.gaussian(source, SHAPE).astype(float)
    angle = np.radians(source.pa)
    for width, bearing in ((source.fwhm_major, angle), (source.fwhm_minor, angle + np.pi / 2)):
        steps = width / 2 * np.array([-1, 0, 1])
        at = [source.y + steps * np.cos(bearing), source.x - steps * np.sin(bearing)]
        west, centre, east = ndimage.map_coordinates(image, at, order=5)
        assert (west / centre, east / centre) == pytest.approx((0.5, 0.5), abs=5e-3)


def test_the_full_width_can_be_counted_in_pixels():
    image = sky.gaussian(LineSource(100, 100, 60, 30, 0, 1, 0), (201, 201))
    rows, columns = np.nonzero(image >= image.max() / 2)
    assert np.ptp(rows) == pytest.approx(60, abs=1)
    assert np.ptp(columns) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("pa", "brighter", "fainter"),
    [
        (0, (6, 0), (0, 6)),  # to the North is up
        (90, (0, 6), (6, 0)),
        (45, (4, -4), (4, 4)),  # to the North-East is up and left
        (135, (4, 4), (4, -4)),
        (20, (6, -2), (6, 2)),
    ],
)
def test_position_angles_go_from_north_to_east(pa, brighter, fainter):
    image = sky.gaussian(LineSource(32, 32, 8, 3, pa, 1, 0), SHAPE)
    assert image[32 + brighter[0], 32 + brighter[1]] > 2 * image[32 + fainter[0], 32 + fainter[1]]


def test_x_runs_along_the_last_axis_and_y_along_the_first():
    image = sky.gaussian(LineSource(40, 10, 4, 3, 0, 1, 0), (48, SIDE))
    assert image.shape == (48, SIDE)
    assert np.unravel_index(image.argmax(), image.shape) == (10, 40)


@given(sources(), st.floats(-2, 2), st.floats(1e-4, 1))
def test_the_continuum_is_a_power_law_of_all_the_flux(source, index, flux):
    source = replace(source, index=index, continuum=flux)
    tilt = np.linspace(0.8, 1.2, 5)
    ((image, spectrum),) = sky.parts(source, SHAPE, 5, tilt)
    assert image.sum(dtype=float) * spectrum == pytest.approx(flux * tilt**index, rel=1e-4)
    assert spectrum[2] == pytest.approx(flux)


@given(sources(), st.lists(st.tuples(st.floats(30, 60), st.floats(3, 10), st.floats(0.1, 2)), min_size=1, max_size=3))
def test_lines_have_the_flux_of_gaussians(source, lines):
    source = replace(source, lines=tuple(Line(*line) for line in lines))
    spectrum = painted(source).sum(axis=(1, 2))
    expected = sum(peak * fwhm for _, fwhm, peak in lines) * LINE_AREA
    assert np.sum(spectrum - 0.3) == pytest.approx(expected, rel=1e-3)


@given(st.integers(20, 70), st.integers(2, 5), st.floats(-15, 15))
def test_a_line_is_half_as_high_half_a_width_from_its_centre(centre, half, shift):
    profile = sky.line_profile((Line(centre, 2 * half, 0.7),), CHANNELS)
    assert profile[[centre - half, centre, centre + half]] == pytest.approx([0.35, 0.7, 0.35])
    moved = sky.line_profile((Line(centre, 2 * half, 0.7),), CHANNELS, shift)
    assert full_width(moved) == pytest.approx((centre + shift, 2 * half), abs=0.02)


# Rotating discs


def rotating(gradient, fwhm=6.0):
    return sources(lines=(Line(48.3, fwhm, 1.0),), gradient=gradient, smallest=3)


@given(st.floats(-1, 1).filter(lambda value: abs(value) > 0.05).flatmap(rotating))
@settings(max_examples=25)
def test_a_rotating_disc_has_the_image_and_the_flux_of_one_at_rest(source):
    """All of it together is as bright at every place, and in its line, as without rotation."""
    cube, still = painted(source), painted(replace(source, gradient=0.0))
    assert cube.sum() == pytest.approx(still.sum(), rel=1e-4)
    assert cube.sum(axis=0) == pytest.approx(still.sum(axis=0), rel=1e-3, abs=1e-6)
    assert cube[0] == pytest.approx(still[0], abs=1e-7)  # the continuum does not move


@given(st.floats(-1, 1).filter(lambda value: abs(value) > 0.05).flatmap(rotating))
@settings(max_examples=25)
def test_the_line_of_a_rotating_disc_shifts_along_its_major_axis(source):
    cube = painted(replace(source, continuum=0.0))
    bright = cube.sum(axis=0)
    rows, columns = np.nonzero(bright > 0.03 * bright.max())
    centre = np.tensordot(np.arange(CHANNELS), cube, 1)[rows, columns] / bright[rows, columns]
    terms = np.stack([source.x - columns, rows - source.y, np.ones(len(rows))], axis=1)
    east, north, middle = np.linalg.lstsq(terms, centre, rcond=None)[0]
    angle = np.radians(source.pa)
    expected = source.gradient * np.sin(angle), source.gradient * np.cos(angle)
    assert (east, north) == pytest.approx(expected, abs=0.01 * abs(source.gradient) + 1e-3)
    assert middle == pytest.approx(48.3, abs=0.02)


def test_the_north_eastern_half_of_a_disc_recedes_for_a_positive_gradient():
    cube = painted(LineSource(32, 32, 8, 5, 45, 0, 0, (Line(48, 4, 1),), 1.0))
    channel = cube.argmax(axis=0)
    assert channel[35, 29] > 50 and channel[29, 35] < 46


def test_a_disc_seen_at_one_place_has_a_narrower_line_than_all_of_it():
    cube = painted(LineSource(32, 32, 8, 5, 30, 0, 0, (Line(48, 6, 1),), 0.75))
    assert full_width(cube.sum(axis=(1, 2)))[1] == pytest.approx(np.hypot(6, 0.75 * 8), rel=0.04)
    assert full_width(cube[:, 32, 32])[1] == pytest.approx(6, rel=0.1)


# Widths of lines


@given(st.floats(35, 60), st.floats(3, 10), st.floats(0.01, 5))
def test_width_of_a_single_line(centre, fwhm, peak):
    lines = (Line(centre, fwhm, peak),)
    assert sky.width_of(lines) == pytest.approx((centre, fwhm), abs=0.12)
    assert sky.width_of(lines) == pytest.approx(full_width(sky.line_profile(lines, CHANNELS)), abs=0.12)


@given(st.floats(35, 60), st.floats(3, 10), st.floats(1, 1.4))
def test_width_of_a_double_peaked_line_is_that_of_both_peaks(centre, fwhm, apart):
    lines = tuple(Line(centre + sign * apart * fwhm / 2, fwhm, 1.0) for sign in (-1, 1))
    assert sky.width_of(lines) == pytest.approx(full_width(sky.line_profile(lines, CHANNELS)), abs=0.12)


@given(sources(smallest=3), st.floats(35, 60), st.floats(3, 10), st.floats(-1, 1), st.booleans())
@settings(max_examples=30)
def test_width_of_a_rotating_line_is_that_of_its_spectrum(source, centre, fwhm, turning, double):
    offsets = (-0.65 * fwhm, 0.65 * fwhm) if double else (0,)
    lines = tuple(Line(centre + offset, fwhm, 1.0) for offset in offsets)
    gradient = turning * fwhm / source.fwhm_major
    spectrum = painted(replace(source, continuum=0.0, lines=lines, gradient=gradient)).sum(axis=(1, 2))
    middle, width = full_width(spectrum)
    assert sky.width_of(lines, gradient, source.fwhm_major) == (
        pytest.approx(middle, abs=0.12),
        pytest.approx(width, rel=0.04, abs=0.12),
    )


def test_width_of_the_brightest_line_leaves_out_lines_elsewhere():
    bright = Line(40, 5, 1.0)
    assert sky.width_of((Line(70, 9, 0.8), bright)) == pytest.approx(sky.width_of((bright,)), abs=0.02)
    assert np.isnan(sky.width_of(())).all()


@pytest.mark.parametrize(("fwhm", "apart", "height"), [(3.5, 1.1, 0.3), (6.0, 1.3, 0.35), (9.0, 1.45, 0.4)])
def test_the_centre_of_a_line_is_in_the_middle_of_its_width(fwhm, apart, height):
    """A fainter line at its foot does not move it."""
    lines = (Line(40, fwhm, 1.0), Line(40 + apart * fwhm, fwhm, height))
    assert sky.width_of(lines) == pytest.approx(full_width(sky.line_profile(lines, CHANNELS)), abs=0.12)


# Skies of many sources


def drawn(seed, channels=128, side=256, **changes):
    return sky.draw_sources(np.random.default_rng(seed), Sky(**changes), channels, side)


def distances(found):
    x, y = np.array([(source.x, source.y) for source in found]).T
    return np.hypot(x[:, None] - x, y[:, None] - y)


def brightness(source):
    """Return the brightest value of a cube of a source [Jy/pixel], painted in the middle of a pixel and a channel."""
    lines = tuple(replace(line, centre=round(line.centre)) for line in source.lines)
    return painted(replace(source, x=16, y=16, lines=lines), 128, (33, 33)).max()


@given(seeds)
def test_what_is_drawn_keeps_the_settings(seed):
    found = drawn(seed)
    assert 3 <= len(found) <= 6
    for source in found:
        assert 2 <= source.fwhm_minor <= source.fwhm_major <= 8
        assert 0 <= source.pa < 180
        assert source.continuum > 0 and -2 <= source.index <= 2
        for line in source.lines:
            assert 3 <= line.fwhm <= 10
            assert 0.25 * source.continuum <= line.peak <= 5 * source.continuum
        if source.gradient:
            # All of the disc shifts by half a line width to a whole one.
            assert 0.49 <= abs(source.gradient) * source.fwhm_major / source.lines[0].fwhm <= 1.01


@given(seeds, st.integers(1, 4), st.integers(0, 3))
def test_the_number_of_sources_can_be_chosen(seed, fewest, more):
    assert fewest <= len(drawn(seed, fewest=fewest, most=fewest + more)) <= fewest + more


def test_all_numbers_of_sources_are_drawn():
    assert {len(drawn(seed)) for seed in range(60)} == {3, 4, 5, 6}


@given(seeds)
@settings(max_examples=20)
def test_the_first_source_is_the_brightest_one_and_in_the_middle(seed):
    found = drawn(seed, more_lines=0, double_peaked=0, rotating=0)
    assert abs(found[0].x - 128) <= 0.5 and abs(found[0].y - 128) <= 0.5
    values = [brightness(source) for source in found]
    assert 0.5e-3 * (1 - 1e-3) <= values[0] <= 5e-3 * (1 + 1e-3)
    assert max(values) <= values[0] * (1 + 1e-3)
    assert min(values) > values[0] / 50  # amplitude and line each vary by a factor of five


@given(seeds, st.floats(0, 1))
@example(seed=1, overlapping=1.0)
def test_sources_are_apart_in_the_image_or_in_frequency(seed, overlapping):
    found = drawn(seed, overlapping=overlapping)
    apart = distances(found)
    for one, other in zip(*np.triu_indices(len(found), 1), strict=True):
        if apart[one, other] < 20:
            assert apart[one, other] <= 6
            assert found[one].lines and found[other].lines
            for a in found[one].lines:
                for b in found[other].lines:
                    assert abs(a.centre - b.centre) >= a.fwhm + b.fwhm


@given(seeds)
def test_without_overlapping_ones_all_sources_are_apart_and_in_the_field(seed):
    found = drawn(seed, overlapping=0)
    assert distances(found)[np.triu_indices(len(found), 1)].min() >= 20
    for source in found:
        assert max(abs(source.x - 128), abs(source.y - 128)) <= 0.3 * 256
        # Only the two peaks of one line lie beside its centre.
        assert all(10 - 6.5 <= line.centre <= 117 + 6.5 for line in source.lines)


@given(seeds)
def test_single_lines_keep_their_margin_where_sources_overlap(seed):
    found = drawn(seed, overlapping=1, more_lines=0, double_peaked=0)
    assert all(10 <= line.centre <= 117 for source in found for line in source.lines)


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_second_lines_keep_their_margin_where_sources_overlap(seed):
    found = [
        source for more in range(20) for source in drawn(seed + more, overlapping=1, more_lines=1, double_peaked=0)
    ]
    assert all(10 <= line.centre <= 117 for source in found for line in source.lines)


def test_overlapping_sources_are_there_when_asked_for():
    near = [distances(drawn(seed, overlapping=1, continuum_only=0)) for seed in range(40)]
    assert np.mean([((one > 0) & (one <= 6)).any() for one in near]) > 0.9


SWITCHES = {
    "double_peaked": lambda source: len(signal.find_peaks(sky.line_profile(source.lines[:2], 400, 130))[0]) == 2,
    "more_lines": lambda source: len(source.lines) > 1,
    "rotating": lambda source: source.gradient != 0,
    "continuum_only": lambda source: not source.lines,
}


@pytest.mark.parametrize("name", list(SWITCHES))
@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_every_kind_of_source_can_be_switched(name, share):
    changes = {**dict.fromkeys(SWITCHES, 0), "overlapping": 0, "line_fwhm": (6.0, 10.0), name: share}
    found = [source for seed in range(60) for source in drawn(seed, **changes)]
    measured = np.mean([SWITCHES[name](source) for source in found])
    assert measured == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(found)))


def test_angles_and_places_have_no_preference():
    found = [source for seed in range(300) for source in drawn(seed)]
    angle = np.radians([source.pa for source in found])
    limit = 4 / np.sqrt(2 * len(found))
    assert abs(np.mean(np.cos(2 * angle))) < limit and abs(np.mean(np.sin(2 * angle))) < limit
    fractions = np.array([(source.x % 1, source.y % 1) for source in found])
    assert np.histogram(fractions, 10, (0, 1))[0] == pytest.approx(len(fractions) / 5, rel=0.25)
    middle = np.array([(drawn(seed)[0].x, drawn(seed)[0].y) for seed in range(300)])
    assert middle.mean(axis=0) == pytest.approx((128, 128), abs=4 * 0.29 / np.sqrt(300))
    others = np.array([(source.x, source.y) for source in found if abs(source.x - 128) > 0.5])
    assert others.mean(axis=0) == pytest.approx((128, 128), abs=4 * 46 / np.sqrt(len(others)))


def test_the_brightness_is_spread_evenly_in_its_logarithm():
    first = [drawn(seed, more_lines=0, double_peaked=0, rotating=0)[0] for seed in range(150)]
    assert np.mean(np.log10([brightness(source) for source in first])) == pytest.approx(
        np.log10(np.sqrt(0.5e-3 * 5e-3)), abs=4 * 0.29 / np.sqrt(len(first))
    )


def test_equal_seeds_draw_equal_skies():
    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
