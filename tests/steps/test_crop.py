import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from small_archive import archive, crop_arguments, field, row

import crop
from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.images.store import read_cutouts

ROOT = Path(__file__).parents[2]
OUTPUTS = ("c.h5", "o.ecsv", "f.ecsv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = archive(tmp_path_factory.mktemp("crop"), count=4, winds=2)
    crop.main(crop_arguments(folder))
    return folder


def test_objects_cutouts_and_files_are_told(made):
    objects, fields = read_table(made / "o.ecsv"), read_table(made / "f.ecsv")
    cutouts, attrs = read_cutouts(made / "c.h5")
    assert list(fields["status"]) == ["kept"] * 5 and fields["n_objects"].sum() == len(objects)
    assert cutouts.id.tolist() == list(objects["object_id"]) and len(set(cutouts.id)) == len(objects)
    assert objects["object_id"][0] == "field_00.cont.pbcor.01"
    assert cutouts.native.shape == cutouts.scaled.shape == (len(objects), 32, 32)
    assert attrs["case"] == "disk_winds" and len(attrs["config_hash"]) == 12
    assert str(objects["flux"].unit) == "Jy" and str(objects["ra"].unit) == "deg"
    sky = field(0, True)[2]
    assert abs(objects["dec"][0] - sky.dec.deg) * 3600 < 0.05
    assert objects["data_sha256"][-1] == objects[objects["filename"] == "field_03.cont.pbcor.fits"]["data_sha256"][0]


def test_a_second_run_gives_the_same_bytes(made):
    before = [(made / name).read_bytes() for name in OUTPUTS]
    crop.main(crop_arguments(made))
    assert [(made / name).read_bytes() for name in OUTPUTS] == before


def test_bad_files_are_told_and_do_not_stop_the_others(tmp_path):
    folder = archive(tmp_path, count=1, winds=0)
    data, header, _ = field(0, False)
    bad = {
        "truncated.fits": (folder / "zz_again.fits").read_bytes()[:9000],
        "empty.fits": b"",
        "page.fits": b"<html></html>",
    }
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    fits.PrimaryHDU(np.full_like(data, np.nan), header).writeto(folder / "nan.fits")
    fits.PrimaryHDU(np.ones_like(data), header).writeto(folder / "constant.fits")
    fits.PrimaryHDU(data).writeto(folder / "bare.fits")
    cube, flat = header.copy(), header.copy()
    cube.update(WCSAXES=3, CTYPE3="FREQ", CRVAL3=2e11, CRPIX3=1, CDELT3=1e9)
    flat["CDELT1"] = 0.0
    fits.PrimaryHDU(np.stack([data, data]), cube).writeto(folder / "cube.fits")
    fits.PrimaryHDU(data, flat).writeto(folder / "scale.fits")
    fits.BinTableHDU.from_columns([fits.Column(name="a", format="E", array=[1.0])]).writeto(folder / "table.fits")
    manifest = Table.read(folder / "manifest.ecsv")
    names = [*bad, "nan.fits", "constant.fits", "bare.fits", "scale.fits", "cube.fits", "table.fits"]
    rows = [*[tuple(one) for one in manifest], *[row(folder / name, name, "T") for name in names]]
    Table(rows=rows, names=manifest.colnames).write(folder / "manifest.ecsv", overwrite=True)
    crop.main(crop_arguments(folder))
    fields = read_table(folder / "f.ecsv")
    assert len(fields) == len(rows)
    by_name = {str(one["filename"]): one for one in fields}
    for name in names:
        assert by_name[name]["status"] == "dropped", name
        assert str(by_name[name]["reason"]).endswith("."), name
        assert np.ma.is_masked(by_name[name]["rms"]), name
    for name, word in (("cube.fits", "cube"), ("scale.fits", "scale"), ("constant.fits", "noise"), ("nan.fits", "NaN")):
        assert word in by_name[name]["reason"]
    assert by_name["zz_again.fits"]["status"] == "kept"
    assert len(read_table(folder / "o.ecsv")) >= 2


def test_an_empty_manifest_gives_empty_tables(tmp_path):
    folder = archive(tmp_path, count=1, winds=0)
    Table.read(folder / "manifest.ecsv")[:0].write(folder / "manifest.ecsv", overwrite=True)
    crop.main(crop_arguments(folder))
    assert len(read_table(folder / "o.ecsv")) == len(read_table(folder / "f.ecsv")) == 0
    assert read_cutouts(folder / "c.h5")[0].native.shape == (0, 32, 32)


def test_what_must_stop_the_step(tmp_path):
    folder = archive(tmp_path, count=1, winds=0)
    (folder / "broken.ecsv").write_text("nothing")
    with pytest.raises(UserError, match="broken.ecsv"):
        crop.main(crop_arguments(folder, manifest="broken.ecsv"))
    Table({"path": ["a"]}).write(folder / "short.ecsv")
    with pytest.raises(UserError, match="column `product_id` is missing"):
        crop.main(crop_arguments(folder, manifest="short.ecsv"))
    (folder / "zz_again.fits").unlink()
    with pytest.raises(UserError, match="zz_again.fits"):
        crop.main(crop_arguments(folder))
    assert not (folder / "o.ecsv").exists()


@pytest.mark.parametrize("step", ["crop", "label_objects", "augment", "build_dataset"])
def test_help_comes_at_once(step):
    started = time.monotonic()
    done = subprocess.run([sys.executable, ROOT / f"scripts/{step}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--case" in done.stdout
    assert time.monotonic() - started < 10  # alone it takes 0.1 s
