import io
import warnings
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.instruments import alma, products

ARRAYS = Path(__file__).parents[2] / "resources/arrays"
PROVIDED = Path(__file__).parents[3] / "shared/data/arrays"
SETUP = alma.Setup(5, 7, 340e9, np.radians(-24.0), 1800.0, 0.1, 5.0, 200)


@pytest.fixture(scope="module")
def view():
    return alma.view(SETUP, alma.read_antennas(ARRAYS, SETUP.configuration))


def gaussian(view, east, north, fwhm):
    axis = np.arange(view.n) - view.n // 2
    square = (axis[None, :] + east) ** 2 + (axis[:, None] - north) ** 2
    image = np.exp(-4 * np.log(2) * square / fwhm**2)
    return image / image.sum()


@pytest.mark.parametrize("configuration", range(1, 11))
def test_every_configuration_has_43_antennas_as_alma_gives_them(configuration):
    antennas = alma.read_antennas(ARRAYS, configuration)
    assert antennas.shape == (43, 3)
    source = PROVIDED / f"alma.cycle9.{configuration}.cfg"
    if not source.is_file():
        pytest.skip(f"{source} is not there to compare with")
    assert antennas == pytest.approx(np.loadtxt(source, usecols=(0, 1, 2)), abs=1e-3)


def test_configurations_grow():
    longest = [np.ptp(alma.read_antennas(ARRAYS, number)[:, :2], axis=0).max() for number in range(1, 11)]
    assert longest == sorted(longest)


def test_a_missing_antenna_table_is_told(tmp_path):
    with pytest.raises(UserError, match="no such antenna table"):
        alma.read_antennas(tmp_path, 3)


@given(st.integers(0, 2**32 - 1), st.integers(32, 120), st.integers(130, 2000), st.booleans())
def test_drawn_images_are_even_and_within_the_limits(seed, smallest, largest, coarse):
    setup = alma.draw_setup(np.random.default_rng(seed), -0.4, smallest, largest, coarse)
    assert setup.size % 2 == 0 and smallest <= setup.size <= largest + 1
    assert (setup.configuration <= 3) == coarse


def test_system_temperatures_rise_towards_the_horizon_and_with_the_band():
    zenith = [alma.system_temperature(band, np.pi / 2) for band in (3, 6, 7)]
    assert zenith == sorted(zenith) and zenith[0] > 50 and zenith[2] < 300
    assert alma.system_temperature(7, np.radians(30)) > zenith[2]


def test_the_beam_is_near_the_handbooks_estimate_and_the_noise_is_that_of_such_images(view):
    lengths = np.hypot(view.uvw[..., 0], view.uvw[..., 1])
    estimate = 0.574 * 299792458 / SETUP.frequency / np.percentile(lengths, 80)
    assert view.beam.size == pytest.approx(estimate, rel=0.3)
    assert view.beam.size / view.pixel == pytest.approx(SETUP.pixels_per_beam, rel=0.1)
    assert 2e-5 < view.rms < 2e-4


