from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.cases.alma_cubes import Observation, Sky, telescope_of
from skyloom.detect.simulated_cubes import sky_parts
from skyloom.errors import UserError
from skyloom.instruments import alma, dirty_cubes
from skyloom.instruments import interferometer as radio
from skyloom.sky import line_sources as sky

ARRAYS = Path(__file__).resolve().parents[2] / "resources/arrays"
SIDE, CHANNELS = 128, 128


def observe(**changes):
    observation = Observation(**{"side": SIDE, "integration": 60.0} | changes)
    return dirty_cubes.observe_band(observation, alma.read_antennas(ARRAYS, observation.configuration))


@pytest.fixture(scope="module")
def band():
    return observe()


@pytest.fixture(scope="module")
def telescope(band):
    return dirty_cubes.Telescope(band)


@pytest.fixture(scope="module")
def parts(band):
    """A sky with all kinds of sources, rotating ones and points in the corners of the image among them."""
    kinds = Sky(fewest=5, most=5, rotating=0.5, double_peaked=0.3, overlapping=0.5)
    found = sky_parts(sky.draw_sources(np.random.default_rng(1), kinds, CHANNELS, SIDE), band)
    assert len(found) > 10
    for x, y, flux in ((2, 3, 0.1), (125, 4, 0.05), (121, 120, 0.2)):
        found.append((point(x, y), np.linspace(flux, 2 * flux, CHANNELS)))
    return found


@pytest.fixture(scope="module")
def cube(telescope, parts):
    return telescope.signal(parts)


@pytest.fixture(scope="module")
def noise(telescope):
    return telescope.noise(256, np.random.default_rng(2))


def point(x, y, side=SIDE):
    image = np.zeros((side, side))
    image[y, x] = 1
    return image


# What is observed


def test_the_band_lies_around_its_frequency(band):
    assert band.frequency == pytest.approx(230e9 + 10e6 * (np.arange(CHANNELS) - 63.5))
    assert band.reference == pytest.approx(230e9)
    assert band.pixel == pytest.approx(np.radians(0.1 / 3600))


@pytest.mark.parametrize("integration", [10.0, 60.0])
def test_the_dirty_beam_is_that_of_casa(integration):
    """As CASA's tclean fits the beam of the same observation: 0.892 x 0.760 arcsec at 84 degrees."""
    major, minor, angle = observe(integration=integration).beam
    assert (0.1 * major, 0.1 * minor) == pytest.approx((0.892, 0.760), rel=0.005)
    assert angle == pytest.approx(84, abs=1.5)


def test_the_dirty_beam_peaks_at_one_and_has_sidelobes(band):
    beam = band.dirty_beam
    assert beam.shape == (2 * SIDE, 2 * SIDE)
    assert beam[SIDE, SIDE] == beam.max() == pytest.approx(1, abs=1e-5)
    away = np.hypot(*(np.indices(beam.shape) - SIDE)) > 12
    assert 0.05 < np.abs(beam[away]).max() < 0.25


def test_noise_of_an_empty_cube_by_the_radiometer_equation(band, telescope):
    """The Technical Handbook's sensitivity, with the system temperature of its chapter 9 at transit, by hand."""
    elevation = np.radians(90 - 35 + 23.0229)
    transmission = np.exp(-(0.0109 + 0.0431 * 0.8) / np.sin(elevation))
    tsys = (50 + 0.95 * 270 * (1 - transmission) + 0.05 * 270) / (0.95 * transmission)
    antennas = len(alma.read_antennas(ARRAYS, 3))
    area = 0.68 * np.pi * 6**2
    pairs = antennas * (antennas - 1)
    rms = 2 * 1380.649 * tsys / (0.88 * 0.96 * area * np.sqrt(pairs * 2 * 10e6 * 2400))
    assert band.rms == pytest.approx(rms, rel=0.01)
    empty = telescope.signal([]) + telescope.noise(CHANNELS, np.random.default_rng(3)) * np.float32(band.rms)
    assert empty.std() == pytest.approx(rms, rel=0.015)  # of which half a per cent is chance


def test_noise_of_an_empty_cube_is_that_of_casa():
    """CASA's simobserve and tclean give 0.3751 mJy/beam."""
    assert observe(integration=10.0).rms == pytest.approx(0.3751e-3, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "factor"),
    [({"time": 1200.0}, 2**0.5), ({"channel_width": 0.02}, 0.5**0.5), ({"integration": 120.0}, 1)],
)
def test_noise_falls_with_time_and_bandwidth(band, changes, factor):
    assert observe(**changes).rms / band.rms == pytest.approx(factor, rel=3e-3)


