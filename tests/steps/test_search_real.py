"""Real cubes through the search, with stand-in networks: what they say depends on no training."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from cube_fixtures import CASE, ROOT, SEARCH, calibrate, manifest_row, networks, step, write_manifest, write_pair

from skyloom.detect.cube_moments import SPEED_OF_LIGHT as LIGHT
from skyloom.detect.cube_moments import ranges
from skyloom.files import read_table

DATA = ROOT.parent / "shared/data/alma_cubes"
CUBES = {
    "M17": "M17_SWex_5x31x31.fits",
    "NGC 2903": "NGC2903_WSRT_HI_113x89x70.fits",
    "NGC 3256": "NGC3256_CO10_ALMA_SV_cube.fits",
    "Pisco": "Pisco_CII/Pisco.cii.455kms.image.fits",
    "Pisco, dirty": "Pisco_CII/Pisco.cii.455kms.dirty.fits",
    "SDC335": "small_perplanebeam_SDC335.fits",
}
HYDROGEN = 1.420405752  # GHz


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    if not DATA.is_dir():
        pytest.skip(f"the real cubes are not here: {DATA} is absent")
    folder = tmp_path_factory.mktemp("real")
    models = networks(folder)
    calibration = calibrate(folder, models, *([path] for path in write_pair(folder, "validation")))
    return {"models": models, "calibration": calibration}


def search(folder, made, **settings):
    rows = [manifest_row(DATA / path, simulated=False) for path in CUBES.values()]
    paths = {kind: folder / f"{kind}.ecsv" for kind in ("objects", "predictions", "fields")}
    manifest = write_manifest(folder / "manifest.ecsv", rows)
    step("search", case=CASE, settings=SEARCH | settings, manifest=manifest, **made, **paths)
    return read_table(paths["fields"]), read_table(paths["objects"])


@pytest.fixture(scope="module")
def found(tmp_path_factory, made):
    return search(tmp_path_factory.mktemp("found"), made)


def rows_of(objects, name):
    rows = objects[[str(file) == Path(CUBES[name]).name for file in objects["filename"]]]
    return rows[np.argsort(-np.asarray(rows["snr"]))]


def opened(name):
    with fits.open(DATA / CUBES[name]) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.squeeze(hdus[0].data).astype(float), hdus[0].header, WCS(hdus[0].header)


def test_every_cube_is_searched(found):
    assert list(found[0]["status"]) == ["kept"] * len(CUBES)


@pytest.mark.parametrize("name", ["Pisco", "Pisco, dirty"])
def test_the_quasar_is_within_half_a_beam_of_the_image_s_peak(found, name):
    image, header, wcs = opened(name)
    y, x = np.unravel_index(np.nanargmax(image), image.shape)
    peak = wcs.celestial.pixel_to_world(x, y).icrs
    row = rows_of(found[1], name)[0]
    apart = SkyCoord(row["ra"], row["dec"], unit="deg").separation(peak)
    assert apart < 0.5 * header["BMIN"] * units.deg
    assert row["peak_flux"] == pytest.approx(np.nanmax(image), rel=0.1)


def test_the_line_range_of_ngc_3256_is_that_of_spectral_cube_s_moments(tmp_path, made):
    search(tmp_path, made)
    catalog = {name: tmp_path / f"catalog.{name}" for name in ("csv", "ecsv", "votable", "fits", "regions", "moc")}
    columns = ROOT / "resources/columns.yaml"
    found = {kind: tmp_path / f"{kind}.ecsv" for kind in ("objects", "predictions", "fields")}
    step("build_catalog", case=CASE, settings={}, columns=columns, config_hash="abcdef012345", **found, **catalog)
    outputs = {"table": tmp_path / "moments.csv", "text": tmp_path / "moments.md", "figure": tmp_path / "moments.png"}
    given = {"catalog": catalog["ecsv"], "manifests": tmp_path / "manifest.ecsv"}
    step("compare_moments", case=CASE, settings=SEARCH, **given, **outputs)
    table = read_table(outputs["table"])
    rows = table[table["source_file"] == CUBES["NGC 3256"]]
    assert len(rows) and not np.ma.getmaskarray(rows["cube_width"]).any()
    for row in rows:
        assert row["moment_width"] == pytest.approx(row["cube_width"], rel=0.1)
        width = row["cube_width"] / LIGHT * row["cube_frequency"]
        assert row["moment_frequency"] == pytest.approx(row["cube_frequency"], abs=0.1 * width)
    (of_file,) = ranges(rows)
    low, high = of_file["cube_low"], of_file["cube_high"]
    assert (of_file["moment_low"], of_file["moment_high"]) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert of_file["moment_high"] - of_file["moment_low"] == pytest.approx(high - low, rel=0.1)


def test_a_velocity_axis_needs_a_rest_frequency_and_says_so(tmp_path, found, made):
    before = rows_of(found[1], "NGC 2903")
    assert len(before) and all("no_rest_frequency" in str(row["flags"]) for row in before)
    assert np.ma.is_masked(before["line_frequency"][0]) or not np.isfinite(before["line_frequency"][0])
    after = rows_of(search(tmp_path, made, line_frequency=HYDROGEN)[1], "NGC 2903")
    assert not any("no_rest_frequency" in str(row["flags"]) for row in after)
    lines = np.ma.filled(np.ma.asarray(after["line_frequency"], float), np.nan)
    speed = (1 - lines / HYDROGEN) * LIGHT
    assert np.nanmedian(speed) == pytest.approx(550, abs=200), "the galaxy recedes with 550 km/s"


def test_what_the_networks_were_not_trained_for_is_flagged(found):
    objects = found[1]
    for name, flag in (("Pisco", "channels_untrained"), ("NGC 3256", "channels_untrained"), ("NGC 2903", "resampled")):
        assert all(flag in str(row["flags"]) for row in rows_of(objects, name)), name
    assert all("no_dirty_beam" in str(flags) for flags in objects["flags"])
