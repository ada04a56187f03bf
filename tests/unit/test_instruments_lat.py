"""The response of the Fermi-LAT: against published numbers, the response files, and real exposure maps."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.instruments import lat, lat_irfs

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared/data/fermi_sources"
BANDS = [(0.3, 0.5, 32), (0.5, 1, 32), (1, 2, 64), (2, 7, 128), (7, 20, 256)]
WIDTH = 12.8
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the response files and maps of ../shared/data are not here")


@pytest.fixture(scope="module")
def responses():
    return {event_type: lat.read_response(ROOT / "resources", event_type) for event_type in lat.EVENT_TYPES}


@pytest.fixture(scope="module")
def profiles(responses):
    return [responses["FB"].profile(lowest, highest) for lowest, highest, _ in BANDS]


@cache
def highest_band():
    """Return a profile that no generated example has to print."""
    return lat.read_response(ROOT / "resources").profile(*BANDS[-1][:2])


def narrow(response, energy):
    return response.profile(energy * 0.999, energy * 1.001)


@pytest.mark.parametrize(
    ("energy", "radius", "within"), [(0.101, 5.0, 0.1), (1, 0.8, 0.05), (30, 0.1, 0.1), (100, 0.1, 0.1)]
)
def test_68_percent_of_the_photons_lie_within_the_published_radius(responses, energy, radius, within):
    """4FGL (Abdollahi et al. 2020, ApJS 247, 33): about 5 deg at 0.1 GeV, 0.8 deg at 1 GeV, 0.1 deg above 20 GeV."""
    assert narrow(responses["FB"], energy).radius(0.68) == pytest.approx(radius, rel=within)


@pytest.mark.parametrize("energy", [0.3, 1, 3, 10, 100])
def test_95_percent_lie_within_a_few_times_that_radius_and_the_best_quarter_has_short_tails(responses, energy):
    for event_type, low, high in (("FB", 2.3, 5.0), ("PSF3", 2.0, 2.5)):
        profile = narrow(responses[event_type], energy)
        assert low < profile.radius(0.95) / profile.radius(0.68) < high
    assert narrow(responses["PSF3"], energy).radius(0.68) < 0.6 * narrow(responses["FB"], energy).radius(0.68)


@needs_real
def test_radii_are_those_of_the_radii_that_the_fermitools_give(responses):
    """The cube of gtpsf for the Galactic Centre above 10 GeV (P8R2_SOURCE_V6, nearly the same King functions)."""
    with fits.open(REAL / "fermi-3fhl-gc/fermi-3fhl-gc-psf-cube.fits.gz") as hdus:
        theta = np.radians(np.asarray(hdus["THETA"].data["Theta"], dtype=float))
        for row in hdus["PSF"].data[::3]:
            rings = 2 * np.pi * np.sin(theta) * np.asarray(row["Psf"], dtype=float)
            held = np.append(0, np.cumsum((rings[1:] + rings[:-1]) / 2 * np.diff(theta)))
            profile = narrow(responses["FB"], row["Energy"] / 1e3)
            for fraction, within in ((0.34, 0.03), (0.68, 0.03), (0.95, 0.03)):
                expected = np.degrees(np.interp(fraction, held, theta))
                assert profile.radius(fraction) == pytest.approx(expected, rel=within)


@needs_real
@pytest.mark.parametrize("energy", [1.7, 25])
def test_radii_are_those_of_the_response_file_by_another_integration(responses, energy):
    """Near the axis and to 63 deg off it, by drawn King functions; the survey's mean lies between."""
    rng = np.random.default_rng(1)
    part = lat_irfs.read_irfs(REAL / "irfs", "PSF3")[0]
    survey = narrow(responses["PSF3"], energy)
    column = np.argmin(np.abs(np.log(part["psf_energy"] / energy)))
    at = part["psf_energy"][column]
    radii = np.geomspace(1e-3, 60, 2000)
    found = []
    for row in (2, 4, 7):
        core, tail = part["SCORE"][row, column], part["STAIL"][row, column]
        in_core = 1 / (1 + part["NTAIL"][row, column] * (tail / core) ** 2)
        which = rng.random(200_000) < in_core
        width = np.where(which, core, tail)
        slope = np.where(which, part["GCORE"][row, column], part["GTAIL"][row, column])
        deviation = width * np.sqrt(2 * slope * (rng.random(len(width)) ** (-1 / (slope - 1)) - 1))
        first, second, power = part["scale"]
        sampled = np.degrees(deviation * np.hypot(first * (at / 0.1) ** power, second))
        sampled = sampled[sampled < 90]
        held = lat_irfs.containment(part, at, part["psf_cosine"][[row]], radii)[0]
        for fraction in (0.3, 0.68, 0.95):
            expected = np.quantile(sampled, fraction)
            assert np.interp(fraction, held, radii) == pytest.approx(expected, rel=0.02), (row, fraction)
        found.append(np.quantile(sampled, 0.68) * (at / energy) ** 0.7)
    assert min(found) < survey.radius(0.68) < max(found)


