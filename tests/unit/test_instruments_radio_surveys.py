from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import fft

from skyloom.errors import UserError
from skyloom.instruments import radio_surveys
from skyloom.instruments.radio_surveys import Survey
from skyloom.seeds import generator

ARRAYS = Path(__file__).parents[2] / "resources/arrays"
LOFAR = radio_surveys.read_array(ARRAYS / "lofar_hba.ecsv")
SURVEY = Survey(beam=20.0, pixel=5.0, side=192, hours=4.0)
VLA = Survey(1500.0, 45.0, 10.0, (40e-6, 80e-6), 160, declination=20.0, hours=4.0, bandwidth=0.4, shortest=0.0)
MEERKAT = Survey(1280.0, 10.0, 2.5, (4e-6, 8e-6), 160, declination=-40.0, hours=2.0, bandwidth=0.5, shortest=0.0)
QUIET = 1e-9


@pytest.fixture(scope="module")
def lofar():
    return radio_surveys.prepare(SURVEY, LOFAR)


def canvas(instrument, *sources):
    sky = np.zeros((instrument.canvas,) * 2, np.float32)
    for x, y, flux in sources:
        sky[y, x] = flux
    return sky


def flat(instrument, rms):
    return np.full((instrument.canvas,) * 2, rms, np.float32)


def blob(instrument, width, flux):
    """Return a Gaussian of a standard deviation of `width` pixels in the middle."""
    y, x = np.mgrid[: instrument.canvas, : instrument.canvas] - instrument.canvas / 2
    image = np.exp(-0.5 * (x**2 + y**2) / width**2)
    return (flux * image / image.sum()).astype(np.float32)


def test_lofar_stands_where_it_does():
    positions = np.array(LOFAR.positions)
    assert len(positions) == 24 * 2 + 14
    assert np.degrees(LOFAR.latitude) == pytest.approx(52.9, abs=0.1)
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    # Dutch stations: up to 121 km; the two fields of a core station are some 130 m apart (van Haarlem et al. 2013).
    assert 100e3 < apart.max() < 125e3
    assert 40 < apart[apart > 0].min() < 130
    # The core is flat.
    assert np.ptp(positions[:40, 2]) < 15


def test_other_arrays_are_read_in_either_frame():
    vla, meerkat = (radio_surveys.read_array(ARRAYS / f"{name}.ecsv") for name in ("vla_d", "meerkat"))
    assert np.degrees(vla.latitude) == pytest.approx(34.08, abs=0.02)
    assert np.ptp(np.array(vla.positions)[:, 2]) < 30
    assert np.linalg.norm(np.ptp(np.array(vla.positions), axis=0)[:2]) < 2000
    assert np.degrees(meerkat.latitude) == pytest.approx(-30.7, abs=0.1)


def test_a_bad_table_is_refused(tmp_path):
    path = tmp_path / "array.ecsv"
    path.write_text("nothing\n")
    with pytest.raises(UserError, match="array.ecsv"):
        radio_surveys.read_array(path)


def test_an_array_without_long_baselines_is_refused():
    with pytest.raises(UserError, match="wider"):
        radio_surveys.prepare(replace(VLA, beam=10.0, pixel=2.5), radio_surveys.read_array(ARRAYS / "vla_d.ecsv"))


