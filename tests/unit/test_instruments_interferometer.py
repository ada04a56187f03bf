import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.instruments import interferometer as radio

FREQUENCY = 230e9
ARCSEC = np.pi / 180 / 3600
PIXEL = 0.04 * ARCSEC
N = 128


@pytest.fixture(scope="module")
def uvw():
    positions = np.random.default_rng(1).normal(0, 350, (24, 3)) * [1, 1, 0.02]
    hours = np.linspace(-0.3, 0.4, 14)
    return radio.uv_coverage(positions, np.radians(-23), hours, np.radians(-35))


@pytest.fixture(scope="module")
def natural(uvw):
    return np.ones(uvw.shape[:-1])


def test_a_source_at_the_zenith_sees_baselines_as_they_lie_on_the_ground():
    positions = np.array([[0, 0, 0], [30.0, -70.0, 0.0]])
    latitude = np.radians(-23)
    (u, v, w) = radio.uv_coverage(positions, latitude, np.array([0.0]), latitude)[0, 0]
    assert (u, v, w) == pytest.approx((30, -70, 0), abs=1e-9)


@given(st.floats(-1.5, 1.5), st.floats(-1.3, 0.4))
def test_projection_keeps_the_length_of_baselines(hour, declination):
    positions = np.array([[0, 0, 0], [130.0, -270.0, 12.0], [-500.0, 20.0, -3.0]])
    first, second = np.triu_indices(3, 1)
    lengths = np.linalg.norm(positions[second] - positions[first], axis=1)
    projected = radio.uv_coverage(positions, -0.4, np.array([hour]), declination)[0]
    assert np.linalg.norm(projected, axis=1) == pytest.approx(lengths)


