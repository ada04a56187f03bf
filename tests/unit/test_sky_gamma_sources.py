"""Gamma-ray sources: spectra, numbers and places of the populations, against the catalog they were measured in."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from skyloom.errors import UserError
from skyloom.sky.gamma_sources import (
    FAINTEST,
    KINDS,
    GammaSource,
    band_fluxes,
    draw_sources,
    read_populations,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "resources"
CATALOG = ROOT.parent / "shared/data/fermi_sources/catalogs/gll_psc_v35.fit.gz"
BANDS = [(0.3, 0.5), (0.5, 1), (1, 2), (2, 7), (7, 20)]

spectra = st.builds(
    GammaSource,
    lon=st.just(0.0),
    lat=st.just(0.0),
    kind=st.sampled_from(KINDS),
    flux=st.floats(1e-11, 1e-6),
    pivot=st.floats(0.5, 5),
    index=st.floats(1.2, 3.2),
    curvature=st.floats(0, 1.2),
    exponent=st.sampled_from([0.0, 0.3, 2 / 3, 1.0]),
)


@pytest.fixture(scope="module")
def whole_sky():
    """Draws of the whole sky, several times."""
    rng = np.random.default_rng(11)
    draws = [source for _ in range(6) for source in draw_sources(rng, 0, 90, 180, 2e-10, FOLDER)]
    names = ("lon", "lat", "flux", "index")
    return {name: np.array([getattr(s, name) for s in draws]) for name in names} | {
        "kind": np.array([s.kind for s in draws]),
        "times": 6,
    }


@given(source=spectra)
def test_bands_from_1_to_100_gev_add_up_to_the_flux(source):
    parts = [source.band_flux(low, high) for low, high in ((1, 4), (4, 20), (20, 100))]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(source.flux, rel=1e-3)
    assert source.band_flux(1, 100) == pytest.approx(source.flux)


@given(source=spectra)
def test_a_band_flux_is_the_integral_of_the_published_formula(source):
    def density(energy):
        x = energy / source.pivot
        d, b = source.curvature, source.exponent
        if not b:
            return x ** -(source.index + d / 2 * np.log(x))
        # Abdollahi et al. 2022, ApJS 260, 53, equation 4.
        return x ** (d / b - source.index) * np.exp(d / b**2 * (1 - x**b))

    def integral(low, high):
        return quad(lambda t: density(np.exp(t)) * np.exp(t), np.log(low), np.log(high))[0]

    wanted = source.flux * integral(0.5, 1) / integral(1, 100)
    assert source.band_flux(0.5, 1) == pytest.approx(wanted, rel=2e-3)


def test_a_power_law_has_its_closed_form():
    source = GammaSource(0, 0, "agn", 1e-9, 1.0, 2.0)
    assert band_fluxes([source], [(0.5, 1)])[0, 0] == pytest.approx(1e-9 / 0.99, rel=1e-6)
    assert band_fluxes([], BANDS).shape == (0, 5)


def test_fluxes_of_many_are_those_of_each():
    sources = draw_sources(np.random.default_rng(1), 10, 5, 5, FAINTEST, FOLDER)
    assert {source.kind for source in sources} == set(KINDS)
    many = band_fluxes(sources, BANDS)
    assert many.shape == (len(sources), 5)
    for source, row in list(zip(sources, many, strict=True))[::20]:
        assert row == pytest.approx([source.band_flux(*band) for band in BANDS])


@given(
    seed=st.integers(0, 2**32 - 1),
    lon=st.floats(0, 360),
    lat=st.floats(-90, 90),
    radius=st.floats(0.5, 20),
)
def test_sources_lie_within_the_circle_and_above_the_faintest_flux(seed, lon, lat, radius):
    sources = draw_sources(np.random.default_rng(seed), lon, lat, radius, 3e-10, FOLDER)
    centre, place = np.radians([lon, lat]), np.radians([[s.lon, s.lat] for s in sources]).reshape(-1, 2)
    cosine = np.sin(centre[1]) * np.sin(place[:, 1]) + np.cos(centre[1]) * np.cos(place[:, 1]) * np.cos(
        place[:, 0] - centre[0]
    )
    assert np.all(cosine >= np.cos(np.radians(radius)) - 1e-9)
    assert all(0 <= s.lon <= 360 and s.flux >= 3e-10 * (1 - 1e-9) and s.kind in KINDS for s in sources)
    assert all(s.curvature >= 0 and 0 < s.index < 5 for s in sources)


@pytest.mark.parametrize("place", [(0, 0), (40, 10), (180, 0), (275, -60), (0, 85)])
def test_a_small_circle_holds_what_the_densities_say(place):
    rng = np.random.default_rng(3)
    found = np.mean([len(draw_sources(rng, *place, 8, 2e-10, FOLDER)) for _ in range(40)])
    # Cells of equal area, in the cosine of the distance and the angle around the place.
    cosine, angle = np.meshgrid(
        np.cos(np.radians(8)) + (1 - np.cos(np.radians(8))) * (np.arange(600) + 0.5) / 600,
        np.linspace(0, 2 * np.pi, 401)[:-1],
    )
    side, tilt = np.sqrt(1 - cosine**2), np.radians(place[1])
    north = np.arcsin(np.clip(cosine * np.sin(tilt) + side * np.cos(angle) * np.cos(tilt), -1, 1))
    east = np.radians(place[0]) + np.arctan2(
        side * np.sin(angle), cosine * np.cos(tilt) - side * np.cos(angle) * np.sin(tilt)
    )
    turn = np.abs(np.mod(east + np.pi, 2 * np.pi) - np.pi)
    area = 2 * np.pi * (1 - np.cos(np.radians(8)))
    wanted = sum(p.number(2e-10) * p.density(turn, np.abs(north)).mean() * area for p in read_populations(FOLDER))
    assert found == pytest.approx(wanted, abs=4 * np.sqrt(wanted / 40) + 0.03 * wanted)


def test_densities_are_normalised():
    lat = np.radians(np.linspace(-90, 90, 20001))
    lon = np.radians(np.linspace(-180, 180, 721))
    for population in read_populations(FOLDER):
        along = np.trapezoid(population.density(np.abs(lon), np.zeros(lon.size)), lon)
        across = np.trapezoid(population.density(0.0, np.abs(lat)) * np.cos(lat), lat)
        assert along * across / population.density(0.0, 0.0) == pytest.approx(1, rel=0.01)
        assert np.all(np.diff(population.numbers) < 0), "the brighter, the fewer"


def test_populations_lie_where_they_should(whole_sky):
    lat, kind = np.abs(whole_sky["lat"]), whole_sky["kind"]
    agn = np.sin(np.radians(lat[kind == "agn"]))
    assert agn.mean() == pytest.approx(0.5, abs=0.02), "active galaxies are isotropic"
    assert np.median(lat[kind == "other"]) < 6
    assert np.median(lat[kind == "pulsar"]) < 15
    assert np.mean(lat[kind == "pulsar"] > 20) > 0.15, "millisecond pulsars lie off the plane"
    lon = np.abs((whole_sky["lon"][kind == "other"] + 180) % 360 - 180)
    assert np.mean(lon < 60) > 2 * np.mean(lon > 120)


def test_pulsars_have_fewer_photons_below_and_far_above_a_gev_than_the_rest():
    sources = [s for k in range(20) for s in draw_sources(np.random.default_rng(k), 30, 0, 8, FAINTEST, FOLDER)]
    ratios = band_fluxes(sources, BANDS) / np.array([s.flux for s in sources])[:, None]
    median = {k: np.median(ratios[[s.kind == k for s in sources]], axis=0) for k in KINDS}
    assert median["pulsar"][4] < 0.6 * median["agn"][4]
    assert median["pulsar"][3] > 0.8 * median["agn"][3]
    for values in median.values():
        assert np.all(np.diff(values[1:]) < 0)


@pytest.mark.skipif(not CATALOG.is_file(), reason="the catalog 4FGL-DR4 is not here")
def test_numbers_are_those_of_the_catalog_where_it_is_complete(whole_sky):
    catalog = Table.read(CATALOG, hdu=1)
    lat, flux = np.abs(np.array(catalog["GLAT"])), np.array(catalog["Flux1000"])
    own_lat, own_flux = np.abs(whole_sky["lat"]), whole_sky["flux"]
    for low, high, faintest, share in (
        (20, 90, 1e-9, 0.1),
        (0, 20, 1e-9, 0.1),
        (20, 90, 2e-10, 0.1),
        (20, 90, 5e-10, 0.1),
        (5, 20, 5e-10, 0.1),
        (0, 2, 1e-9, 0.1),
        (0, 20, 5e-9, 0.15),
    ):
        real = np.sum((lat >= low) & (lat < high) & (flux > faintest))
        own = np.sum((own_lat >= low) & (own_lat < high) & (own_flux > faintest)) / whole_sky["times"]
        assert own == pytest.approx(real, abs=share * real + 2 * np.sqrt(real)), (low, high, faintest)
    classes = np.char.lower(np.char.strip(np.array(catalog["CLASS1"], dtype=str)))
    pulsars = np.sum(np.isin(classes, ["psr", "msp"]) & (flux > 1e-9))
    own = np.sum((whole_sky["kind"] == "pulsar") & (own_flux > 1e-9)) / whole_sky["times"]
    assert own == pytest.approx(pulsars, abs=0.1 * pulsars + 2 * np.sqrt(pulsars))


def test_a_missing_or_broken_table_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        draw_sources(np.random.default_rng(0), 0, 0, 5, 1e-10, tmp_path)
    (tmp_path / "fermi").mkdir()
    for name in ("populations.ecsv", "source_counts.ecsv"):
        text = (FOLDER / "fermi" / name).read_text()
        (tmp_path / "fermi" / name).write_text(text.replace("bl_lac", "unknown") if "counts" in name else text)
    with pytest.raises(UserError, match="bl_lac has no source counts"):
        draw_sources(np.random.default_rng(0), 0, 0, 5, 1e-10, tmp_path)