@pytest.mark.parametrize(
    ("survey", "name"), [(SURVEY, "lofar_hba"), (VLA, "vla_d"), (MEERKAT, "meerkat")], ids=["lofar", "vla", "meerkat"]
)
def test_the_dirty_beam_is_as_wide_as_the_restored_one(survey, name):
    instrument = radio_surveys.prepare(survey, radio_surveys.read_array(ARRAYS / f"{name}.ecsv"))
    clean, dirty = (
        np.roll(fft.irfft2(part, s=(instrument.canvas,) * 2), (instrument.canvas // 2,) * 2, (0, 1))
        for part in (instrument.clean, instrument.dirty)
    )
    middle = instrument.canvas // 2
    assert clean[middle, middle] == pytest.approx(1, abs=1e-3)
    assert dirty[middle, middle] == pytest.approx(1, abs=0.12)
    assert clean.sum() == pytest.approx(survey.beam_area, rel=1e-3)
    half = survey.beam / survey.pixel / 2
    across = dirty[middle, middle:] / dirty[middle, middle]
    along = dirty[middle:, middle] / dirty[middle, middle]
    radii = [np.interp(0.5, profile[:12][::-1], np.arange(12)[::-1]) for profile in (across, along)]
    assert np.sqrt(np.prod(radii)) == pytest.approx(half, rel=0.15)
    # There is no baseline of no length, hence no flux.
    assert abs(dirty.sum()) < 0.02 * survey.beam_area


def test_a_bright_point_is_restored_to_the_beam(lofar):
    image = radio_surveys.observe(canvas(lofar, (100, 90, 0.5)), lofar, flat(lofar, QUIET), generator(0, "test"))
    x, y = 100 - lofar.margin, 90 - lofar.margin
    assert image.shape == (SURVEY.side, SURVEY.side)
    assert image.dtype == np.float32
    assert np.unravel_index(image.argmax(), image.shape) == (y, x)
    assert image[y, x] == pytest.approx(0.5, rel=1e-3)
    assert image.sum() / SURVEY.beam_area == pytest.approx(0.5, rel=0.01)
    assert image[y, x + 2] / image[y, x] == pytest.approx(2 ** -(4 * (2 * 5 / 20) ** 2), rel=0.01)


def test_extended_emission_keeps_its_flux(lofar):
    sky = blob(lofar, 8, 2.0)
    image = radio_surveys.observe(sky, lofar, flat(lofar, 1e-4), generator(0, "test"))
    near = image[64:128, 64:128]
    noise = 1e-4 * np.sqrt(near.size / SURVEY.beam_area)
    assert near.sum() / SURVEY.beam_area == pytest.approx(2, abs=5 * noise + 0.1)


def test_the_scales_that_no_baseline_sees_are_lost_of_what_is_extended():
    vla = radio_surveys.prepare(VLA, radio_surveys.read_array(ARRAYS / "vla_d.ecsv"))
    # The shortest baselines of configuration D, 35 m, see at most 16 arcmin at 1.5 GHz.
    peaks = []
    for width in (6, 60):
        sky, nothing = blob(vla, width, 5.0), canvas(vla)
        image = radio_surveys.observe(nothing, vla, flat(vla, 1e-5), generator(0, "test"), extended=sky)
        full = sky.max() * VLA.beam_area
        peaks.append(image[70:90, 70:90].mean() / (sky[70:90, 70:90].mean() / sky.max() * full))
    assert peaks[0] > 0.8
    assert peaks[1] < 0.3


def test_what_is_below_the_clean_threshold_keeps_its_side_lobes(lofar):
    def ripples(flux):
        image = radio_surveys.observe(canvas(lofar, (102, 102, flux)), lofar, flat(lofar, 1e-3), generator(0, "test"))
        empty = radio_surveys.observe(canvas(lofar), lofar, flat(lofar, 1e-3), generator(0, "test"))
        seen = (image - empty) / flux
        y, x = np.mgrid[: SURVEY.side, : SURVEY.side] - (102 - lofar.margin)
        return seen[np.hypot(x, y) > 3 * SURVEY.beam / SURVEY.pixel].std()

    assert ripples(0.5e-3) > 20 * ripples(1.0)


def test_an_empty_field_has_its_noise_correlated_by_the_beam(lofar):
    images = np.array(
        [radio_surveys.observe(canvas(lofar), lofar, flat(lofar, 2e-4), generator(n, "test")) for n in range(6)]
    )
    assert images.std() == pytest.approx(2e-4, rel=0.05)
    assert abs(images.mean()) < 2e-5

    # Neighbours within a beam are alike, those five beams apart are not.
    def alike(shift):
        return np.mean(images[..., shift:] * images[..., :-shift]) / np.mean(images**2)

    assert alike(1) > 0.6
    assert 0.1 < alike(2) < 0.75
    assert abs(alike(20)) < 0.12


def test_noise_of_smoothed_images_is_as_told(lofar):
    from scipy.ndimage import gaussian_filter

    noise = np.array([radio_surveys.draw_noise(lofar, generator(n, "test")) for n in range(6)])
    scale = 40.0
    width = np.sqrt(scale**2 - SURVEY.beam**2) / SURVEY.pixel / 2.3548
    smooth = [gaussian_filter(one, width, mode="wrap") for one in noise]
    assert lofar.smoothed_rms(SURVEY.beam) == pytest.approx(1)
    # At least that of noise that is independent from beam to beam, which the array's is not quite.
    assert np.std(smooth) <= lofar.smoothed_rms(scale) * 1.08
    assert lofar.smoothed_rms(scale) == pytest.approx(max(np.std(smooth), 0.5), rel=0.1)
    assert lofar.smoothed_rms(100.0) < lofar.smoothed_rms(60.0) < 1


def test_the_noise_varies_over_the_field_within_its_range(lofar):
    maps = np.array([radio_surveys.draw_rms(lofar, generator(n, "test")) for n in range(30)])
    levels = np.median(maps, axis=(1, 2))
    assert levels.min() >= 80e-6 * 0.99
    assert levels.max() <= 300e-6 * 1.01
    assert levels.max() / levels.min() > 2
    assert np.median(maps.std(axis=(1, 2)) / maps.mean(axis=(1, 2))) > 0.05
    steps = np.abs(np.diff(maps, axis=2)).max() / maps.min()
    assert steps < 0.1


def test_artefacts_surround_their_source_and_fade(lofar):
    place = (float(lofar.canvas // 2), float(lofar.canvas // 2), 1e-3)
    images = [
        radio_surveys.observe(canvas(lofar), lofar, flat(lofar, QUIET), generator(n, "test"), [place]) for n in range(6)
    ]
    near, far = ([image[part, part].std() for image in images] for part in (slice(56, 136), slice(0, 30)))
    assert np.median(near) == pytest.approx(1e-3, rel=0.5)
    assert np.median(far) < 0.5 * np.median(near)
    assert len({image.tobytes() for image in images}) > 1
    # A source outside the image leaves what reaches into it.
    radio_surveys.observe(canvas(lofar), lofar, flat(lofar, QUIET), generator(0, "test"), [(-300.0, 5000.0, 1e-3)])


def test_equal_seeds_give_equal_images(lofar):
    first, again, other = (
        radio_surveys.observe(canvas(lofar), lofar, flat(lofar, 1e-4), generator(n, "test")) for n in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
