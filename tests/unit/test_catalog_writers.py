"""Each format is read back by another reader than its writer, and compared value by value."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from catalog_fixtures import catalog_paths, make_labels, make_objects, make_predictions
from regions import EllipseSkyRegion, PointSkyRegion, Regions

from skyloom.catalog.columns import read_columns
from skyloom.catalog.rows import join_predictions, make_catalog, merge_catalogs
from skyloom.catalog.writers import write_catalog, write_fits

DEFINITION = read_columns(Path(__file__).parents[2] / "resources" / "columns.yaml")
# Those of a case that classifies cutouts.
COLUMNS = [column for column in DEFINITION if column.group in ("common", "radio_image")]
FORMATS = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "votable": "votable", "fits": "fits"}


def a_catalog(n: int = 12) -> Table:
    objects = make_objects(n)
    predictions = join_predictions(objects, make_predictions(objects))
    return make_catalog(COLUMNS, "disk_winds", objects, predictions, make_labels(objects), "abc", "0.1.0")


@pytest.fixture(scope="module", params=[12, 0], ids=["rows", "empty"])
def written(request, tmp_path_factory):
    catalog = a_catalog(request.param)
    paths = catalog_paths(tmp_path_factory.mktemp("catalog"))
    write_catalog(paths, catalog, COLUMNS)
    return catalog, paths


def words(text: str) -> list[str]:
    """Return the words of a text, since a VOTable may break its lines anywhere."""
    return text.split()


def same(column, read, written) -> None:
    """Assert that a column came back: values, masks; masked text is empty in formats that have no null text."""
    expected, mask = np.ma.asarray(written), np.ma.getmaskarray(np.ma.asarray(written))
    values = np.ma.asarray(read)
    if column.dtype == "text":
        assert list(values.filled("").astype(str)) == list(expected.filled("").astype(str)), column.name
        return
    if column.dtype == "bool" and values.dtype.kind in "UOS":
        values = np.ma.asarray(values == "True")
    assert np.array_equal(np.ma.getmaskarray(values), mask), column.name
    assert np.array_equal(values.data[~mask], expected.data[~mask]), column.name


@pytest.mark.parametrize("kind", FORMATS)
def test_values_are_read_back(written, kind):
    catalog, paths = written
    read = Table.read(paths[kind], format=FORMATS[kind])
    assert read.colnames == catalog.colnames and len(read) == len(catalog)
    for column in COLUMNS:
        same(column, read[column.name], catalog[column.name])
        if kind != "csv" and column.unit:
            assert read[column.name].unit == units.Unit(column.unit), column.name
        if kind in ("ecsv", "votable"):
            assert words(read[column.name].description) == words(column.description)


def test_csv_is_plain(written):
    catalog, paths = written
    lines = Path(paths["csv"]).read_text().splitlines()
    assert lines[0] == ",".join(catalog.colnames) and len(lines) == len(catalog) + 1
    assert not re.search(r"(?i)(^|,)(nan|-99\S*|--|none|inf)(,|$)", "\n".join(lines[1:]), flags=re.M)


def test_votable_carries_the_definition(written):
    _, paths = written
    table = parse_single_table(paths["votable"])
    for column, field in zip(COLUMNS, table.fields, strict=True):
        assert (field.name, field.ucd) == (column.name, column.ucd)
        assert words(field.description) == words(column.description)
        assert (field.ref == "icrs") == (column.name in ("ra", "dec"))
    assert 'system="ICRS"' in Path(paths["votable"]).read_text()


def test_fits_carries_the_definition(written):
    _, paths = written
    with fits.open(paths["fits"]) as file:
        file.verify("exception")
        header = file["CATALOG"].header
        assert not any("DATE" in key for hdu in file for key in hdu.header)
    for number, column in enumerate(COLUMNS, 1):
        assert header[f"TTYPE{number}"] == column.name
        assert header[f"TUCD{number}"] == column.ucd and header[f"TCOMM{number}"] == column.description
        assert (f"TUNIT{number}" in header) == bool(column.unit)
    assert header["RADESYS"] == "ICRS"


def test_regions_are_read_back(written):
    catalog, paths = written
    regions = Regions.read(paths["regions"], format="ds9")
    assert len(regions) == len(catalog)
    for row, region in zip(catalog, regions, strict=True):
        assert region.center.ra.deg == pytest.approx(row["ra"], abs=1e-7)
        assert region.center.dec.deg == pytest.approx(row["dec"], abs=1e-7)
        assert f"p={row['probability']:.2f}" in region.meta["text"]
        assert ("magenta" if row["candidate"] else "cyan") in region.visual.values()
        if row["fwhm_major"] is np.ma.masked:
            assert isinstance(region, PointSkyRegion)
        else:
            assert isinstance(region, EllipseSkyRegion)
            assert region.height.to_value("arcsec") == pytest.approx(row["fwhm_major"], abs=1e-4)
            assert region.width.to_value("arcsec") == pytest.approx(row["fwhm_minor"], abs=1e-4)
            assert region.angle.to_value("deg") == pytest.approx(row["pa"])


def test_region_of_position_angle_90_reaches_east(tmp_path):
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

    from skyloom.catalog.writers import _region

    row = a_catalog()[0]
    row["ra"], row["dec"], row["fwhm_major"], row["fwhm_minor"], row["pa"] = 100.0, 20.0, 2.0, 0.2, 90.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], [100.0, 20.0], [50.0, 50.0]
    wcs.wcs.cdelt = [-0.05 / 3600, 0.05 / 3600]
    centre = SkyCoord(100.0, 20.0, unit="deg")
    east, north = (centre.directional_offset_by(angle * units.deg, 0.8 * units.arcsec) for angle in (90, 0))
    region = _region(row)
    assert region.contains(east, wcs) and not region.contains(north, wcs)


@pytest.mark.skipif(not shutil.which("stilts"), reason="votlint is not here (Debian package stilts)")
def test_votlint_has_nothing_to_say(written):
    _, paths = written
    done = subprocess.run(
        ["stilts", "votlint", "ucd=true", "unit=true", paths["votable"]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout + done.stderr == ""


def test_equal_catalogs_give_equal_bytes(written, tmp_path):
    catalog, paths = written
    again = catalog_paths(tmp_path)
    write_catalog(again, catalog.copy(), COLUMNS)
    for kind in (*FORMATS, "regions"):
        assert Path(paths[kind]).read_bytes() == Path(again[kind]).read_bytes(), kind


def test_a_catalog_read_and_merged_is_the_same(written, tmp_path):
    catalog, paths = written
    merged = merge_catalogs(COLUMNS, [Table.read(paths["ecsv"], format="ascii.ecsv")])
    again = catalog_paths(tmp_path)
    write_catalog(again, merged, COLUMNS)
    for kind in (*FORMATS, "regions"):
        assert Path(paths[kind]).read_bytes() == Path(again[kind]).read_bytes(), kind
    assert len(merged) == len(catalog)


def test_letters_that_fits_does_not_have(tmp_path):
    catalog = a_catalog()
    catalog["target"] = catalog["target"].astype("U40")
    catalog["target"][:2] = ["Ångström", "目標"]
    write_fits(tmp_path / "catalog.fits", catalog, COLUMNS)
    assert list(Table.read(tmp_path / "catalog.fits")["target"][:2]) == ["Angstrom", "??"]
