import h5py
import numpy as np
import pytest
from cube_fixtures import BEAM, CASE, PLAIN, SEARCH, detect, networks, simulate, step, units_of
from scipy.ndimage import gaussian_filter

from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.images import cube_store
from skyloom.images.cubes import Cube

MEASURED = ("x", "y", "z", "line_fwhm", "flux", "continuum", "fwhm_major", "fwhm_minor", "pa")
COLUMNS = {
    "cube",
    "score",
    "snr",
    "x0",
    "x1",
    "y0",
    "y1",
    "z0",
    "z1",
    *MEASURED,
    *(f"{name}_error" for name in MEASURED),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return networks(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Six cubes of two plain sources each, and the truth."""
    return simulate(tmp_path_factory.mktemp("shard"), test=6, sky=PLAIN)


@pytest.fixture(scope="module")
def found(tmp_path_factory, models, shard):
    path = tmp_path_factory.mktemp("found") / "found.ecsv"
    return detect(models, shard[0], path), path


def test_the_table_has_all_columns_and_units(found):
    table, _ = found
    assert set(table.colnames) >= COLUMNS
    units = units_of(table)
    assert {units[name] for name in ("x", "y", "x_error", "fwhm_major", "fwhm_minor_error")} == {"pix"}
    assert units["flux"] == units["flux_error"] == units["continuum"] == "Jy" and units["pa"] == "deg"
    assert table.meta["cubes"] == 6 and table.meta["beam_fwhm"] == pytest.approx(8.24, rel=0.02)
    for name in MEASURED:
        assert np.all(table[f"{name}_error"] > 0), name
    assert np.all((table["score"] > 0) & (table["score"] <= 1)) and table["snr"].min() >= 4


def test_the_brightest_source_of_every_cube_is_found_and_measured(found, shard):
    table, truth = found[0], read_table(shard[1])
    for number in range(6):
        rows = truth[truth["cube"] == number]
        row = rows[np.argmax(rows["flux"])]
        some = table[table["cube"] == number]
        assert len(some) in (1, 2)
        one = some[np.argmin(np.hypot(some["x"] - row["x"], some["y"] - row["y"]))]
        assert np.hypot(one["x"] - row["x"], one["y"] - row["y"]) < 0.7
        assert one["z"] == pytest.approx(row["z"], abs=0.3)
        assert one["line_fwhm"] == pytest.approx(row["line_fwhm"], rel=0.15)
        # The stand-in takes every source for one of 5 pixels, so that a flux is right within what 2 to 8 pixels change.
        assert 0.6 < one["flux"] / row["flux"] < 1.4
        assert one["continuum"] == pytest.approx(row["continuum"], rel=0.5)
        assert one["snr"] == pytest.approx(row["snr"], rel=0.3)
        assert (one["z0"] <= row["z"] < one["z1"]) and (one["x0"] <= row["x"] < one["x1"])


def test_the_truth_is_not_read(tmp_path, models, found, shard):
    (tmp_path / "alone.h5").write_bytes(shard[0].read_bytes())
    detect(models, tmp_path / "alone.h5", tmp_path / "found.ecsv")
    assert (tmp_path / "found.ecsv").read_bytes() == found[1].read_bytes()
    with h5py.File(shard[0]) as file:
        assert set(file) == {"cubes", "rms", "frequency", "dirty_beam"}
        assert set(file.attrs) == {"beam", "case", "seed", "split", "version", "config_hash"}
        assert not any(len(cube.attrs) for cube in file["cubes"].values())


def test_a_cube_s_sources_do_not_depend_on_its_shard(tmp_path, models, found):
    cubes, _ = simulate(tmp_path, shard=1, shards=3, test=6, sky=PLAIN)
    table = detect(models, cubes, tmp_path / "found.ecsv")
    whole = found[0][np.isin(found[0]["cube"], [1, 4])]
    assert len(table) and [dict(row) for row in table] == [dict(row) for row in whole]


def test_what_is_too_faint_is_dropped(tmp_path, models, shard, found):
    most = float(np.median(found[0]["snr"]))
    table = detect(models, shard[0], tmp_path / "found.ecsv", focused_snr=most)
    assert 0 < len(table) < len(found[0]) and table["snr"].min() >= most


def test_boxes_instead_of_deblending_give_the_same_places(tmp_path, models, shard, found):
    table = detect(models, shard[0], tmp_path / "found.ecsv", deblend=False)
    first, whole = table[table["cube"] == 0], found[0][found[0]["cube"] == 0]
    assert np.hypot(first["x"][0] - whole["x"], first["y"][0] - whole["y"]).min() < 0.5


def test_no_source_gives_an_empty_table(tmp_path, models, shard):
    table = detect(models, shard[0], tmp_path / "found.ecsv", map_threshold=1)
    assert len(table) == 0 and set(table.colnames) >= COLUMNS and table.meta["cubes"] == 6


def test_a_source_in_a_corner_is_found(tmp_path, models):
    """Where regions and images of single sources end with the cube."""
    random, y, x = np.random.default_rng(1), *np.mgrid[-96:96, -96:96]
    beam = np.exp(-4 * np.log(2) * (x**2 + y**2) / BEAM**2)
    line = np.exp(-4 * np.log(2) * ((np.arange(32) - 16) / 4) ** 2)
    places = [(row, column) for row in (2, 93) for column in (2, 93)]

    def cubes():
        for number, (row, column) in enumerate(places):
            image = beam[96 - row : 192 - row, 96 - column : 192 - column]
            noise = gaussian_filter(random.standard_normal((32, 96, 96)), (0, 3.5, 3.5))
            data = 0.02 * (0.3 + line[:, None, None]) * image + 2e-4 * noise / noise.std()
            rms, frequency = np.full(32, 2e-4), 230e9 + 1e7 * np.arange(32)
            yield number, Cube(data.astype(np.float32), rms, (BEAM, BEAM, 0.0), frequency, beam.astype(np.float32))

    cube_store.write(tmp_path / "corners.h5", cubes(), {})
    table = detect(models, tmp_path / "corners.h5", tmp_path / "found.ecsv")
    assert table["cube"].tolist() == [0, 1, 2, 3]
    for row, (y, x) in zip(table, places, strict=True):
        assert np.hypot(row["x"] - x, row["y"] - y) < 1.5 and row["z"] == pytest.approx(16, abs=0.3)


@pytest.fixture(scope="module")
def bad(tmp_path_factory, shard):
    """A folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "page.h5").write_text("<html>")
    (folder / "short.h5").write_bytes(shard[0].read_bytes()[:100_000])
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = [1.0]
    (folder / "broken.keras").write_text("no network")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda bad, models: {"observations": bad / "no.h5"},
            "no.h5: no such file; it should be a shard of simulated cubes",
        ),
        (
            lambda bad, models: {"observations": bad / "page.h5"},
            "page.h5: cannot be read as a shard of simulated cubes",
        ),
        (
            lambda bad, models: {"observations": bad / "short.h5"},
            "short.h5: cannot be read as a shard of simulated cubes",
        ),
        (
            lambda bad, models: {"observations": bad / "other.h5"},
            "other.h5: cannot be read as a shard of simulated cubes",
        ),
        (lambda *_: {"settings": '{"map_threshold": 0.'}, "--settings: not valid JSON"),
        (lambda *_: {"settings": {"map_treshold": 0.2}}, "did you mean `map_threshold`"),
        (lambda *_: {"settings": {"map_threshold": 2}}, "`map_threshold` is 2, but should be a number, 0 to 1"),
        (lambda bad, models: {"models": ["map=no.keras", *models[1:]]}, "no.keras: no such file"),
        (lambda bad, models: {"models": [f"map={bad}/broken.keras", *models[1:]]}, "cannot be read as a Keras network"),
        (lambda bad, models: {"models": models[1:]}, "no network has the role `map`; add map=FILE"),
        (lambda bad, models: {"models": [models[0], *models[2:]]}, "no network has the role `lines`"),
        (lambda bad, models: {"models": [models[0].partition("=")[2]]}, "should be ROLE=FILE"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, models, shard, bad, change, message):
    options = {"case": CASE, "settings": SEARCH, "models": models, "observations": shard[0]} | change(bad, models)
    with pytest.raises(UserError, match=message):
        step("detect_simulated", output=tmp_path / "found.ecsv", **options)
    assert list(tmp_path.iterdir()) == []
