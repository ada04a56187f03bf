import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from cube_fixtures import CASE, LONELY, OBSERVATION, ROOT, SEED, SIMULATE, simulate, step, units_of

from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.images import cube_store

STEPS = (
    *("simulate", "make_examples", "detect_simulated", "calibrate_detections", "score_detections", "search"),
    "simulate_cube_archive",
)
HEAVY = {"numpy", "scipy", "astropy", "h5py", "pydantic", "sklearn", "keras", "tensorflow"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("whole"), test=3)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory):
    cubes, truth = simulate(tmp_path_factory.mktemp("lonely"), test=6, sky=LONELY)
    return dict(cube_store.read(cubes)), read_table(truth)


def test_cubes_and_truth_say_what_they_are(whole):
    cubes, truth = whole
    with h5py.File(cubes) as file:
        attrs = dict(file.attrs)
        assert set(file) == {"cubes", "rms", "frequency", "dirty_beam"}
    assert (attrs["case"], attrs["seed"], attrs["split"]) == (CASE, SEED, "test")
    assert len(attrs["config_hash"]) == 12 and attrs["version"]
    read = dict(cube_store.read(cubes))
    assert list(read) == [0, 1, 2] and read[0].data.shape == (64, 96, 96)
    assert read[0].frequency[[0, -1]] / 1e9 == pytest.approx([230 - 0.315, 230 + 0.315])
    assert max(read[0].beam[:2]) < 10 and read[0].dirty_beam.max() == pytest.approx(1)
    table = read_table(truth)
    sizes = dict.fromkeys(("x", "y", "fwhm_major", "fwhm_minor"), "pix") | {"pa": "deg", "peak": "Jy / beam"}
    assert units_of(table) == sizes | {"flux": "Jy", "continuum": "Jy", "line_flux": "Jy km / s"}
    assert {"z", "line_fwhm", "snr", "x0", "x1", "y0", "y1", "z0", "z1"} <= set(table.colnames)
    assert all(3 <= np.sum(table["cube"] == number) <= 6 for number in read)
    for axis in "xy":
        assert np.all((table[f"{axis}0"] <= table[axis]) & (table[axis] < table[f"{axis}1"]))
    assert np.all((table["z0"] >= 0) & (table["z0"] < table["z1"]) & (table["z1"] <= 64))


def test_a_source_is_where_and_as_bright_as_the_truth_says(lonely):
    cubes, truth = lonely
    assert len(truth) == len(cubes) == 6
    for row in truth:
        cube = cubes[row["cube"]]
        line = np.abs(np.arange(64) - row["z"]) <= row["line_fwhm"]
        image = cube.data[line].mean(axis=0)
        at = np.unravel_index(np.argmax(image), image.shape)
        assert np.hypot(at[1] - row["x"], at[0] - row["y"]) < 1.5
        assert image[at] == pytest.approx(row["peak"], rel=0.05)
        beside = np.abs(np.arange(64) - row["z"]) > 2 * row["line_fwhm"]
        assert cube.data[beside, at[0], at[1]].mean() < 0.7 * image[at]
        # A Gaussian source seen with a Gaussian beam; the dirty beam is nearly one.
        beam = np.sqrt(cube.beam[0] * cube.beam[1])
        share = beam**2 / np.sqrt((beam**2 + row["fwhm_major"] ** 2) * (beam**2 + row["fwhm_minor"] ** 2))
        assert row["peak"] == pytest.approx(row["flux"] * share, rel=0.1)


def test_the_noise_is_what_the_file_says(lonely):
    cube, row = lonely[0][0], lonely[1][0]
    beside = np.flatnonzero(np.abs(np.arange(64) - row["z"]) > 3 * row["line_fwhm"])
    pairs = beside[np.flatnonzero(np.diff(beside) == 1)]
    # Between neighbouring channels the continuum and its sidelobes cancel.
    noise = np.std(cube.data[pairs + 1] - cube.data[pairs]) / np.sqrt(2)
    assert noise == pytest.approx(cube.rms[0], rel=0.05)