def test_water_and_receiver_add_noise(band):
    assert observe(water=4.0).rms > 1.1 * band.rms
    assert observe(receiver=83.0).rms > 1.2 * band.rms


def test_a_larger_configuration_has_a_smaller_beam(band):
    sizes = [np.prod(observe(configuration=number).beam[:2]) for number in (2, 4)]
    assert sizes[0] > 1.3 * np.prod(band.beam[:2]) > 1.3 * 1.3 * sizes[1]


@pytest.mark.parametrize("configuration", range(1, 11))
def test_every_configuration_can_be_observed_with_the_pixels_that_are_proposed(configuration):
    pixel = dirty_cubes.pixel_for(alma.read_antennas(ARRAYS, configuration), 230.0)
    some = observe(configuration=configuration, pixel=pixel, side=96, channels=16)
    assert 4 < some.beam[1] < some.beam[0] < 15
    assert dirty_cubes.Telescope(some).noise(4, np.random.default_rng(0)).std() == pytest.approx(1, abs=0.2)


def test_a_beam_that_the_pixels_do_not_show_is_told():
    with pytest.raises(UserError, match=r"configuration 8 .* pixels of 0.1 arcsec .* take pixels of 0\.006 arcsec"):
        telescope_of(Observation(configuration=8, side=96, channels=16), ARRAYS.parent)


# Dirty cubes