@given(flux=st.floats(1e-4, 10), east=st.integers(-40, 40), north=st.integers(-40, 40))
@settings(max_examples=15, deadline=None)
def test_a_point_source_of_s_jansky_peaks_at_s_jansky_per_beam_where_it_is(uvw, natural, flux, east, north):
    sky = np.zeros((N, N))
    sky[N // 2 + north, N // 2 - east] = flux
    image = radio.dirty_image(radio.predict(sky, uvw, FREQUENCY, PIXEL), natural, uvw, FREQUENCY, N, PIXEL)
    assert np.unravel_index(image.argmax(), image.shape) == (N // 2 + north, N // 2 - east)
    assert image.max() == pytest.approx(flux, rel=1e-3)


def test_visibilities_have_the_phase_of_an_offset_to_the_east(uvw):
    sky = np.zeros((N, N))
    sky[N // 2, N // 2 - 7] = 1.0
    expected = np.exp(-2j * np.pi * uvw[..., 0] * FREQUENCY / radio.SPEED_OF_LIGHT * 7 * PIXEL)
    assert np.abs(radio.predict(sky, uvw, FREQUENCY, PIXEL) - expected).max() < 1e-3


@pytest.mark.parametrize("robust", [-2, 0.5, 2])
def test_the_dirty_beam_peaks_at_one_and_is_symmetric(uvw, robust):
    weights = radio.briggs_weights(uvw, FREQUENCY, N * PIXEL, robust)
    beam = radio.dirty_beam(weights, uvw, FREQUENCY, N, PIXEL)
    assert beam[N // 2, N // 2] == beam.max() == pytest.approx(1, abs=1e-4)
    assert beam[1:, 1:] == pytest.approx(beam[1:, 1:][::-1, ::-1], abs=1e-3)


def test_uniform_weights_give_a_smaller_beam_and_more_noise_than_natural_ones(uvw):
    sizes, noises = [], []
    for robust in (-2, 0.5, 2):
        weights = radio.briggs_weights(uvw, FREQUENCY, N * PIXEL, robust)
        sizes.append(radio.fit_beam(radio.dirty_beam(weights, uvw, FREQUENCY, N, PIXEL), PIXEL).size)
        noises.append(radio.image_noise(1.0, weights))
    assert sizes == sorted(sizes) and sizes[0] < 0.95 * sizes[2]
    assert noises == sorted(noises, reverse=True)
    assert noises[2] == pytest.approx(1 / np.sqrt(uvw[..., 0].size), rel=0.02)


@given(major=st.floats(5, 14), ratio=st.floats(0.45, 0.95), angle=st.floats(-89, 89))
@settings(max_examples=40, deadline=None)
def test_the_restoring_beam_fits_a_gaussian_with_its_angle_from_north_to_east(major, ratio, angle):
    beam = radio.Beam(major * PIXEL, ratio * major * PIXEL, angle)
    point = np.zeros((64, 64))
    point[32, 32] = 1.0
    image = radio.restore(point, beam, PIXEL)
    fitted = radio.fit_beam(image, PIXEL)
    assert (fitted.major, fitted.minor) == pytest.approx((beam.major, beam.minor), rel=0.02)
    assert abs((fitted.angle - angle + 90) % 180 - 90) < 2 / (1 - ratio)
    if 20 < angle < 70:  # to the north-east, that is to the upper left
        assert image[36, 28] > image[36, 36]


def test_baselines_to_the_north_east_make_a_beam_that_is_long_to_the_north_west():
    line = np.linspace(0, 1, 12) ** 1.5 * 600
    positions = np.stack([line, line, 0 * line], axis=1)
    positions[:, :2] += np.random.default_rng(2).normal(0, 40, (12, 2))
    latitude = np.radians(-23)
    uvw = radio.uv_coverage(positions, latitude, np.array([0.0]), latitude)
    beam = radio.fit_beam(radio.dirty_beam(np.ones(uvw.shape[:-1]), uvw, FREQUENCY, 256, PIXEL), PIXEL)
    assert beam.angle == pytest.approx(-45, abs=8)
    assert beam.major > 2 * beam.minor


def test_a_beam_that_the_pixels_do_not_resolve_is_refused(uvw, natural):
    with pytest.raises(ValueError, match="choose other pixels"):
        radio.fit_beam(radio.dirty_beam(natural, uvw, FREQUENCY, 32, PIXEL / 20), PIXEL / 20)


def test_restoring_keeps_the_flux_of_extended_sources():
    sky = np.zeros((N, N))
    sky[40:70, 50:80] = np.random.default_rng(3).random((30, 30))
    beam = radio.Beam(7 * PIXEL, 4 * PIXEL, 30.0)
    image = radio.restore(sky, beam, PIXEL)
    assert image.sum() / beam.area(PIXEL) == pytest.approx(sky.sum(), rel=1e-4)


def test_the_beam_area_is_that_of_a_gaussian():
    assert radio.Beam(2.0, 1.0, 0.0).area(0.1) == pytest.approx(np.pi * 2 / (4 * np.log(2)) * 100)


def test_image_noise_is_what_the_radiometer_equation_says():
    n_antennas, n_times, time, bandwidth, tsys = 43, 10, 1200.0, 7.5e9, 90.0
    rms = radio.visibility_noise(tsys, 12.0, 0.68, bandwidth, time / n_times)
    weights = np.ones((n_times, n_antennas * (n_antennas - 1) // 2))
    area = 0.88 * 0.68 * np.pi * 36
    handbook = 2 * 1380.649 * tsys / (area * np.sqrt(2 * n_antennas * (n_antennas - 1) * bandwidth * time))
    assert radio.image_noise(rms, weights) == pytest.approx(handbook)
    assert handbook == pytest.approx(2.0e-5, rel=0.25)  # the order of ALMA's continuum images


@pytest.mark.parametrize("robust", [0.5, 2])
def test_noise_in_the_image_has_the_rms_of_its_weights(uvw, robust):
    weights = radio.briggs_weights(uvw, FREQUENCY, N * PIXEL, robust)
    rng = np.random.default_rng(4)
    images = [
        radio.dirty_image(radio.draw_noise(weights.shape, 0.3, rng), weights, uvw, FREQUENCY, N, PIXEL)
        for _ in range(20)
    ]
    assert np.std(images) == pytest.approx(radio.image_noise(0.3, weights), rel=0.03)


def test_noise_is_correlated_by_the_dirty_beam(uvw, natural):
    rng, power = np.random.default_rng(5), 0.0
    for _ in range(120):
        noise = radio.dirty_image(radio.draw_noise(natural.shape, 1.0, rng), natural, uvw, FREQUENCY, N, PIXEL)
        power = power + np.abs(np.fft.fft2(noise, s=(2 * N, 2 * N))) ** 2
    correlation = np.fft.ifft2(power).real[:7, :7] / (N - np.arange(7))[:, None] / (N - np.arange(7))[None, :]
    beam = radio.dirty_beam(natural, uvw, FREQUENCY, N, PIXEL)
    expected = beam[N // 2 : N // 2 + 7, N // 2 : N // 2 + 7]
    assert np.abs(correlation / correlation[0, 0] - expected).max() < 0.04


def test_the_primary_beam_is_half_at_half_its_width():
    half = 0.5 * 1.13 * radio.SPEED_OF_LIGHT / FREQUENCY / 12
    assert radio.primary_beam(np.array([0.0, half]), FREQUENCY, 12.0) == pytest.approx([1, 0.5])
    radius = radio.primary_beam_radius(0.2, FREQUENCY, 12.0)
    assert radio.primary_beam(radius, FREQUENCY, 12.0) == pytest.approx(0.2)


def test_gain_errors_belong_to_antennas_and_last_their_coherence_time():
    errors = radio.draw_gain_errors(5, 6, 3, np.random.default_rng(6))
    assert errors.shape == (6, 10)
    assert np.array_equal(errors[0], errors[2]) and not np.array_equal(errors[2], errors[3])
    pair = {pair: k for k, pair in enumerate(zip(*np.triu_indices(5, 1), strict=True))}
    closure = errors[0, pair[0, 1]] + errors[0, pair[2, 3]] - errors[0, pair[0, 3]] - errors[0, pair[1, 2]].conj()
    assert abs(closure.real) < 1e-5  # four antennas, whose amplitude errors cancel


def test_calibration_artefacts_grow_with_the_source(uvw, natural):
    errors = radio.draw_gain_errors(24, len(uvw), 14, np.random.default_rng(7))
    sky = np.zeros((N, N))
    sky[N // 2, N // 2] = 1.0
    true = radio.predict(sky, uvw, FREQUENCY, PIXEL)
    one, ten = (radio.dirty_image(s * true * errors, natural, uvw, FREQUENCY, N, PIXEL) for s in (1, 10))
    assert np.std(one) > 0
    assert ten == pytest.approx(10 * one, rel=1e-3, abs=1e-4)
