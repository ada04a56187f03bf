"""Real files through the workflow with `service: local`: found where they are, and known."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from scipy import ndimage

from .conftest import ROOT

DATA = ROOT.parent / "shared/data/disk_winds"
GAMMA = ROOT.parent / "shared/data/cherenkov"
NAMES = {
    "b335_2017_band6_0.fits": "B335",
    "serpenssouthc7_2019_band6_0.fits": "Serpens South C7",
    "HD100546_B6_ALMA01041775.cont.pbcor.fits": "HD 100546",
}


@pytest.fixture(scope="module")
def rows(finished, tmp_path_factory):
    """Return the catalog of the three real images, classified by the networks of the tiny run."""
    if not DATA.is_dir():
        pytest.skip(f"the real images are not here: {DATA} is absent")
    folder = tmp_path_factory.mktemp("real")
    project = finished.copy(folder / "skyloom")
    extra = folder / "local.yaml"
    extra.write_text(f"{{run: {{cases: [disk_winds]}}, archive: {{service: local, local: {{folder: {DATA}}}}}}}\n")
    project.snakemake("results/tiny/catalog.csv", "--cores", "2", configs=[extra])
    return Table.read(project.path / "results/tiny/catalog.ecsv")


@pytest.mark.parametrize("name", NAMES, ids=NAMES.values())
def test_the_brightest_object_is_in_the_catalog(rows, name):
    path = DATA / name
    image, header = np.squeeze(fits.getdata(path)), fits.getheader(path)
    y, x = np.unravel_index(np.nanargmax(image), image.shape)
    peak = WCS(header).celestial.pixel_to_world(x, y).icrs
    mine = rows[[Path(str(file)).name == name for file in rows["source_file"]]]
    apart = SkyCoord(mine["ra"], mine["dec"]).separation(peak)
    nearest = int(np.argmin(apart))
    assert apart[nearest] < header["BMIN"] * units.deg
    row = mine[nearest]
    assert row["peak_flux"] == pytest.approx(float(np.nanmax(image)), rel=0.05)
    assert 0 <= row["probability"] <= 1
    assert not row["simulated"]


def test_fluxes_agree_with_the_image(rows):
    for name in NAMES:
        path = DATA / name
        image, header = np.squeeze(fits.getdata(path)).astype(float), fits.getheader(path)
        mine = rows[[Path(str(file)).name == name for file in rows["source_file"]]]
        row = mine[int(np.argmax(mine["peak_flux"]))]
        scale = abs(header["CDELT2"])
        beam = np.pi / (4 * np.log(2)) * header["BMAJ"] * header["BMIN"] / scale**2
        x, y = WCS(header).celestial.world_to_pixel(SkyCoord(row["ra"], row["dec"], unit="deg"))
        islands, _ = ndimage.label(np.nan_to_num(image) > 3 * row["rms"])
        own = ndimage.binary_dilation(islands == islands[int(round(float(y))), int(round(float(x)))], iterations=2)
        assert row["flux"] == pytest.approx(np.nansum(image[own]) / beam, rel=0.05), name


@pytest.fixture(scope="module")
def gamma_rows(clean_project, tmp_path_factory):
    """Return the catalog of four real runs, searched by small networks trained with their own response."""
    if not GAMMA.is_dir():
        pytest.skip(f"the real photon lists are not here: {GAMMA} is absent")
    project = clean_project("hess")
    known = {"file": str(GAMMA / "gammacat.fits.gz"), "name": "common_name"}
    side = {"side": 160}
    simulate = {"shards": 1, "train": 60, "validation": 60, "test": 10, "published": 4}
    small = {
        "simulate": simulate | {"observation": side, "sky": {"offset": [0.0, 1.8]}},
        "examples": {"maps": 160},
        "search": side,
        "models": {"cleaner": {"epochs": 4, "batch_size": 8}, "position": {"epochs": 8}},
    }
    settings = {
        "archive": {"local": {"folder": str(GAMMA / "hess-dl3-dr1/data")}},
        "cases": {"cherenkov": {"reference": known, **small}},
    }
    extra = tmp_path_factory.mktemp("hess") / "small.yaml"
    extra.write_text(json.dumps(settings))
    configs = ["config/presets/hess.yaml", extra]
    project.snakemake("results/hess/catalog.csv", "--cores", "2", configs=configs)
    return Table.read(project.path / "results/hess/catalog.ecsv")


def test_the_crab_is_found_in_every_run_and_in_their_stack(gamma_rows):
    crab = SkyCoord(83.633, 22.0145, unit="deg")
    names = sorted(path.name for path in (GAMMA / "hess-dl3-dr1/data").glob("*.fits.gz"))
    stacks = {str(row["source_file"]) for row in gamma_rows if row["lists"] > 1}
    assert len(stacks) == 1 and set(gamma_rows["lists"]) == {1, len(names)}
    for name in [*names, *stacks]:
        mine = gamma_rows[[str(file) == name for file in gamma_rows["source_file"]]]
        best = mine[int(np.argmax(mine["snr"]))]
        assert SkyCoord(best["ra"], best["dec"], unit="deg").separation(crab).deg < 0.05, name
        assert best["candidate"] and best["probability"] > 0.9 and not best["simulated"]
        assert best["reference_name"] == "Crab nebula" and best["reference_distance"] < 180
        assert best["radius95"] > best["radius68"] > 0
    stacked = gamma_rows[[str(file) in stacks for file in gamma_rows["source_file"]]]
    assert all(all(name in str(row["parts"]) for name in names) for row in stacked)
    assert not any(str(row["parts"]) not in ("", "--") for row in gamma_rows if row["lists"] == 1)
