import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from catalog_fixtures import arguments, catalog_paths
from cube_fixtures import (
    CASE,
    OBSERVATION,
    PLAIN,
    ROOT,
    SEARCH,
    archive,
    calibrate,
    downloaded,
    manifest_row,
    networks,
    step,
    units_of,
    write_manifest,
    write_pair,
)

from skyloom.errors import UserError
from skyloom.files import read_table, write_json
from skyloom.learn.cube_search import UNITS

OUTPUTS = {kind: f"chunk_000.{kind}.ecsv" for kind in ("objects", "predictions", "fields")}
LIGHT = 299792.458


def search(folder, made, rows=None, settings=None, **changes):
    """Search the rows of a manifest and return the three tables by name."""
    paths = {kind: folder / file for kind, file in OUTPUTS.items()}
    manifest = changes.pop("manifest", None) or write_manifest(
        folder / "manifest.ecsv", made["rows"] if rows is None else rows
    )
    given = {"models": made["models"], "calibration": made["calibration"], "manifest": manifest} | changes
    step("search", case=CASE, settings=SEARCH | (settings or {}), **given, **paths)
    return {kind: read_table(path) for kind, path in paths.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two downloaded cubes with two plain sources each, their truth, stand-in networks and a calibration of them."""
    folder = tmp_path_factory.mktemp("archive")
    models = networks(folder)
    calibration = calibrate(folder, models, *([path] for path in write_pair(folder, "validation")))
    paths = archive(folder, sky=PLAIN)
    truth = read_table(paths["truth"])
    rows = downloaded(folder, paths["products"])
    for path in paths.values():  # what is searched must not need what was simulated
        path.unlink()
    return {"models": models, "calibration": calibration, "truth": truth, "rows": rows}


@pytest.fixture(scope="module")
def found(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("found")
    return search(folder, made), folder


@pytest.fixture(scope="module")
def header_and_data(made):
    with fits.open(made["rows"][0]["path"]) as hdus:
        return hdus[0].header.copy(), hdus[0].data.copy(), hdus["DIRTYBEAM"].data.copy()


def write(path, data, header, beam=None, **cards):
    header = header.copy()
    for key, value in cards.items():
        header[key] = value
        if value is None:
            del header[key]
    extra = [] if beam is None else [fits.ImageHDU(beam, name="DIRTYBEAM")]
    fits.HDUList([fits.PrimaryHDU(data, header), *extra]).writeto(path)
    return manifest_row(path)


def test_the_tables_have_all_columns_and_units(found, made):
    objects, predictions, fields = found[0].values()
    units = units_of(objects)
    for name, unit in UNITS.items():
        assert units.get(name, "").replace(" ", "") == (unit or "").replace(" ", ""), name
    assert predictions.colnames == ["object_id", "probability", "spread", "logit", "candidate", "model"]
    assert list(objects["object_id"]) == list(predictions["object_id"]) and len(set(objects["object_id"])) == len(
        objects
    )
    identity = json.loads(made["calibration"].read_text())["identity"]
    assert set(predictions["model"]) == {identity} and predictions["spread"].mask.all()
    assert np.all((predictions["probability"] >= 0) & (predictions["probability"] <= 1))
    assert list(fields["status"]) == ["kept"] * 2 and fields["n_objects"].sum() == len(objects)
    assert units_of(fields) == {
        **dict.fromkeys(("ra", "dec"), "deg"),
        **dict.fromkeys(("radius", "beam_major", "beam_minor"), "arcsec"),
        "rms": "Jy / beam",
    }
    assert set(fields["channels"]) == {64} and set(fields["width"]) == set(fields["height"]) == {96}
    assert fields["radius"] == pytest.approx(np.sqrt(96**2 / np.pi) * 0.1)
    assert objects["object_id"][0] == objects["filename"][0].removesuffix(".fits") + ".01"


def test_the_brightest_source_is_where_and_as_bright_as_the_truth_says(found, made):
    objects = found[0]["objects"]
    for row in made["rows"]:
        rows = made["truth"][made["truth"]["filename"] == row["filename"]]
        true = rows[np.argmax(rows["flux"])]
        some = objects[objects["filename"] == row["filename"]]
        one = some[np.argmin(np.hypot(some["x"] - true["x"], some["y"] - true["y"]))]
        header = fits.getheader(row["path"])
        sky = WCS(header).celestial.pixel_to_world(true["x"], true["y"])
        assert (one["dec"] - sky.dec.deg) * 3600 == pytest.approx(0, abs=0.06)
        assert (one["ra"] - sky.ra.deg) * np.cos(sky.dec.rad) * 3600 == pytest.approx(0, abs=0.06)
        assert 0 < one["pos_error"] < 0.02
        frequency = (header["CRVAL3"] + true["z"] * header["CDELT3"]) / 1e9
        assert one["line_frequency"] == pytest.approx(frequency, abs=0.003)
        assert one["redshift"] == pytest.approx(header["RESTFRQ"] / 1e9 / frequency - 1, abs=2e-5)
        width = true["line_fwhm"] * header["CDELT3"] / 1e9 / frequency * LIGHT
        assert one["line_width"] == pytest.approx(width, rel=0.15)
        # The stand-in networks take all sources for circles of 5 pixels; they have 2 to 8.
        for name in ("flux", "line_flux"):
            assert 0.6 < one[name] / true[name] < 1.4
        assert one["peak_flux"] == pytest.approx(true["peak"], rel=0.15)
        assert one["source_major"] == one["source_minor"] == pytest.approx(0.5)
        beam = header["BMAJ"] * 3600
        assert one["beam_major"] == pytest.approx(beam) and one["fwhm_major"] == pytest.approx(np.hypot(beam, 0.5))
        assert one["fwhm_major"] >= one["fwhm_minor"] and one["flags"] == ""


def test_a_second_run_gives_the_same_bytes(tmp_path, found, made):
    search(tmp_path, made)
    for name in OUTPUTS.values():
        assert (tmp_path / name).read_bytes() == (found[1] / name).read_bytes()


def test_a_file_s_sources_do_not_depend_on_its_chunk(tmp_path, found, made):
    part = search(tmp_path, made, made["rows"][1:])
    for kind in ("objects", "predictions"):
        whole = found[0][kind]
        mine = whole[np.isin(whole["object_id"], part[kind]["object_id"])]
        assert len(part[kind]) and [str(dict(row)) for row in part[kind]] == [str(dict(row)) for row in mine]


def test_the_redshift_is_of_the_line_that_is_named(tmp_path, found, made):
    objects = search(tmp_path, made, made["rows"][:1], {"line_frequency": 345.796})["objects"]
    assert objects["redshift"] == pytest.approx(345.796 / np.asarray(objects["line_frequency"]) - 1, abs=1e-6)
    assert np.all(objects["redshift"] > 0.4) and np.all(objects["redshift_error"] > 0)


def test_the_catalog_takes_it(tmp_path, found, made):
    """Every row with its units and errors, as `build_catalog` checks them, and none of the truth's columns."""
    (tmp_path / "again").mkdir()
    copy = tmp_path / "zz_again.fits"
    copy.write_bytes(Path(made["rows"][0]["path"]).read_bytes())
    search(tmp_path / "again", made, [manifest_row(copy)])
    folders, outputs = (found[1], tmp_path / "again"), catalog_paths(tmp_path)
    options = {kind: [str(folder / file) for folder in folders] for kind, file in OUTPUTS.items()}
    import build_catalog

    options |= outputs | {"case": CASE, "config-hash": "abcdef012345", "columns": str(ROOT / "resources/columns.yaml")}
    build_catalog.main(arguments(options))
    catalog, objects = read_table(outputs["ecsv"]), found[0]["objects"]
    twice = objects[objects["filename"] == made["rows"][0]["filename"]]
    assert len(catalog) == len(objects) + len(twice)
    assert list(catalog["flags"]).count("duplicate") == len(twice)
    units = units_of(catalog)
    assert (units["line_flux"], units["line_width"], units["line_frequency"]) == ("Jy km / s", "km / s", "GHz")
    for name in ("source_major", "source_minor", "source_pa", "continuum", "line_flux", "line_width", "redshift"):
        assert np.all(catalog[f"{name}_error"] > 0) and np.isfinite(catalog[name]).all(), name
    assert set(catalog["case"]) == {CASE} and all(catalog["simulated"])
    assert not {"truth", "kind", "line_fwhm"} & set(catalog.colnames)
    from mocpy import MOC

    assert MOC.from_fits(outputs["moc"]).sky_fraction > 0


def test_bad_files_are_told_and_do_not_stop_the_others(tmp_path, found, made, header_and_data):
    header, data, beam = header_and_data
    content = Path(made["rows"][0]["path"]).read_bytes()
    words = {"truncated.fits": "truncated", "empty.fits": "empty", "page.fits": "FITS", "table.fits": "table"}
    words |= {"nan.fits": "NaN", "constant.fits": "", "no_beam.fits": "beam", "no_unit.fits": "unit"}
    (tmp_path / "truncated.fits").write_bytes(content[:200_000])
    (tmp_path / "empty.fits").write_bytes(b"")
    (tmp_path / "page.fits").write_bytes(b"<html></html>")
    column = fits.Column(name="a", format="E", array=[1.0])
    fits.BinTableHDU.from_columns([column]).writeto(tmp_path / "table.fits")
    write(tmp_path / "nan.fits", np.full_like(data, np.nan), header)
    write(tmp_path / "constant.fits", np.ones_like(data), header)
    write(tmp_path / "no_beam.fits", data, header, BMAJ=None, BMIN=None)
    write(tmp_path / "no_unit.fits", data, header, BUNIT="counts")
    lost = manifest_row(tmp_path / "page.fits", filename="lost.fits", product_id="lost", status="failed", path="")
    rows = [*(manifest_row(tmp_path / name) for name in words), lost | {"reason": "no mirror gave it whole"}]
    tables = search(tmp_path, made, [*rows, *made["rows"]])
    by_name = {str(row["filename"]): row for row in tables["fields"]}
    assert len(by_name) == len(rows) + 2
    for name, word in (words | {"lost.fits": "Not downloaded: no mirror gave it whole."}).items():
        row = by_name[name]
        assert row["status"] == "dropped" and row["reason"].endswith(".") and word in row["reason"], name
        for number in ("n_objects", "channels", "ra", "rms", "radius"):
            assert np.ma.is_masked(row[number]), (name, number)
    assert [str(dict(row)) for row in tables["objects"]] == [str(dict(row)) for row in found[0]["objects"]]


@pytest.mark.parametrize("what", ["end", "beam", "noise"])
def test_unlucky_files_do_not_stop_the_others_either(tmp_path, found, made, header_and_data, what):
    """A download that lacks its end, which holds the beam only; a beam that is none; nothing but noise."""
    header, data, beam = header_and_data
    path = tmp_path / "unlucky.fits"
    if what == "end":
        path.write_bytes(Path(made["rows"][0]["path"]).read_bytes()[:-100_000])
    elif what == "beam":
        write(path, data, header, np.full_like(beam, np.nan))
    else:
        noise = np.random.default_rng(1).normal(0, 1e-4, (1, 16, 48, 48))
        write(path, noise.astype(np.float32), header)
    tables = search(tmp_path, made, [manifest_row(path), *made["rows"]])
    first = tables["fields"][0]
    assert first["status"] == "kept" or first["reason"].endswith(".")
    mine = tables["objects"][tables["objects"]["filename"] != "unlucky.fits"]
    assert [list(row)[1:] for row in mine["object_id", "x", "flux"]] == [
        list(row)[1:] for row in found[0]["objects"]["object_id", "x", "flux"]
    ]


def test_a_cube_without_a_source_is_kept_and_says_so(tmp_path, made):
    tables = search(tmp_path, made, made["rows"][:1], {"focused_snr": 1e6})
    row = tables["fields"][0]
    assert (row["status"], row["reason"], row["n_objects"]) == ("kept", "No source was found.", 0)
    assert len(tables["objects"]) == len(tables["predictions"]) == 0


def test_an_image_has_sources_without_a_line(tmp_path, made, header_and_data):
    header, data, beam = header_and_data
    row = write(tmp_path / "image.fits", data.mean(axis=1, keepdims=True), header, beam)
    objects = search(tmp_path, made, [row])["objects"]
    assert len(objects) and np.all(objects["flux"] > 0)
    for name in ("line_frequency", "line_width", "redshift", "channel"):
        assert np.ma.getmaskarray(objects[name]).all(), name
    assert all("channels_untrained" in text for text in objects["flags"])


def test_an_empty_middle_channel_leaves_the_field_its_place(tmp_path, found, made, header_and_data):
    header, data, beam = header_and_data
    gap = data.copy()
    gap[:, 31:34] = np.nan
    field = search(tmp_path, made, [write(tmp_path / "gap.fits", gap, header, beam)])["fields"][0]
    assert field["status"] == "kept"
    for name in ("ra", "dec", "radius"):
        assert field[name] == pytest.approx(found[0]["fields"][0][name])


def test_a_cube_of_other_pixels_is_resampled(tmp_path, found, made, header_and_data):
    header, data, _ = header_and_data
    coarse = {"CDELT1": 2 * header["CDELT1"], "CDELT2": 2 * header["CDELT2"], "CRPIX1": 24.75, "CRPIX2": 24.75}
    mean = data.reshape(1, 64, 48, 2, 48, 2).mean(axis=(3, 5))
    objects = search(tmp_path, made, [write(tmp_path / "coarse.fits", mean, header, **coarse)])["objects"]
    whole = found[0]["objects"]
    whole = whole[whole["filename"] == made["rows"][0]["filename"]]
    true, one = whole[np.argmax(whole["flux"])], objects[np.argmax(objects["flux"])]
    assert "resampled" in one["flags"] and "no_dirty_beam" in one["flags"]
    assert np.hypot(one["ra"] - true["ra"], one["dec"] - true["dec"]) * 3600 < 0.1
    assert one["flux"] == pytest.approx(true["flux"], rel=0.15)
    assert one["line_frequency"] == pytest.approx(true["line_frequency"], abs=0.002)


def test_a_large_image_is_searched_in_parts(tmp_path, made):
    paths = archive(tmp_path, fields=1, observation=OBSERVATION | {"side": 160}, sky=PLAIN)
    rows = downloaded(tmp_path, paths["products"])
    truth = read_table(paths["truth"])
    true = truth[np.argmax(truth["flux"])]
    for side in (512, 96):
        objects = search(tmp_path, made, rows, {"subcube": side})["objects"]
        near = np.hypot(objects["x"] - true["x"], objects["y"] - true["y"]) < 5
        assert near.sum() == 1, side
        one = objects[near][0]
        assert np.hypot(one["x"] - true["x"], one["y"] - true["y"]) < 0.7
        assert one["channel"] == pytest.approx(true["z"], abs=0.3)


def test_an_empty_manifest_gives_empty_tables(tmp_path, found, made):
    tables = search(tmp_path, made, rows=[])
    for kind, table in tables.items():
        assert len(table) == 0 and table.colnames == found[0][kind].colnames
        assert units_of(table) == units_of(found[0][kind])


@pytest.fixture(scope="module")
def bad(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text("{}")
    (folder / "page.ecsv").write_text("<html>")
    gone = manifest_row(folder / "page.ecsv", filename="gone.fits", path=str(folder / "gone.fits"))
    write_manifest(folder / "gone.ecsv", [gone])
    hashes = json.loads(made["calibration"].read_text())
    hashes["models_sha256"]["flux"] = "0" * 64
    write_json(folder / "retrained.json", hashes)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bad, models: {"manifest": bad / "no.ecsv"}, "no.ecsv: no such file"),
        (lambda bad, models: {"manifest": bad / "page.ecsv"}, "page.ecsv: cannot be read as a manifest"),
        (lambda bad, models: {"manifest": bad / "gone.ecsv"}, "gone.fits.*run download_fits.py again"),
        (lambda bad, models: {"calibration": bad / "no.json"}, "no.json: no such file"),
        (lambda bad, models: {"calibration": bad / "broken.json"}, "broken.json: not valid JSON"),
        (
            lambda bad, models: {"calibration": bad / "other.json"},
            "other.json: has no .* hold the calibration",
        ),
        (
            lambda bad, models: {"calibration": bad / "retrained.json"},
            "flux.keras: is not the network that .* calibrate",
        ),
        (lambda bad, models: {"models": [f"map={bad}/no.keras", *models[1:]]}, "no.keras: no such file"),
        (lambda bad, models: {"models": [models[0], f"lines={models[0][4:]}", *models[2:]]}, "is not the network that"),
        (lambda bad, models: {"models": models[1:]}, "no network has the role `map`; add map=FILE"),
        (lambda bad, models: {"models": models[:-1]}, "no network has the role `flux`"),
        (lambda bad, models: {"settings": {"subcub": 512}}, "did you mean `subcube`"),
        (lambda bad, models: {"settings": {"subcube": 100}}, "`subcube` is 100, but should be .* a multiple of 32"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_table(tmp_path, made, bad, change, message):
    with pytest.raises(UserError, match=message):
        search(tmp_path, made, **change(bad, made["models"]))
    assert not any((tmp_path / name).exists() for name in OUTPUTS.values())


def test_a_manifest_of_other_columns_is_said(tmp_path, made, found):
    with pytest.raises(UserError, match="the column `target_name` is missing; make it with download_fits"):
        search(tmp_path, made, manifest=found[1] / OUTPUTS["fields"])