def test_the_exposure_of_eight_years_is_the_published_one(responses):
    """4FGL: at 1 GeV at most 4.5e11 cm2 s, around the northern pole, and at least 2.7e11, at the celestial equator."""
    dec = np.linspace(-90, 90, 181)
    exposure = responses["FB"].exposure(dec, 0.99, 1.01, years=8)
    assert exposure.max() == pytest.approx(4.5e11, rel=0.05)
    assert exposure.min() == pytest.approx(2.7e11, rel=0.05)
    assert dec[exposure.argmax()] > 65
    assert abs(dec[exposure.argmin()]) < 10
    assert responses["FB"].exposure(20, 1, 2, years=4) == pytest.approx(responses["FB"].exposure(20, 1, 2, years=8) / 2)


def test_a_quarter_of_the_photons_have_the_best_directions(responses):
    dec = np.linspace(-80, 80, 9)
    share = responses["PSF3"].exposure(dec, 2, 20, 1) / responses["FB"].exposure(dec, 2, 20, 1)
    assert share.mean() == pytest.approx(0.25, abs=0.02)


@needs_real
def test_exposure_has_the_shape_of_the_real_map():
    """573 weeks, 2 to 20 GeV, best quarter; that map's level is lower, for a stricter class and zenith angles to 90."""
    from astropy.coordinates import Galactic
    from astropy_healpix import HEALPix

    with np.load(REAL / "allsky/fermi573w_2-20GeV_nside128.npz", allow_pickle=False) as maps:
        real = maps["fermidata_exposure"].astype(float)
    healpix = HEALPix(128, order="ring", frame=Galactic())
    dec = healpix.healpix_to_skycoord(np.arange(healpix.npix)).icrs.dec.deg
    edges = np.arange(-90, 91, 10)
    place = np.digitize(dec, edges) - 1
    of_map = np.array([real[place == number].mean() for number in range(18)])
    cosines, times = lat_irfs.live_times((edges[1:] + edges[:-1]) / 2, zenith=90)
    part = lat_irfs.read_irfs(REAL / "irfs", "PSF3")[0]
    weeks = 573 * 7 * 86400
    model = weeks * times @ lat_irfs.areas(part, [3.5], cosines)[0]
    ratio = of_map / model
    assert ratio.std() / ratio.mean() < 0.06
    assert 0.7 < ratio.mean() < 1.0
    assert np.corrcoef(of_map, model)[0, 1] > 0.98


@needs_real
def test_exposure_has_the_level_of_the_real_cube_of_the_galactic_centre(responses):
    """Seven years, SOURCE (P8R2); the survey favoured the Galactic Centre from 2013 to 2015."""
    with fits.open(REAL / "fermi-3fhl-gc/fermi-3fhl-gc-exposure-cube.fits.gz") as hdus:
        energies = np.asarray(hdus["ENERGIES"].data["Energy"], dtype=float) / 1e3
        real = hdus[0].data[:, 100, 200]
    years = (460250000.0 - 239557417.5) / lat_irfs.YEAR
    for energy, expected in list(zip(energies, real, strict=True))[:-1:2]:
        assert responses["FB"].exposure(-29, energy, energy * 1.01, years) == pytest.approx(expected, rel=0.15)


@needs_real
def test_tables_are_those_of_the_command(responses):
    energies = [1.0, 10.0]
    psf, year = lat_irfs.tabulate(REAL / "irfs", energies, np.arange(-90, 91, 5))
    for event_type, response in responses.items():
        rows = psf[psf["event_type"] == event_type]
        for energy, row in zip(energies, rows, strict=True):
            number = np.argmin(np.abs(response.energies - energy))
            found = [row[lat_irfs.column(fraction)] for fraction in lat_irfs.FRACTIONS]
            np.testing.assert_allclose(found, response.radii[number], rtol=1e-4)
            made = year["exposure"][(year["event_type"] == event_type) & (year["energy"] == energy)]
            np.testing.assert_allclose(made, response.yearly[number], rtol=1e-4)


def test_three_quarters_of_all_time_are_live_and_the_earth_hides_the_rest():
    dec = np.linspace(-87.5, 87.5, 36)
    assert lat_irfs.live_times([0.0], zenith=180, rocking=((0.0, 1.0),))[1].sum() < 0.76 / 2 + 0.01
    cosines, times = lat_irfs.live_times(dec, zenith=180)
    weights = np.cos(np.radians(dec))
    # Half of the sky is before the LAT at any time, of which 76 % are live.
    assert weights @ times.sum(1) / weights.sum() == pytest.approx(0.76 / 2, abs=0.005)
    fewer = lat_irfs.live_times(dec, zenith=90)[1]
    assert np.all(fewer <= times + 1e-12)


def test_density_is_the_slope_of_what_radii_hold(profiles):
    for profile in profiles:
        radii = np.geomspace(profile.radius(1e-4), profile.radius(0.99), 4000)
        rings = 2 * np.pi * np.sin(np.radians(radii)) * profile.density(radii)
        held = np.sum((rings[1:] + rings[:-1]) / 2 * np.diff(np.radians(radii)))
        assert held == pytest.approx(0.99, abs=3e-3)
        assert np.all(np.diff(profile.density(radii[::100])) < 0.02 * profile.density(0.0))
        assert profile.radius(0.5) < profile.radius(0.68) < profile.radius(0.95)


