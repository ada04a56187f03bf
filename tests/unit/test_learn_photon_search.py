from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import gaussian_filter

from skyloom.cases import cherenkov as case
from skyloom.catalog.columns import chosen, read_columns
from skyloom.images.fits import UnusableImage
from skyloom.images.photon_lists import sky_wcs
from skyloom.instruments.counts_maps import Frame
from skyloom.learn import map_search

ROOT = Path(__file__).parents[2]
HESS = sorted((ROOT.parent / "shared/data/cherenkov/hess-dl3-dr1/data").glob("*.fits.gz"))
SETTINGS = case.Search(side=200, pixel=0.025)
FRAME = Frame(SETTINGS.side, SETTINGS.pixel)
POINTING = (83.6, 22.5)
CALIBRATION = {
    "probability": {"weights": [1.0, 0.0, 0.0], "bias": 0.0},
    "errors": {"score": [5.0], "radius68": [1.5], "radius95": [2.5], "scale": [1.0], "photons": [1.2]},
    "threshold": 0.5,
}
SOURCES = ((0.6, -0.4, 300), (-2.42, 0.0, 300))
"""Offsets to the East and the North [deg], and photons; the second lies at the border."""


def smoothed(counts, network):
    """Stand in for the network that cleans maps."""
    excess = gaussian_filter(counts, 1.5) - gaussian_filter(counts, 10)
    return np.where(excess > 1, np.minimum(excess, counts), 0).astype(np.float32)


@pytest.fixture(autouse=True)
def without_network(monkeypatch):
    monkeypatch.setattr(map_search, "clean", smoothed)


def write_list(path, sources=SOURCES, energies=(0.02, 10.0), background=20000, alt=70.0):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-0.5, 199.5, (2, background))
    for lon, lat, count in sources:
        places = FRAME.pixel_of(*(rng.normal(0, 0.06, (2, count)) + [[lon], [lat]]))
        x, y = np.append(x, places[0]), np.append(y, places[1])
    ra, dec = sky_wcs(FRAME, *POINTING).wcs_pix2world(x, y, 0)
    energy = np.exp(rng.uniform(*np.log(energies), len(x)))
    events = fits.BinTableHDU(Table({"RA": ra * u.deg, "DEC": dec * u.deg, "ENERGY": energy * u.TeV}), name="EVENTS")
    events.header.update({"RA_PNT": POINTING[0], "DEC_PNT": POINTING[1], "LIVETIME": 90.0})
    if alt is not None:
        events.header["ALT_PNT"] = alt
    fits.HDUList([fits.PrimaryHDU(), events]).writeto(path)
    return path


def search(path, settings=SETTINGS):
    return case.search_file(path, {"map": None}, CALIBRATION, settings)


def test_sources_are_found_where_they_are_with_errors_that_fit(tmp_path):
    facts, rows = search(write_list(tmp_path / "a.fits"))
    best = sorted(rows, key=lambda row: -row["photons"])[:2]
    for lon, lat, _ in SOURCES:
        wanted = SkyCoord(*sky_wcs(FRAME, *POINTING).wcs_pix2world(*FRAME.pixel_of(lon, lat), 0), unit="deg")
        apart = [wanted.separation(SkyCoord(row["ra"], row["dec"], unit="deg")).deg for row in best]
        row = best[int(np.argmin(apart))]
        assert min(apart) < 0.08 and row["offset"] == pytest.approx(np.hypot(lon, lat), abs=0.08)
        assert 0 < row["radius68"] < row["radius95"]
        one = np.sqrt(-2 * np.log(1 - 0.6827))
        assert row["pos_error"] == pytest.approx(row["radius68"] / one * 3600, rel=1e-3)
        assert 0 < row["photons_error"] < row["photons"] and row["background"] > 0 and row["livetime"] == 90
        assert ("edge" in row["flags"].split(";")) == (abs(lon) > 2)
    assert facts["events"] < 20600 and (facts["height"], facts["width"]) == (200, 200)


def test_facts_of_a_list(tmp_path):
    facts, _ = search(write_list(tmp_path / "a.fits"))
    assert (facts["ra"], facts["dec"]) == pytest.approx(POINTING)
    assert facts["radius"] == pytest.approx(5 * 3600 / np.sqrt(np.pi))
    assert facts["livetime"] == 90 and facts["zenith"] == pytest.approx(20) and len(facts["data_sha256"]) == 64
    bare, _ = search(write_list(tmp_path / "b.fits", alt=None))
    assert "zenith" not in bare
    counts, units = case.field_columns()
    assert set(facts) == {*counts, *units, "data_sha256"}


@pytest.mark.parametrize(
    ("energies", "flagged"), [((0.02, 10.0), False), ((0.11, 5.0), False), ((0.5, 50.0), True), ((0.02, 0.9), True)]
)
def test_lists_of_other_energies_are_flagged(tmp_path, energies, flagged):
    _, rows = search(write_list(tmp_path / "a.fits", energies=energies))
    assert rows and all(("energies" in row["flags"].split(";")) == flagged for row in rows)


def test_sources_of_few_photons_are_flagged(tmp_path):
    _, rows = search(write_list(tmp_path / "a.fits"))
    assert all(("few" in row["flags"].split(";")) == (row["photons"] < 10) for row in rows)


def test_rows_have_the_columns_of_the_catalog(tmp_path):
    _, rows = search(write_list(tmp_path / "a.fits"))
    units = case.object_units()
    assert set(rows[0]) == {*units, "flags", "probability"}
    passed = {"object_id", "product_id", "target_name", "proposal_id", "member_ous_uid", "filename", "sha256"}
    columns = chosen(read_columns(ROOT / "resources" / "columns.yaml"), {*rows[0], *passed, "simulated", "data_sha256"})
    assert {column.group for column in columns} == {"common", "gamma_source", "error_circle"}
    for column in columns:
        table, _, name = column.source.partition(".")
        if table == "objects" and name in units:
            assert (units[name] is str) == (column.dtype == "text")
            assert units[name] is str or u.Unit(units[name] or "") == u.Unit(column.unit)


def test_an_empty_sky_gives_no_rows(tmp_path):
    facts, rows = search(write_list(tmp_path / "a.fits", sources=(), background=30))
    assert rows == [] and facts["events"] < 31


def test_what_is_no_photon_list_is_told(tmp_path):
    fits.PrimaryHDU(np.zeros((9, 9))).writeto(tmp_path / "image.fits")
    with pytest.raises(UnusableImage, match="no table of events"):
        search(tmp_path / "image.fits")


@pytest.mark.skipif(not HESS, reason="the H.E.S.S. photon lists are not here")
def test_the_crab_is_found_in_real_lists():
    facts, rows = search(HESS[0])
    best = max(rows, key=lambda row: row["snr"])
    place = SkyCoord(best["ra"], best["dec"], unit="deg")
    assert place.separation(SkyCoord(83.633, 22.0145, unit="deg")).deg < 0.06
    assert best["snr"] > 8 and "energies" in best["flags"] and facts["livetime"] == pytest.approx(1581.7, abs=0.1)


def test_responses_that_a_user_gives_are_inputs_in_place_of_the_projects_table():
    from skyloom.config.load import case_schema
    from skyloom.config.schema import ChainModel

    model = ChainModel(network="photon_net", dataset="maps", loss="photons")
    usual = case_schema("cherenkov")(title="x", models={"cleaner": model}, chain=["cleaner"])
    assert case.instrument_files(usual) == ["resources/cherenkov/lst4.ecsv"]
    usual.simulate.observation.irfs = ["mine.fits"]
    assert case.instrument_files(usual) == ["mine.fits"]
