"""The command that tabulates the Fermi-LAT's response, on small response files made here."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import tabulate_lat
from skyloom.errors import UserError
from skyloom.instruments.lat import read_response


def grid(**columns):
    """Return a table of one row as the response files have them: 4 energies, 3 cosines."""
    energies, cosines = np.geomspace(10, 3.2e6, 5), np.linspace(0.25, 1, 4)
    row = {"ENERG_LO": energies[:-1], "ENERG_HI": energies[1:], "CTHETA_LO": cosines[:-1], "CTHETA_HI": cosines[1:]}
    row |= {name: np.full((3, 4), value, dtype=float) for name, value in columns.items()}
    return Table({name: value[None] for name, value in row.items()})


def write(folder, ending, parts):
    area, psf = [fits.PrimaryHDU()], [fits.PrimaryHDU()]
    for part, scale in parts.items():
        area.append(fits.BinTableHDU(grid(EFFAREA=0.4), name=f"EFFECTIVE AREA_{part}"))
        king = grid(NCORE=1, NTAIL=0.1, SCORE=0.3, STAIL=0.8, GCORE=3, GTAIL=3)
        psf.append(fits.BinTableHDU(king, name=f"RPSF_{part}"))
        scales = Table({"PSFSCALE": [[scale, scale / 50, -0.8]]})
        psf.append(fits.BinTableHDU(scales, name=f"PSF_SCALING_PARAMS_{part}"))
    fits.HDUList(area).writeto(folder / f"aeff_P8R3_SOURCE_V3_{ending}.fits")
    fits.HDUList(psf).writeto(folder / f"psf_P8R3_SOURCE_V3_{ending}.fits")


@pytest.fixture
def irfs(tmp_path):
    folder = tmp_path / "irfs"
    folder.mkdir()
    write(folder, "FB", {"FRONT": 0.06, "BACK": 0.12})
    write(folder, "PSF", {"PSF3": 0.05})
    return folder


def tabulate(irfs, output, *more):
    tabulate_lat.main(["--irfs", str(irfs), "--output", str(output), *more])


def test_tables_are_made_that_the_simulation_reads(irfs, tmp_path, capsys):
    tabulate(irfs, tmp_path / "fermi")
    assert "psf.ecsv: 72 rows" in capsys.readouterr().out
    both, best = read_response(tmp_path), read_response(tmp_path, "PSF3")
    assert (both.energies[0], both.energies[-1]) == (0.1, 2000)
    dec = [-60, 0, 60]
    np.testing.assert_allclose(both.exposure(dec, 1, 2, 1), 2 * best.exposure(dec, 1, 2, 1), rtol=1e-3)
    # The angles scale with the factor of the response file, and the energy's power.
    assert best.profile(0.3, 0.31).radius(0.68) == pytest.approx(
        best.profile(0.6, 0.62).radius(0.68) * 2**0.8, rel=0.03
    )
    assert both.profile(1, 1.01).radius(0.68) > 1.2 * best.profile(1, 1.01).radius(0.68)
    assert all((tmp_path / f"fermi/{name}.ecsv").stat().st_size < 200_000 for name in ("psf", "exposure"))


def test_a_smaller_zenith_angle_leaves_less_exposure(irfs, tmp_path):
    tabulate(irfs, tmp_path / "a/fermi")
    tabulate(irfs, tmp_path / "b/fermi", "--zenith", "90")
    wide, small = (read_response(tmp_path / name).exposure([-90, 90], 1, 2, 1) for name in "ab")
    assert np.all(small < 0.95 * wide)


def test_bad_input_is_told(irfs, tmp_path):
    with pytest.raises(UserError, match="no such file; it should be a response file of the Fermi-LAT"):
        tabulate(tmp_path / "nowhere", tmp_path / "fermi")
    with pytest.raises(UserError, match="--zenith should be 60 to 113"):
        tabulate(irfs, tmp_path / "fermi", "--zenith", "180")
    area = irfs / "aeff_P8R3_SOURCE_V3_PSF.fits"
    area.write_bytes((irfs / "aeff_P8R3_SOURCE_V3_FB.fits").read_bytes())
    with pytest.raises(UserError, match="aeff_P8R3_SOURCE_V3_PSF.fits: cannot be read as a response"):
        tabulate(irfs, tmp_path / "fermi")
    area.write_text("no FITS")
    with pytest.raises(UserError, match="aeff_P8R3_SOURCE_V3_PSF.fits: cannot be read as a response"):
        tabulate(irfs, tmp_path / "fermi")
    area.unlink()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(grid(OTHER=1), name="EFFECTIVE AREA_PSF3")]).writeto(area)
    with pytest.raises(UserError, match="lacks EFFAREA"):
        tabulate(irfs, tmp_path / "fermi")
    assert not (tmp_path / "fermi").exists()
