"""Diffuse gamma rays: intensities, tracers, templates, and structure that the tracers do not resolve."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.sky import diffuse

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "resources"
TEMPLATE = ROOT.parent / "shared/data/fermi_sources/diffuse/gll_iem_v07_allsky_1.5deg.fits.gz"
PUBLISHED = ROOT.parent / "shared/data/fermi_sources/diffuse/iso_P8R3_SOURCE_V3_v1.txt"
needs_template = pytest.mark.skipif(not TEMPLATE.is_file(), reason="the template of the whole sky is not here")


@pytest.fixture(scope="module")
def sky():
    lon, lat = np.meshgrid(np.arange(0.5, 360, 1.5), np.arange(-89.25, 90, 1.5))
    return lon, lat, np.cos(np.radians(lat))


def mean(image, lat, weight, lowest, highest):
    zone = (np.abs(lat) >= lowest) & (np.abs(lat) < highest)
    return np.sum((image * weight)[zone]) / np.sum(weight[zone])


@pytest.mark.parametrize("tracer", diffuse.TRACERS)
def test_intensities_are_positive_and_the_plane_is_the_brightest(tracer, sky):
    lon, lat, weight = sky
    image = diffuse.intensity(tracer, lon, lat, 1, 2, FOLDER)
    assert image.shape == lon.shape
    assert image.min() > 0
    zones = [mean(image, lat, weight, *zone) for zone in ((0, 5), (5, 20), (20, 50), (50, 90))]
    assert zones == sorted(zones, reverse=True)
    assert 10 < zones[0] / zones[-1] < 60
    assert image[60, 0] > 2 * image[60, 120], "the plane is brighter towards the Galactic Centre than away from it"


@pytest.mark.parametrize("tracer", diffuse.TRACERS)
@given(edges=st.lists(st.floats(0.3, 90), min_size=3, max_size=3, unique=True))
def test_a_band_is_the_sum_of_its_parts(tracer, edges):
    low, middle, high = sorted(edges)
    whole, first, second = (
        float(diffuse.intensity(tracer, 80.0, 20.0, *band, FOLDER))
        for band in ((low, high), (low, middle), (middle, high))
    )
    assert whole == pytest.approx(first + second, rel=0.03)


@pytest.mark.parametrize("tracer", diffuse.TRACERS)
def test_the_sky_goes_on_over_the_edges_of_longitude_and_at_the_poles(tracer):
    lat = np.linspace(-90, 90, 37)
    at = [diffuse.intensity(tracer, np.full(37, lon), lat, 1, 2, FOLDER) for lon in (-1e-6, 0.0, 360.0, 360 - 1e-6)]
    for other in at[1:]:
        assert other == pytest.approx(at[0], rel=1e-4)
    pole = diffuse.intensity(tracer, np.arange(0, 360, 30.0), np.full(12, 90.0), 1, 2, FOLDER)
    assert np.ptp(pole) < 1e-9 * pole.mean()


def test_the_local_emissivity_is_the_published_one():
    # Abdo et al. 2009, ApJ 703, 1249: (0.66 +- 0.02)e-26 photons/(s sr) for each hydrogen atom above 0.3 GeV.
    table = diffuse._spectra(str(FOLDER))
    assert diffuse._band(table, "emissivity", 0.3, 160) == pytest.approx(0.66e-26, rel=0.05)


def test_gas_and_smooth_part_add_up():
    gas, smooth = diffuse.components("dust", [10.0, 200.0], [0.0, 60.0], 2, 7, FOLDER)
    both = diffuse.intensity("dust", [10.0, 200.0], [0.0, 60.0], 2, 7, FOLDER)
    assert gas + smooth == pytest.approx(both)
    assert gas[0] > smooth[0]
    assert gas[1] < smooth[1], "far from the plane the isotropic part and inverse Compton are most"
    several = diffuse.bands_of("dust", [10.0, 200.0], [0.0, 60.0], [(1, 2), (2, 7)], FOLDER)
    assert several.shape == (2, 2, 2)
    assert several[1].sum(0) == pytest.approx(both)


def test_the_tracers_differ_by_ten_to_twenty_percent_within_a_patch():
    x, y = np.meshgrid(np.arange(-6, 6.1, 0.5), np.arange(-6, 6.1, 0.5))
    spread = {0: [], 15: [], 60: []}
    for lat, found in spread.items():
        for lon in range(0, 360, 20):
            places = (lon + x / np.cos(np.radians(lat)), lat + y)
            one, other = (diffuse.intensity(tracer, *places, 1, 2, FOLDER) for tracer in diffuse.TRACERS)
            found.append(np.std(np.log(one / other)))
    medians = {lat: np.median(found) for lat, found in spread.items()}
    assert 0.1 < medians[0] < 0.25
    assert 0.05 < medians[15] < 0.25
    assert 0.01 < medians[60] < 0.15


@needs_template
@pytest.mark.parametrize("band", [(0.3, 0.5), (0.5, 1), (1, 2), (2, 7), (7, 20)])
@pytest.mark.parametrize("tracer", diffuse.TRACERS)
def test_the_mean_intensity_is_that_of_the_official_model(tracer, band, sky):
    lon, lat, weight = sky
    own, official = (diffuse.intensity(name, lon, lat, *band, FOLDER) for name in (tracer, TEMPLATE))
    for zone in ((0, 5), (5, 10), (10, 30), (30, 90)):
        assert mean(own, lat, weight, *zone) == pytest.approx(mean(official, lat, weight, *zone), rel=0.15), zone


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the isotropic spectrum of the collaboration is not here")
def test_the_isotropic_spectrum_is_the_published_one():
    table = diffuse._isotropic(str(FOLDER))
    energy, intensity = np.loadtxt(PUBLISHED, unpack=True, usecols=(0, 1))
    assert np.interp(table["energy"] * 1e3, energy, intensity) * 1e3 == pytest.approx(
        np.array(table["intensity"]), rel=1e-2
    )


def write_template(path, lon=(0.0, -2.0, 90.5, 180), lat=(0.0, 2.0, 46.0, 91), scale=1.0):
    header = fits.Header()
    for k, name, (value, step, pixel, _) in ((1, "GLON-CAR", lon), (2, "GLAT-CAR", lat)):
        header[f"CTYPE{k}"], header[f"CRVAL{k}"], header[f"CDELT{k}"], header[f"CRPIX{k}"] = name, value, step, pixel
    energies = np.geomspace(100, 1e5, 16)
    rise = 1 + (np.arange(lat[3]) - lat[2] + 1)[:, None] * lat[1] / 100 + 0 * np.arange(lon[3])
    cube = scale * (energies / 1e3)[:, None, None] ** -2.0 * rise
    table = fits.BinTableHDU.from_columns([fits.Column("energy", "D", "MeV", array=energies)], name="ENERGIES")
    fits.HDUList([fits.PrimaryHDU(cube.astype("f4"), header), table]).writeto(path)
    return path


def test_a_template_is_integrated_over_the_band_and_interpolated(tmp_path):
    path = write_template(tmp_path / "iem.fits", scale=1e-9)
    lat = np.array([-30.0, 0.0, 1.0, 45.3])
    gas, smooth = diffuse.components(path, np.array([0.0, 179.9, 180.1, 359.7]), lat, 1, 3, FOLDER)
    # In MeV: 1e-9 (E / 1 GeV)**-2 from 1 to 3 GeV is 1e-6 (1 - 1 / 3).
    assert gas == pytest.approx(1e-6 * 2 / 3 * (1 + lat / 100), rel=0.01)
    assert np.ptp(smooth) == 0, "the second part is the isotropic one"
    assert 0 < smooth[0] < diffuse.components("dust", 0.0, 90.0, 1, 3, FOLDER)[1]


def test_what_is_no_template_or_does_not_hold_what_is_asked_for_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        diffuse.intensity(tmp_path / "absent.fits", 0.0, 0.0, 1, 2, FOLDER)
    plain = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(plain)
    with pytest.raises(UserError, match="no template"):
        diffuse.intensity(plain, 0.0, 0.0, 1, 2, FOLDER)
    (tmp_path / "text.fits").write_text("no FITS file\n")
    with pytest.raises(UserError, match="no template"):
        diffuse.intensity(tmp_path / "text.fits", 0.0, 0.0, 1, 2, FOLDER)
    whole = write_template(tmp_path / "iem.fits")
    with pytest.raises(UserError, match="has no 50 to 500 GeV"):
        diffuse.intensity(whole, 0.0, 0.0, 50, 500, FOLDER)
    part = write_template(tmp_path / "part.fits", lon=(0.0, -1.0, 10.5, 20), lat=(0.0, 1.0, 10.5, 20))
    assert diffuse.intensity(part, [-5.0, 5.0, 355.0], [0.0, 0.0, 3.0], 1, 2, FOLDER).min() > 0
    for place in ((90.0, 0.0), (0.0, 40.0)):
        with pytest.raises(UserError, match="whole sky"):
            diffuse.intensity(part, *place, 1, 2, FOLDER)


@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.integers(8, 40),
    pixel=st.floats(0.02, 0.5),
    rms=st.floats(0.0, 0.3),
)
def test_structure_is_positive_and_of_mean_one(seed, side, pixel, rms):
    field = diffuse.structure(np.random.default_rng(seed), side, pixel, rms)
    assert field.shape == (side, side)
    assert field.min() > 0
    # Its logarithm is lower by half of a variance, which the grid's corners lift above the rings'.
    assert -(rms**2) - 1e-9 < np.log(field).mean() <= 1e-9, "it has no structure beyond its largest wavelength"


def test_structure_has_the_asked_amplitude_spectrum_and_scales():
    rng = np.random.default_rng(5)
    side, pixel = 256, 0.05
    fields = np.stack([diffuse.structure(rng, side, pixel, rms=0.1) for _ in range(20)])
    assert fields.mean() == pytest.approx(1, abs=2e-4)
    # Of the variance, 1 - (0.9 / 0.1)**-0.8 = 83 % lies between the largest wavelength and the grid's shortest.
    assert fields.std() == pytest.approx(0.1 * np.sqrt(0.84), rel=0.04)
    power = (np.abs(np.fft.fft2(np.log(fields))) ** 2).mean(0)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(side, pixel), np.fft.fftfreq(side, pixel)))
    rings = [(1.2, 1.6), (2.4, 3.2), (4.8, 6.4)]
    level = [power[(k >= low) & (k < high)].mean() for low, high in rings]
    slopes = np.diff(np.log(level)) / np.log(2)
    assert slopes == pytest.approx(-2.8, abs=0.15)
    assert power[(k > 0) & (k < 1 / 0.9)].max() < 1e-6 * level[0]
    coarse = fields.reshape(20, 64, 4, 64, 4).mean((2, 4))
    assert 0.04 < coarse.std() < fields.std()
    assert diffuse.structure(rng, 16, 0.8) == pytest.approx(1)