def test_shards_hold_what_one_job_would(tmp_path, whole):
    parts = [simulate(tmp_path, shard=shard, shards=2, test=3) for shard in range(2)]
    together = {number: cube.data for cubes, _ in parts for number, cube in cube_store.read(cubes)}
    assert [list(dict(cube_store.read(cubes))) for cubes, _ in parts] == [[0, 2], [1]]
    for number, cube in cube_store.read(whole[0]):
        assert np.array_equal(cube.data, together[number])
    rows = sorted(str(dict(row)) for _, truth in parts for row in read_table(truth))
    assert rows == sorted(str(dict(row)) for row in read_table(whole[1]))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_or_split_another_sky(tmp_path, whole):
    made = {}
    for name, changes in {"same": {}, "seed": {"seed": SEED + 1}, "split": {"split": "train", "train": 3}}.items():
        (tmp_path / name).mkdir()
        made[name] = simulate(tmp_path / name, test=3, **changes)
    assert [path.read_bytes() for path in made["same"]] == [path.read_bytes() for path in whole]
    skies = [read_table(truth)["x"][0] for _, truth in (whole, made["seed"], made["split"])]
    assert len(set(skies)) == 3


def test_more_cubes_do_not_change_the_first(tmp_path, whole):
    first, again = next(cube_store.read(simulate(tmp_path, test=1)[0])), next(cube_store.read(whole[0]))
    assert np.array_equal(first[1].data, again[1].data)


def test_a_source_without_a_line_has_none_in_the_truth(tmp_path):
    table = read_table(simulate(tmp_path, test=1, sky={"continuum_only": 1})[1])
    for name in ("z", "line_fwhm"):
        assert not np.isfinite(np.ma.filled(table[name], np.nan)).any()
    assert set(table["z0"]) == {0} and set(table["z1"]) == {64}
    assert np.all(table["line_flux"] == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": 1}, "--shard 1: should be from 0 to 0"),
        ({"shard": -1}, "--shard -1: should be from 0 to 0"),
        ({"shards": 3, "shard": 2}, "2 observations are fewer than the 3 shards; lower `simulate.shards`"),
        ({"shard": 0, "shardz": 2}, "did you mean `shards`"),
        ({"observation": {"side": 100}}, "`observation.side` is 100, but should be .* a multiple of 32"),
        ({"sky": {"fewest": 7}}, "swap them"),
        ({"sky": {"size": [8, 2]}}, "sky.size.*the smaller first"),
        ({"sky": {"brightness": [5, 0.5]}}, "sky.brightness.*the smaller first"),
        ({"sky": {"spectral_index": [2, -2]}}, "sky.spectral_index.*the smaller first"),
        ({"observation": OBSERVATION | {"channels": 16}}, "margin"),
        ({"observation": OBSERVATION | {"configuration": 8}}, "configuration 8 has a beam"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        simulate(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_broken_settings_are_told(tmp_path):
    options = {"split": "test", "shard": 0, "output": tmp_path / "a.h5", "truth": tmp_path / "a.ecsv"}
    with pytest.raises(UserError, match="--settings: not valid JSON"):
        step("simulate", case=CASE, settings='{"shards": ', **options)
    with pytest.raises(UserError, match="there is no case `alma_cube`"):
        step("simulate", case="alma_cube", settings=SIMULATE, **options)
    with pytest.raises(UserError, match="simulate"):
        step("simulate", case="disk_winds", settings=SIMULATE, **options)


def test_a_missing_folder_of_antennas_is_one_sentence_at_the_command_line(tmp_path):
    words = ["--case", CASE, "--split", "test", "--shard", "0", "--instruments", str(tmp_path / "none")]
    words += ["--output", str(tmp_path / "a.h5"), "--truth", str(tmp_path / "a.ecsv")]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/simulate.py", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1 and "no such antenna table" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", STEPS)
def test_help_comes_at_once(name):
    started = time.monotonic()
    words = [sys.executable, "-X", "importtime", ROOT / f"scripts/{name}.py", "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "--case" in done.stdout
    assert time.monotonic() - started < 10  # alone it takes 0.1 s
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported and not imported & HEAVY
