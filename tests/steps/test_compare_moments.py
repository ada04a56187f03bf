"""Lines of a catalog beside the moments of spectral-cube, in cubes whose lines are known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.wcs import WCS
from cube_fixtures import manifest_row, write_manifest

ROOT = Path(__file__).parents[2]
LIGHT = 299792.458
CHANNELS, SIDE, START, STEP = 64, 40, 230.0, 0.01
MIDDLE = START + 30 * STEP
WIDTH = 6 * STEP / MIDDLE * LIGHT
FWHM = np.sqrt(8 * np.log(2))


def celestial():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = (150.0, -35.0), (SIDE / 2, SIDE / 2), (-1e-4, 1e-4)
    return wcs


def write_cube(path, wing=0.0, **cards):
    """Write a cube with a point in the middle whose line is 6 channels wide, on a continuum, with a wing if asked."""
    z = np.arange(CHANNELS)[:, None, None]
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    spectrum = np.exp(-0.5 * ((z - 30) * FWHM / 6) ** 2) + wing * np.exp(-0.5 * ((z - 20) * FWHM / 6) ** 2)
    data = (0.3 + spectrum) * np.exp(-(x**2 + y**2) / 20)
    data += 1e-3 * np.random.default_rng(2).standard_normal(data.shape)
    header = celestial().to_header()
    header.update(CTYPE3="FREQ", CUNIT3="Hz", CRPIX3=1.0, CRVAL3=START * 1e9, CDELT3=STEP * 1e9)
    header.update(BUNIT="Jy/beam", BMAJ=1e-3, BMIN=1e-3, BPA=0.0)
    header.update(cards)
    fits.PrimaryHDU(data.astype(np.float32), header).writeto(path)
    return path


def catalog_of(*files, **changes):
    """Return the rows of a catalog, one a file, with the line as it is in the cubes without a wing."""
    middle = celestial().pixel_to_world(SIDE // 2, SIDE // 2)
    row = {"id": "a.01", "candidate": True, "snr": 50.0, "flags": "", "ra": middle.ra.deg, "dec": middle.dec.deg}
    row |= {"line_frequency": MIDDLE, "line_width": WIDTH, "mean_frequency": MIDDLE, "moment_width": WIDTH}
    return Table(rows=[row | {"source_file": path.name, "id": f"{path.stem}.01"} | changes for path in files])


def compared(folder, catalog, files, missing=(), **settings):
    """Call the step; files that are `missing` are in the manifest, and gone since."""
    catalog.write(folder / "catalog.ecsv")
    write_manifest(folder / "manifest.ecsv", [manifest_row(path, simulated=False) for path in files])
    for path in missing:
        path.unlink()
    command = [sys.executable, ROOT / "scripts/compare_moments.py", "--case", "alma_cubes"]
    command += ["--settings", json.dumps(settings), "--manifests", folder / "manifest.ecsv"]
    for option, name in (("catalog", "catalog.ecsv"), ("table", "m.csv"), ("text", "m.md"), ("figure", "m.png")):
        command += [f"--{option}", folder / name]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)


def test_lines_are_those_of_the_cube(tmp_path):
    plain, winged = write_cube(tmp_path / "a.fits"), write_cube(tmp_path / "b.fits", wing=0.2)
    done = compared(tmp_path, catalog_of(plain, winged), [plain, winged])
    assert done.returncode == 0, done.stderr
    rows = Table.read(tmp_path / "m.csv")
    assert list(rows["source_file"]) == ["a.fits", "b.fits"]
    assert rows["cube_frequency"][0] == pytest.approx(MIDDLE, abs=0.02 * STEP)
    assert rows["cube_width"][0] == pytest.approx(WIDTH, rel=0.02)
    weight = np.array([1, 0.2]) / 1.2
    mean = np.sum(weight * [30, 20])
    variance = (6 / FWHM) ** 2 + np.sum(weight * (np.array([30, 20]) - mean) ** 2)
    assert rows["cube_frequency"][1] == pytest.approx(START + mean * STEP, abs=0.05 * STEP)
    assert rows["cube_width"][1] == pytest.approx(FWHM * np.sqrt(variance) * STEP / MIDDLE * LIGHT, rel=0.02)
    text = (tmp_path / "m.md").read_text()
    assert "50% of 2 candidates" in text and "| a.fits | 1 |" in text
    assert (tmp_path / "m.png").stat().st_size > 5000
    assert "2 of 2 lines compared, in 2 files" in done.stdout


def test_velocities_need_a_rest_frequency(tmp_path):
    velocity = (1 - (START + np.arange(2) * STEP) / 230.538) * LIGHT * 1e3
    cards = {"CTYPE3": "VRAD", "CUNIT3": "m/s", "CRVAL3": velocity[0], "CDELT3": velocity[1] - velocity[0]}
    cube = write_cube(tmp_path / "v.fits", **cards)
    for rest, folder in ((None, "unknown"), (230.538, "known")):
        (tmp_path / folder).mkdir()
        done = compared(tmp_path / folder, catalog_of(cube), [cube], line_frequency=rest)
        assert done.returncode == 0, done.stderr
        (row,) = Table.read(tmp_path / folder / "m.csv")
        if rest is None:
            assert np.ma.is_masked(row["cube_width"]) and "spectral-cube does not read it" in row["reason"]
            assert "0 of 1 lines compared" in done.stdout
        else:
            assert row["cube_width"] == pytest.approx(WIDTH, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ra": 330.0, "dec": 35.0}, "outside the image"),
        ({"dec": -35.1}, "outside the image"),
        ({"line_width": 15 * WIDTH}, "too narrow"),
        ({"line_frequency": START + 55 * STEP, "line_width": WIDTH / 4}, "above the noise"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path, changes, reason):
    cube = write_cube(tmp_path / "a.fits")
    done = compared(tmp_path, catalog_of(cube, **changes), [cube])
    assert done.returncode == 0, done.stderr
    (row,) = Table.read(tmp_path / "m.csv")
    assert np.ma.is_masked(row["cube_width"]) and reason in row["reason"]


def test_a_catalog_without_a_line_gives_an_empty_table(tmp_path):
    cube = write_cube(tmp_path / "a.fits")
    catalog = catalog_of(cube)
    catalog["line_frequency"] = MaskedColumn([0.0], mask=[True])
    done = compared(tmp_path, catalog, [cube])
    assert done.returncode == 0, done.stderr
    assert "No source of the catalog has a line." in (tmp_path / "m.md").read_text()
    assert (tmp_path / "m.csv").exists() and "0 of 0 lines compared, in 0 files" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "reason"), [("column", "moment_width"), ("manifest", "not listed"), ("file", "again")]
)
def test_what_is_missing_is_told_in_one_sentence(tmp_path, wrong, reason):
    cube, other = write_cube(tmp_path / "a.fits"), write_cube(tmp_path / "b.fits")
    catalog = catalog_of(cube)
    if wrong == "column":
        catalog.remove_column("moment_width")
    files = [other] if wrong == "manifest" else [cube]
    done = compared(tmp_path, catalog, files, missing=[cube] if wrong == "file" else [])
    assert done.returncode == 1 and reason in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "m.csv").exists()