def test_an_image_of_the_whole_primary_beam_reaches_its_limit():
    setup = replace(SETUP, configuration=4, whole=True, pixels_per_beam=3.5)
    view = alma.view(setup, alma.read_antennas(ARRAYS, 4))
    blank = np.isnan(alma.observe(np.zeros((view.n, view.n)), view, np.random.default_rng(1)))
    assert view.n != setup.size
    assert np.array_equal(blank, view.response < alma.PB_LIMIT)
    assert 0.15 < blank.mean() < 0.4 and not blank[view.n // 2, 5 * view.n // 100 : -5 * view.n // 100].any()


@pytest.mark.parametrize(("east", "north"), [(0, 0), (45, 0), (-20, 61)])
def test_a_source_comes_back_where_it_was_put_as_bright_as_it_is(view, east, north):
    flux = 400 * view.rms
    image = alma.observe(flux * gaussian(view, east, north, 1.5), view, np.random.default_rng(2))
    row, column = np.unravel_index(np.nanargmax(image), image.shape)
    box = np.nan_to_num(image[row - 3 : row + 4, column - 3 : column + 4])
    shift = np.arange(-3, 4)
    x, y = column + (box.sum(0) * shift).sum() / box.sum(), row + (box.sum(1) * shift).sum() / box.sum()
    tenth = 0.1 * view.beam.minor / view.pixel
    assert (view.n // 2 - x, y - view.n // 2) == pytest.approx((east, north), abs=tenth)
    widening = 1 + 1.5**2 / (view.beam.size / view.pixel) ** 2
    noise = view.rms / view.response[row, column]
    assert image[row, column] == pytest.approx(flux / widening, abs=float(5 * noise + 0.02 * flux))


def test_flux_in_the_image_over_the_beam_area_is_the_flux_of_the_source(view):
    flux = 5000 * view.rms
    image = alma.observe(flux * gaussian(view, 10, -20, 12.0), view, np.random.default_rng(3))
    axis = np.arange(view.n) - view.n // 2
    near = (axis[None, :] + 10) ** 2 + (axis[:, None] + 20) ** 2 < 22**2
    assert image[near].sum() / view.beam.area(view.pixel) == pytest.approx(flux, rel=0.05)


def test_what_is_larger_than_the_shortest_spacing_allows_is_resolved_out():
    wide = alma.view(replace(SETUP, size=700), alma.read_antennas(ARRAYS, SETUP.configuration))
    sky = wide.rms * gaussian(wide, 0, 0, 0.6 * wide.n)  # 14 arcsec; the shortest spacing sees up to 7
    image = alma.observe(sky, replace(wide, visibility_rms=1e-12), np.random.default_rng(4)) * wide.response
    assert np.nanmax(np.abs(image)) < 0.3 * wide.smooth(sky).max()


def test_noise_and_artefacts_have_the_level_asked_for(view):
    empty = np.zeros((view.n, view.n))
    noise = alma.observe(empty, view, np.random.default_rng(5)) * view.response
    assert np.std(noise) == pytest.approx(view.rms, rel=0.1)
    source = 500 * view.rms * gaussian(view, 0, 0, 1.0)
    clean, spoiled = (alma.observe(source, view, np.random.default_rng(5), level) for level in (0.0, 2.0))
    assert np.std((spoiled - clean) * view.response) == pytest.approx(2 * view.rms, rel=0.15)


def test_the_same_seed_gives_the_same_image(view):
    sky = 50 * view.rms * gaussian(view, 0, 0, 5)
    first, second = (alma.observe(sky, view, np.random.default_rng(6), 0.5) for _ in range(2))
    assert np.array_equal(first, second)


def observation():
    return products.Observation(
        mous="uid://A001/Xf1/X2a", group="uid://A001/Xf1/X1", proposal="2019.1.90001.S", target="SIM_0001",
        ra=246.8, dec=-24.4, frequency=233e9, band=6, time=600.0, resolution=0.2, field=25.0,
        keywords="Low-mass star formation", observed=date(2019, 5, 1), released=date(2020, 6, 1), public=True,
    )  # fmt: skip


def test_names_are_those_of_alma_products():
    name = observation().filename("cont.I.pbcor")
    assert name == "member.uid___A001_Xf1_X2a.SIM_0001_sci.spw25_27_29_31.cont.I.pbcor.fits"


def test_headers_are_those_of_alma_images_and_give_positions_back():
    header = products.image_header(observation(), 100, 1e-5, (8e-5, 5e-5, -30.0))
    content = products.fits_bytes(np.zeros((1, 1, 100, 100)), header)
    (hdu,) = fits.open(io.BytesIO(content))
    assert hdu.data.shape == (1, 1, 100, 100) and hdu.header["BITPIX"] == -32
    assert [hdu.header[f"CTYPE{axis}"] for axis in (1, 2, 3, 4)] == ["RA---SIN", "DEC--SIN", "FREQ", "STOKES"]
    assert hdu.header["BUNIT"] == "Jy/beam" and "DATE" not in hdu.header
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        ra, dec = WCS(hdu.header).celestial.pixel_to_world_values(20.0, 90.0)
    assert products.sky_position(header, 20.0, 90.0) == pytest.approx((float(ra), float(dec)), abs=1e-12)
    assert ra > 246.8 and dec > -24.4


def test_an_observation_has_one_archive_row_a_spectral_window_in_its_own_case_of_letters():
    rows = products.obscore_rows(observation(), 10_000)
    assert len(rows) == 4 and len({row["frequency"] for row in rows}) == 4
    assert len({row["obs_id"] for row in rows}) == 1
    texts = {products.as_archive_writes(("Outflows, jets",), np.random.default_rng(seed)) for seed in range(20)}
    assert texts == {"Outflows, jets", "outflows, jets", "Outflows, Jets"}


def test_the_polarisation_image_is_larger_than_the_thesis_allows():
    content = products.polarisation_image(observation(), 1e-5, (8e-5, 5e-5, 0.0), 1e-4, np.random.default_rng(0))
    assert len(content) > 30e6