def test_bands_of_softer_spectra_have_wider_profiles(responses):
    assert responses["FB"].profile(1, 10, 3).radius(0.68) > 1.1 * responses["FB"].profile(1, 10, 1.5).radius(0.68)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.sampled_from([0.05, 0.1]))
def test_images_hold_all_photons_around_the_source(x, y, pixel):
    profile = highest_band()
    side = 2 * int(profile.radius(0.998) / pixel + 6) + 1
    image = profile.image(side, pixel, side // 2 + x, side // 2 + y).astype(float)
    grid = np.arange(side) - side // 2
    assert image.min() >= 0
    assert image.sum() == pytest.approx(1, abs=1e-4)
    assert image.sum(0) @ grid == pytest.approx(x, abs=0.01)
    assert image.sum(1) @ grid == pytest.approx(y, abs=0.01)


@pytest.mark.parametrize("number", range(len(BANDS)))
def test_a_circle_of_an_image_holds_what_the_profile_says(profiles, number):
    profile, pixel = profiles[number], profiles[number].radius(0.68) / 6
    side = 2 * int(profile.radius(0.98) / pixel) + 1
    image = profile.image(side, pixel, side // 2, side // 2).astype(float)
    rows, columns = np.indices(image.shape) - side // 2
    for fraction in (0.5, 0.68, 0.95):
        inside = np.hypot(rows, columns) * pixel < profile.radius(fraction)
        assert image[inside].sum() == pytest.approx(fraction, abs=0.02)


def test_the_core_is_integrated_when_pixels_are_larger_than_it(profiles):
    """Against drawn photons."""
    profile, pixel = profiles[-1], 0.4
    rng = np.random.default_rng(2)
    radii = np.interp(rng.random(400_000), profile.held, profile.radii)
    angle = rng.uniform(0, 2 * np.pi, len(radii))
    x, y = 4.3 + radii * np.cos(angle) / pixel, 3.9 + radii * np.sin(angle) / pixel
    drawn = np.histogram2d(y, x, bins=np.arange(10) - 0.5)[0] / len(radii)
    np.testing.assert_allclose(profile.image(9, pixel, 4.3, 3.9), drawn, atol=4e-3)


def test_sources_outside_an_image_leave_their_tails_in_it(profiles):
    profile = profiles[2]
    pixel = WIDTH / 64
    whole = profile.image(192, pixel, 60.0, 100.0)
    part = profile.image(64, pixel, 60.0 - 64, 100.0 - 64)
    np.testing.assert_allclose(part, whole[64:128, 64:128], atol=1e-7)
    assert 0.01 < part.sum() < 0.5
    assert profile.image(64, pixel, 500, 500).sum() == 0


def test_many_sources_are_the_sum_of_their_images(profiles):
    rng = np.random.default_rng(3)
    for profile, (_, _, side) in zip(profiles, BANDS, strict=True):
        xs, ys = rng.uniform(-0.2 * side, 1.2 * side, (2, 100))
        counts = rng.uniform(1, 100, 100)
        total = profile.total(side, WIDTH / side, xs, ys, counts)
        images = [profile.image(side, WIDTH / side, x, y) for x, y in zip(xs, ys, strict=True)]
        np.testing.assert_allclose(total, np.tensordot(counts, images, 1), rtol=1e-3, atol=1e-4)


def test_a_kernel_is_odd_normalised_and_symmetric(profiles):
    kernel = profiles[1].kernel(0.4)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)


def test_bad_bands_event_types_and_tables_are_told(responses, tmp_path):
    with pytest.raises(UserError, match="not within the response"):
        responses["FB"].profile(0.03, 0.1)
    with pytest.raises(UserError, match="not within the response"):
        responses["FB"].exposure(0, 2, 1, 1)
    with pytest.raises(UserError, match="choose one of FB, PSF3"):
        lat.read_response(ROOT / "resources", "PSF2")
    with pytest.raises(UserError, match="no such file"):
        lat.read_response(tmp_path)
    (tmp_path / "fermi").mkdir()
    for name, text in (("psf", "energy\n1\n"), ("exposure", "energy\n1\n")):
        (tmp_path / f"fermi/{name}.ecsv").write_text((ROOT / f"resources/fermi/{name}.ecsv").read_text())
        broken = tmp_path / f"fermi/{name}.ecsv"
        broken.write_text("# %ECSV 1.0\n# ---\n# datatype:\n# - {name: energy, datatype: float64}\n" + text)
        with pytest.raises(UserError, match="has no `event_type`"):
            lat.read_response(tmp_path)
        broken.write_text((ROOT / f"resources/fermi/{name}.ecsv").read_text())
    lines = (ROOT / "resources/fermi/exposure.ecsv").read_text().splitlines()
    (tmp_path / "fermi/exposure.ecsv").write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match="does not fit psf"):
        lat.read_response(tmp_path, "PSF3")
