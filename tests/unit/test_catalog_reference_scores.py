from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from mocpy import MOC

from skyloom.catalog.counterparts import read_reference
from skyloom.catalog.reference_scores import as_markdown, compare, match

CATALOGS = Path(__file__).parents[3] / "shared/data/fermi_sources/catalogs"
SKY = MOC.from_string("0/0-11", "ascii")


def directions(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))


def the_known(count=800, extended=0):
    ra, dec = directions(count)
    flux = 1e-10 * np.random.default_rng(1).pareto(1.3, count) + 1e-10
    names = [f"K{number}" for number in range(count)]
    return Table({"name": names, "ra": ra, "dec": dec, "flux": flux, "extended": np.arange(count) < extended})


def seen(known, lowest, false=50, probability=0.95):
    """Return the known sources above a flux, moved a little, and false ones far from any."""
    some = known[known["flux"] >= lowest]
    ra, dec = directions(5000, seed=9)
    far = SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(SkyCoord(known["ra"], known["dec"], unit="deg"))[1].deg > 2
    ra, dec = (
        np.concatenate([column, values[far][:false]])
        for column, values in ((some["ra"], ra), (some["dec"] + 0.05, dec))
    )
    flux = np.concatenate([some["flux"], np.full(false, 3e-10)])
    good = np.abs(dec) < 90
    return Table({"ra": ra, "dec": dec, "probability": np.full(len(ra), probability), "flux": flux})[good]


def test_each_source_is_taken_once_and_the_brightest_first():
    known = SkyCoord([10.0, 10.1], [0.0, 0.0], unit="deg")
    found = SkyCoord([10.04], [0.0], unit="deg")
    assert match(found, known, 0.3).tolist() == [0]
    assert match(found, known, 0.3, np.array([1, 0])).tolist() == [1]
    assert match(SkyCoord([10.0, 10.01], [0.0, 0.0], unit="deg"), known[:1], 0.3).tolist() == [0, -1]
    assert match(found, known[:0], 0.3).tolist() == [-1]


def test_completeness_and_purity_are_those_that_were_made():
    known = the_known()
    result = compare(seen(known, 3e-10), known, SKY, 0.2, 0.68)
    whole = result["rows"][0]
    assert whole["part"] == "all" and whole["hit"] == np.sum(known["flux"] >= 3e-10)
    assert whole["unmatched"] == 50 and whole["purity"] == pytest.approx(1 - 50 / whole["candidates"])
    assert whole["expected_false"] == pytest.approx(0.05 * whole["candidates"])
    assert result["above"]["all"] == pytest.approx(3e-10, rel=0.35)
    bins = result["rows"][(result["rows"]["part"] == "all") & np.isfinite(result["rows"]["flux_high"])]
    assert np.all(bins["completeness"][bins["flux_low"] >= 3.2e-10].filled(1) == 1)
    assert np.all(bins["completeness"][bins["flux_high"] <= 3e-10].filled(0) == 0)
    parts = {
        part: result["rows"][result["rows"]["part"] == part]["known"][0] for part in np.unique(result["rows"]["part"])
    }
    assert parts["all"] == sum(count for part, count in parts.items() if part != "all") == 800
    text = as_markdown(result, ("known.fits", "cm-2 s-1"), 0.2)
    assert "90% of the known sources are found above" in text and "| all | all | 800 |" in text


def test_matches_by_chance_are_as_many_as_the_density_of_sources_says():
    known = the_known(4000)
    ra, dec = directions(3000, seed=5)
    found = Table({"ra": ra, "dec": dec, "probability": np.full(3000, 0.5)})
    result = compare(found, known, SKY, 0.5, 0.68)
    expected = 3000 * 4000 * (1 - np.cos(np.radians(0.5))) / 2
    assert result["rows"][0]["by_chance"] == pytest.approx(expected, rel=0.15)
    assert result["rows"][0]["matched"] == pytest.approx(expected, rel=0.3)


def test_only_the_searched_area_and_point_sources_count():
    known = the_known(extended=100)
    cap = MOC.from_cones(
        lon=SkyCoord(0, 90, unit="deg").ra.reshape(1),
        lat=SkyCoord(0, 90, unit="deg").dec.reshape(1),
        radius=60 * SkyCoord(0, 90, unit="deg").ra.unit,
        max_depth=6,
        union_strategy="small_cones",
    )
    result = compare(seen(known, 0), known, cap, 0.2, 0.68)
    assert result["rows"][0]["known"] == pytest.approx(np.sum((known["dec"] > 30) & ~known["extended"]), abs=3)
    assert result["rows"][0]["completeness"] == 1
    # What lies beside an extended source is not false.
    one = known[:1]
    beside = Table({"ra": one["ra"], "dec": one["dec"] + 0.7, "probability": [0.9]})
    row = compare(beside, one, SKY, 0.2, 0.68)["rows"][0]
    assert row["candidates"] == 0 and row["unmatched"] == 0


def test_nothing_found_and_nothing_known_are_no_faults():
    known = the_known(20)
    nothing = Table({"ra": [], "dec": [], "probability": []}, dtype=[float] * 3)
    result = compare(nothing, known, SKY, 0.2, 0.68)
    assert result["rows"][0]["completeness"] == 0 and np.ma.is_masked(result["rows"][0]["purity"])
    as_markdown(result, ("known.fits", ""), 0.2)
    result = compare(seen(known, 0), known[:0], SKY, 0.2, 0.68)
    assert result["rows"][0]["known"] == 0 and result["rows"][0]["purity"] == 0


@pytest.mark.skipif(not CATALOGS.exists(), reason="the catalogs of the Fermi-LAT are not here")
def test_fluxes_and_extended_sources_of_4fgl_are_read():
    path = CATALOGS / "gll_psc_v35.fit.gz"
    known = read_reference(path, "Source_Name", "RAJ2000", "DEJ2000", "Flux1000", "Extended_Source_Name")
    assert len(known) == 7195 and str(known["flux"].unit) == "ph / (s cm2)"
    assert known["extended"].sum() == 82 and known["name"][np.argmax(known["flux"])] == "4FGL J0835.3-4510"
