"""The response of an array of Cherenkov telescopes: made from its performance, written and read."""

import math
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from skyloom.errors import UserError
from skyloom.instruments import cherenkov
from skyloom.instruments.counts_maps import CRAB_FLUX, CRAB_INDEX, PIVOT

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "resources/cherenkov/lst4.ecsv"


@pytest.fixture(scope="module")
def performance():
    return cherenkov.read_performance(TABLE)


@pytest.fixture(scope="module")
def irfs(performance):
    return {zenith: cherenkov.make_irfs(performance, zenith) for zenith in (20.0, 60.0)}


def test_thresholds_are_those_of_the_table_and_rise_with_the_zenith_angle(performance):
    for zenith, energy in performance.meta["thresholds"]:
        assert cherenkov.threshold(performance, zenith) == pytest.approx(energy)
    energies = [cherenkov.threshold(performance, zenith) for zenith in range(0, 70, 5)]
    assert energies == sorted(energies)


def test_at_the_tables_zenith_angle_the_response_is_the_table(performance, irfs):
    for row in performance[4:-2]:
        energy = row["energy"] * u.TeV
        area = irfs[20.0]["aeff"].evaluate(energy_true=energy, offset=0 * u.deg).to_value("m2")
        assert float(area.squeeze()) == pytest.approx(row["area"], rel=0.06)
        radius = irfs[20.0]["psf"].containment_radius(0.68, energy_true=energy, offset=0 * u.deg).to_value("deg")
        assert float(radius.squeeze()) == pytest.approx(row["radius68"], rel=0.05)


def test_at_half_offset_area_and_background_have_halved(performance, irfs):
    row = performance[9]
    energy, offset = row["energy"] * u.TeV, row["half_offset"] * u.deg
    for name, axis in (("aeff", "energy_true"), ("bkg", "energy")):
        middle, edge = (
            irfs[20.0][name].evaluate(**{axis: energy, "offset": where}).squeeze().value
            for where in (0 * u.deg, offset)
        )
        assert edge / middle == pytest.approx(0.5, rel=0.06)


def test_point_spread_and_energy_dispersion_are_normalised(irfs):
    for energy in (0.05, 0.3, 3) * u.TeV:
        held = irfs[20.0]["psf"].containment(rad=1.5 * u.deg, energy_true=energy, offset=1 * u.deg)
        assert float(held.squeeze()) == pytest.approx(1, abs=1e-3)
        migration = irfs[20.0]["edisp"].axes["migra"]
        density = irfs[20.0]["edisp"].evaluate(energy_true=energy, migra=migration.center, offset=1 * u.deg)
        assert np.sum(density.value.ravel() * migration.bin_width.value) == pytest.approx(1, abs=0.02)


def test_far_from_the_zenith_areas_are_larger_and_energies_shift(performance, irfs):
    shift = 0.11 / 0.03
    pool = (math.cos(math.radians(20)) / math.cos(math.radians(60))) ** 2
    near = irfs[20.0]["aeff"].evaluate(energy_true=0.5 * u.TeV, offset=0 * u.deg)
    far = irfs[60.0]["aeff"].evaluate(energy_true=0.5 * shift * u.TeV, offset=0 * u.deg)
    assert float((far / near).to_value("").squeeze()) == pytest.approx(pool, rel=0.03)
    low = irfs[60.0]["aeff"].evaluate(energy_true=0.05 * u.TeV, offset=0 * u.deg).to_value("m2").squeeze()
    assert low < 0.02 * irfs[20.0]["aeff"].evaluate(energy_true=0.05 * u.TeV, offset=0 * u.deg).to_value("m2").squeeze()


def test_a_crab_of_100_seconds_has_the_counts_that_the_original_prints(irfs):
    # 46 to 166 photons on source, between 0 and 2 deg from the pointing and 20 to 60 deg from the zenith.
    energy = np.geomspace(0.03, 5, 200) * u.TeV
    flux = CRAB_FLUX * (energy.to_value("TeV") / PIVOT) ** -CRAB_INDEX
    counts = []
    for zenith, lowest in ((20.0, 0.03), (60.0, 0.11)):
        for offset in (0, 2) * u.deg:
            area = irfs[zenith]["aeff"].evaluate(energy_true=energy, offset=offset).to_value("cm2").ravel()
            seen = np.where(energy.to_value("TeV") > lowest, flux * area, 0)
            counts.append(100 * np.trapezoid(seen, energy.to_value("MeV")))
    assert 30 < min(counts) < 110
    assert 150 < max(counts) < 300


def test_a_response_is_read_as_it_was_written(tmp_path, irfs):
    path = tmp_path / "irfs.fits"
    cherenkov.write_irfs(path, irfs[60.0])
    read = cherenkov.read_irfs(path)
    for name in cherenkov.IRFS:
        assert type(read[name]) is type(irfs[60.0][name])
        np.testing.assert_allclose(read[name].data, irfs[60.0][name].data, rtol=1e-6)
    with fits.open(path) as hdus:
        classes = [hdu.header["HDUCLAS1"] for hdu in hdus[1:]]
        assert classes == ["RESPONSE"] * 4
    first = path.read_bytes()
    cherenkov.write_irfs(path, irfs[60.0])
    assert path.read_bytes() == first


@pytest.mark.parametrize("zenith", [-1, 70, 89])
def test_a_zenith_angle_without_a_response_is_told(performance, zenith):
    with pytest.raises(UserError, match="zenith angle"):
        cherenkov.make_irfs(performance, zenith)


def test_files_that_are_no_response_are_told(tmp_path, irfs):
    with pytest.raises(UserError, match="no such file"):
        cherenkov.read_irfs(tmp_path / "none.fits")
    (tmp_path / "text.fits").write_text("no FITS")
    with pytest.raises(UserError, match="text.fits: cannot be read"):
        cherenkov.read_irfs(tmp_path / "text.fits")
    part = fits.HDUList([fits.PrimaryHDU(), cherenkov.as_hdu(irfs[20.0]["aeff"], "EFFECTIVE AREA")])
    part.writeto(tmp_path / "part.fits")
    with pytest.raises(UserError, match="part.fits: has no `edisp`"):
        cherenkov.read_irfs(tmp_path / "part.fits")
    (tmp_path / "table.ecsv").write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: energy, datatype: float64}\nenergy\n1\n"
    )
    with pytest.raises(UserError, match="has no `area`"):
        cherenkov.read_performance(tmp_path / "table.ecsv")


@pytest.mark.parametrize("zenith", [20.0, 60.0])
def test_a_list_says_at_which_zenith_angle_its_array_stood(zenith):
    from skyloom.cases import cherenkov as case

    array = case._instrument_of(case.Observation(), ROOT / "resources", zenith)[2]
    assert array == f"four Large-Sized Telescopes, CTAO North, {zenith:g} deg from the zenith"
    assert len(array) <= 68, "longer texts do not fit on a card of a FITS header"
