"""Real files through the workflow with `service: local`: found where they are, and known."""

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
