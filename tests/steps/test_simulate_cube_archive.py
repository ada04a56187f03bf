import io
import tarfile

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from cube_fixtures import CASE, OBSERVATION, PLAIN, ROOT, archive, simulate, step, units_of

from skyloom.cases.alma_cubes import KEYWORDS
from skyloom.errors import UserError

FIELDS = 9
NARROW = {"observation": OBSERVATION | {"channels": 32}}


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    paths = archive(tmp_path_factory.mktemp("archive"), FIELDS, sky=PLAIN, **NARROW)
    return paths, members(paths["products"]), Table.read(paths["obscore"]), Table.read(paths["truth"])


def test_every_field_has_a_cube_its_archive_rows_and_its_truth(made):
    _, files, obscore, truth = made
    cubes = {name for name in files if ".cube." in name}
    assert len(cubes) == FIELDS and cubes == set(truth["filename"])
    assert len(obscore) == 4 * FIELDS and set(obscore["target_name"]) == set(truth["target_name"])
    stems = {"member." + mous.replace("://", "___").replace("/", "_") for mous in obscore["member_ous_uid"]}
    assert {name.partition(".SIMCUBE_")[0] for name in files} == stems
    assert {"s_ra", "spatial_resolution", "frequency"} <= set(units_of(obscore))
    assert units_of(truth)["flux"] == "Jy" and units_of(truth)["x"] == "pix"


def test_the_case_s_own_filters_find_the_cubes_and_nothing_else(made):
    _, files, obscore, _ = made
    wanted = yaml.safe_load((ROOT / "config/cases/alma_cubes.yaml").read_text())["archive"]["search"]
    for name in files:
        chosen = all(part in name for part in wanted["filename_parts"])
        assert chosen == (name.endswith(".cube.I.fits")), name
    number = np.array([int(name[-4:]) for name in obscore["target_name"]])
    searched = np.isin(obscore["science_keyword"], wanted["science_keywords"])
    assert set(wanted["science_keywords"]) == set(KEYWORDS)
    assert np.array_equal(~searched, number % 7 == 6)
    assert np.array_equal(obscore["data_rights"] == "Proprietary", number % 9 == 8)


def test_a_source_is_where_and_as_bright_as_the_truth_says(made):
    _, files, obscore, truth = made
    for name in sorted({name for name in files if ".cube." in name}):
        with fits.open(io.BytesIO(files[name])) as hdus:
            data, header, beam = hdus[0].data[0], hdus[0].header, hdus["DIRTYBEAM"].data
        assert hdus[0].data.shape == (1, 32, 96, 96) and header["BUNIT"] == "Jy/beam" and header["SIMULATE"]
        assert np.unravel_index(np.argmax(beam), beam.shape) == (beam.shape[0] // 2,) * 2
        rows = truth[truth["filename"] == name]
        row = rows[np.argmax(rows["flux"])]
        line = np.abs(np.arange(32) - row["z"]) <= row["line_fwhm"]
        image = data[line].mean(axis=0)
        at = np.unravel_index(np.argmax(image), image.shape)
        assert np.hypot(at[1] - row["x"], at[0] - row["y"]) < 2
        assert image[at] == pytest.approx(row["peak"], rel=0.15)
        # The position of the archive's table is the middle of the image, its frequency that of the band.
        place = obscore[obscore["target_name"] == row["target_name"]]
        middle = WCS(header).celestial.pixel_to_world(48, 48)
        assert middle.ra.deg == pytest.approx(place["s_ra"][0], abs=1e-9)
        assert middle.dec.deg == pytest.approx(place["s_dec"][0], abs=1e-9)
        ends = header["CRVAL3"] + header["CDELT3"] * np.array([0, 31])
        assert ends.mean() == pytest.approx(230e9) and np.ptp(ends) == pytest.approx(0.31e9)
        assert place["spatial_resolution"][0] / 3600 == pytest.approx(
            np.sqrt(header["BMAJ"] * header["BMIN"]), rel=1e-3
        )


def test_they_are_other_cubes_than_those_that_train_and_test(tmp_path, made):
    first = made[3]["x"][0]
    for split in ("train", "validation", "test"):
        _, truth = simulate(tmp_path, split, sky=PLAIN, **NARROW)
        assert first not in Table.read(truth)["x"]


def test_shards_hold_what_one_job_would(tmp_path, made):
    together, rows = {}, []
    for shard in range(2):
        paths = archive(tmp_path, FIELDS, shards=2, shard=shard, sky=PLAIN, **NARROW)
        part = members(paths["products"])
        assert not set(part) & set(together)
        together.update(part)
        rows += [str(dict(row)) for row in Table.read(paths["truth"])]
    assert together == made[1]
    assert sorted(rows) == sorted(str(dict(row)) for row in made[3])


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_sky(tmp_path):
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        made[name] = [path.read_bytes() for path in archive(tmp_path / name, seed=seed, **NARROW).values()]
    assert made["a"] == made["b"] and not set(made["a"]) & set(made["c"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": 1}, "--shard 1: should be from 0 to 0"),
        ({"fields": 1, "shards": 2}, "embedded.fields at least the shards"),
        ({"observation": {"sides": 96}}, "did you mean `observation.side`"),
        ({"fields": 0}, "`fields` is 0, but should be a whole number, at least 1"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        archive(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "{}", '{"simulate": {}}', "[1]"])
def test_settings_that_are_not_those_of_both_sections_are_told(tmp_path, text):
    paths = {name: tmp_path / f"{name}.ecsv" for name in ("obscore", "truth")} | {"products": tmp_path / "a.tar"}
    with pytest.raises(UserError, match="--all-settings: should be JSON with simulate, embedded"):
        step("simulate_cube_archive", case=CASE, all_settings=text, shard=0, **paths)
    assert list(tmp_path.iterdir()) == []