@pytest.mark.parametrize("channel", [0, CHANNELS // 2, CHANNELS - 1])
def test_dirty_cubes_are_exact(band, parts, cube, channel):
    """Each channel against degridding and gridding of the same sky: 1e-4 of the peak."""
    image = sum(part * spectrum[channel] for part, spectrum in parts)
    weights = np.ones(band.uvw.shape[:-1])
    frequency = band.frequency[channel]
    seen = radio.predict(image, band.uvw, frequency, band.pixel)
    direct = radio.dirty_image(seen, weights, band.uvw, frequency, SIDE, band.pixel)
    assert np.abs(cube[channel] - direct).max() < 1e-4 * direct.max()


def test_the_sum_over_channels_is_that_of_the_cube(telescope, parts, cube):
    total = cube.sum(axis=0, dtype=float)
    assert np.abs(telescope.summed(parts) - total).max() < 1e-5 * total.max()


def test_the_sum_takes_weights_in_the_spectra(telescope, parts, cube):
    weights = np.random.default_rng(4).uniform(-0.2, 1, CHANNELS)
    total = np.tensordot(weights, cube.astype(float), 1)
    summed = telescope.summed([(image, spectrum * weights) for image, spectrum in parts])
    assert np.abs(summed - total).max() < 1e-5 * np.abs(total).max()


@given(x=st.integers(0, SIDE - 1), y=st.integers(0, SIDE - 1), flux=st.floats(1e-4, 10), slope=st.floats(-0.5, 0.5))
@settings(max_examples=12)
def test_a_point_source_of_s_jansky_peaks_at_s_jansky_per_beam_in_every_channel(telescope, x, y, flux, slope):
    spectrum = flux * (1 + slope * np.linspace(-1, 1, CHANNELS))
    seen = telescope.signal([(point(x, y), spectrum)]).reshape(CHANNELS, -1)
    assert np.all(seen.argmax(axis=1) == y * SIDE + x)
    assert seen.max(axis=1) == pytest.approx(spectrum, rel=1e-4)


def test_an_extended_source_spreads_its_flux_over_beams(telescope, band):
    """As seen by a Gaussian beam, which the core of the dirty beam is."""
    source = sky.LineSource(64, 64, 6, 4, 30, 1, 0)
    seen = telescope.dirty(sky.gaussian(source, (SIDE, SIDE))).mean(axis=0)
    beam = radio.Beam(band.beam[0] * band.pixel, band.beam[1] * band.pixel, band.beam[2])
    smooth = radio.restore(sky.gaussian(source, (SIDE, SIDE)), beam, band.pixel)
    assert np.unravel_index(seen.argmax(), seen.shape) == (64, 64)
    assert seen.max() == pytest.approx(smooth.max(), rel=0.03)
    assert seen.max() < 0.8


def test_the_beam_shrinks_with_frequency(telescope, band):
    seen = telescope.signal([(point(64, 64), np.ones(CHANNELS))])
    first, last = (radio.fit_beam(seen[channel], 1.0).size for channel in (0, -1))
    assert first / last == pytest.approx(band.frequency[-1] / band.frequency[0], abs=2e-3)
    assert np.all(np.abs(np.diff(seen[:, 64, 72])) < 2e-4)  # smoothly


def test_dark_channels_stay_dark(telescope):
    spectrum = np.zeros(CHANNELS)
    spectrum[40:50] = 1
    seen = telescope.signal([(point(64, 64), spectrum), (point(30, 30), np.zeros(CHANNELS))])
    assert np.array_equal(np.flatnonzero(np.abs(seen).max(axis=(1, 2))), np.arange(40, 50))
    assert not telescope.signal([]).any()


# Noise


def test_noise_has_an_rms_of_one(noise):
    assert noise.std() == pytest.approx(1, rel=0.01)
    assert abs(noise.mean()) < 0.02
    # Everywhere in the image, and no heavier in its tails than a Gaussian.
    assert noise.std(axis=0).min() > 0.75 and noise.std(axis=0).max() < 1.25
    assert np.mean(np.abs(noise) > 3) == pytest.approx(0.0027, rel=0.2)


def correlation(images, reach=20):
    """Return the mean correlation of pixels `dy`, `dx` apart, shape (2 reach + 1, 2 reach + 1)."""
    side = images.shape[-1]
    power = np.mean([np.abs(np.fft.fft2(image, s=(2 * side, 2 * side))) ** 2 for image in images], axis=0)
    lag = np.arange(-reach, reach + 1)
    found = np.fft.ifft2(power).real[np.ix_(lag, lag)]
    return found / np.outer(side - np.abs(lag), side - np.abs(lag))


def test_noise_is_correlated_by_the_dirty_beam(band, noise):
    found = correlation(noise)
    beam = band.dirty_beam[SIDE - 20 : SIDE + 21, SIDE - 20 : SIDE + 21]
    difference = found - beam
    assert np.abs(difference).max() < 0.03
    assert np.sqrt(np.mean(difference**2)) < 0.01


def test_noise_knows_no_direction_but_that_of_the_beam(band, telescope, noise):
    """With all beams mirrored at the diagonal, the noise is mirrored: rows are treated as columns are."""
    swapped = band.uvw[..., [1, 0, 2]] * [-1, -1, 1]  # x is -u, to the West
    mirrored = replace(band, dirty_beams=band.dirty_beams.transpose(0, 2, 1), uvw=swapped)
    other = dirty_cubes.Telescope(mirrored).noise(256, np.random.default_rng(5))
    for axis in (1, 2):
        # The mean along an axis is the outermost line of the Fourier plane, which a half plane has only once.
        assert noise.mean(axis=axis).var() == pytest.approx(other.mean(axis=3 - axis).var(), rel=0.15)
    assert np.abs(correlation(noise) - correlation(other).T).max() < 0.03


@pytest.mark.parametrize("axis", [1, 2])
def test_slow_waves_of_the_noise_are_as_strong_as_the_beam_says(band, noise, axis):
    lag = np.arange(1 - SIDE, SIDE)
    beam = band.dirty_beam[1:, 1:]
    weight = (SIDE - np.abs(lag)) / SIDE**2
    along = beam @ weight if axis == 2 else weight @ beam
    assert noise.mean(axis=axis).var() == pytest.approx(along[SIDE - 1], rel=0.2)


def test_noise_is_new_in_every_image(telescope, noise):
    flat = noise.reshape(len(noise), -1)
    pairs = (flat[1:] * flat[:-1]).mean(axis=1)
    assert abs(pairs.mean()) < 0.015 and np.abs(pairs).max() < 0.3
    assert np.array_equal(telescope.noise(2, np.random.default_rng(2)), noise[:2])
    assert not np.array_equal(telescope.noise(1, np.random.default_rng(3)), noise[:1])


def test_opposite_edges_of_the_image_have_noise_of_their_own(noise):
    for first, last in ((noise[:, 0], noise[:, -1]), (noise[:, :, 0], noise[:, :, -1])):
        assert abs(np.mean(first * last)) < 0.05
