import hashlib
import io
import subprocess
import sys
import tarfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS, FITSFixedWarning

from simulate_archive import main
from skyloom.errors import UserError
from skyloom.instruments import survey

ROOT = Path(__file__).parents[2]
COPIES = 2  # fields 3 and 43
SETTINGS = '{"fields": 50, "largest_image": 200}'


def simulate(folder, shard=0, shards=1, settings=SETTINGS, seed=42, case="disk_winds"):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{shard}.{suffix}" for suffix in ("tar", "obscore.ecsv", "truth.ecsv")]
    options = ("--products", "--obscore", "--truth")
    main(
        ["--case", case, "--settings", settings, "--seed", str(seed), "--shard", str(shard), "--shards", str(shards)]
        + ["--arrays", str(ROOT / "resources/arrays")]
        + [str(word) for pair in zip(options, paths, strict=True) for word in pair]
    )
    return paths


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    products, obscore, truth = simulate(tmp_path_factory.mktemp("archive") / "whole")
    return members(products), Table.read(obscore), Table.read(truth)


def test_help_is_quick():
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/simulate_archive.py"), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "--obscore" in done.stdout
    assert time.monotonic() - start < 10


def test_every_truth_row_has_its_image_and_every_image_its_archive_rows(archive):
    files, obscore, truth = archive
    images = {name for name in files if "_sci" in name and name.endswith(".cont.I.pbcor.fits")}
    assert images == set(truth["filename"])
    stems = {"member." + mous.replace("://", "___").replace("/", "_") for mous in obscore["obs_id"]}
    assert {name[: name.index(".SIM_")] for name in files} == stems
    assert np.all(np.unique(obscore["obs_id"], return_counts=True)[1] == 4)
    assert len(set(truth["field"])) == 50


def test_every_filter_of_the_archive_has_what_was_meant_to_be_removed(archive):
    files, obscore, _ = archive
    from skyloom.cases.disk_winds import KEYWORDS

    field = np.array([int(name[-4:]) for name in obscore["target_name"]])
    special = field % survey.PERIOD
    wanted = [any(key.lower() in text.lower() for key in KEYWORDS) for text in obscore["science_keyword"]]
    assert np.array_equal(~np.array(wanted), special == survey.OTHER_KEYWORD)
    assert np.array_equal(obscore["obs_release_date"] < "2016", special == survey.EARLY)
    assert np.array_equal(obscore["spatial_resolution"] > 0.4, special == survey.COARSE)
    assert np.array_equal(obscore["data_rights"] == "Proprietary", special == survey.PROPRIETARY)
    others = [name for name in files if not ("_sci" in name and ".cont" in name and ".pbcor" in name)]
    assert len(others) == 2 * (len(set(obscore["obs_id"])) - COPIES) == 110
    assert len({text for text in obscore["science_keyword"] if text.islower()}) > 0


def test_some_targets_were_observed_twice_and_some_images_have_two_names(archive):
    files, obscore, truth = archive
    digests = {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name in set(truth["filename"])
    }
    assert (
        len(digests) - len(set(digests.values())) == len({one for one in obscore["obs_id"] if "/Xe" in one}) == COPIES
    )
    mous = {name: len(set(obscore["obs_id"][obscore["target_name"] == name])) for name in obscore["target_name"]}
    assert mous["SIM_0005"] == 2 and mous["SIM_0003"] == 2 and mous["SIM_0000"] == 1
    groups = {name: len(set(truth["labelled"][truth["target_name"] == name])) for name in truth["target_name"]}
    assert set(groups.values()) == {1}
    assert 0.6 < np.mean([truth["labelled"][truth["field"] == k][0] for k in range(50)]) < 0.95


def test_bright_objects_are_where_the_truth_says_and_as_bright(archive):
    files, _, truth = archive
    checked = 0
    for row in truth[(truth["object"] == 0) & (truth["peak_snr"] > 60)]:
        if row["kind"] not in ("smooth_disc", "calibrator", "jet_knots"):
            continue
        (hdu,) = fits.open(io.BytesIO(files[row["filename"]]))
        assert hdu.data.shape[:2] == (1, 1) and hdu.data.dtype == ">f4" and hdu.header["BUNIT"] == "Jy/beam"
        image, header = hdu.data[0, 0], hdu.header
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            x, y = (float(value) for value in WCS(header).celestial.world_to_pixel_values(row["ra"], row["dec"]))
        beam = header["BMAJ"] / header["CDELT2"]
        box = image[int(y - beam) : int(y + beam) + 2, int(x - beam) : int(x + beam) + 2]
        top = np.unravel_index(np.nanargmax(box), box.shape)
        assert np.hypot(top[1] + int(x - beam) - x, top[0] + int(y - beam) - y) < 0.5 * beam
        assert np.nanmax(box) / row["rms"] == pytest.approx(row["peak_snr"], rel=0.25)
        checked += 1
    assert checked > 4


def test_positives_are_winds_and_stand_out_of_the_noise(archive):
    _, _, truth = archive
    assert np.array_equal(truth["is_wind"], truth["kind"] == "disc_wind")
    first = truth[truth["object"] == 0]
    assert 0.33 < np.mean(first["is_wind"]) < 0.43
    assert truth["wind_snr"][truth["is_wind"]].min() > 12 and truth["wind_snr"][~truth["is_wind"]].max() == 0
    assert len(set(truth["kind"])) >= 9


def test_shards_hold_what_one_job_would(tmp_path, archive):
    files, _, truth = archive
    parts = [simulate(tmp_path / "parts", shard, 3) for shard in range(3)]
    together = {}
    for products, _, _ in parts:
        together.update(members(products))
    assert together == files
    rows = sorted(str(dict(row)) for _, _, path in parts for row in Table.read(path))
    assert rows == sorted(str(dict(row)) for row in truth)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_sky(tmp_path):
    small = '{"fields": 4, "largest_image": 160}'
    first, again, other = (
        simulate(tmp_path / name, settings=small, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert first[0].read_bytes() != other[0].read_bytes()


def test_weights_of_kinds_can_be_changed(tmp_path):
    import json

    from skyloom.cases.disk_winds import KINDS

    settings = json.dumps({"fields": 3, "largest_image": 120, "kinds": {**dict.fromkeys(KINDS, 0), "calibrator": 1}})
    _, _, truth = simulate(tmp_path / "kinds", settings=settings)
    assert set(Table.read(truth)["field_kind"]) == {"calibrator"}


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ('{"fields": 4, "kinds": {"planet": 1}}', {}, "embedded.kinds: there is no kind `planet`"),
        ('{"fields": 4, "smallest_image": 400, "largest_image": 100}', {}, "smallest_image"),
        ('{"fields": 2}', {"shards": 3}, "less than the 3 shards"),
        ('{"fields": 9}', {"shard": 3, "shards": 3}, "--shard 3: should be from 0 to 2"),
        ('{"fields": 4, "fieldz": 4}', {}, "fieldz"),
        ('{"fields": 4}', {"case": "nothing"}, "nothing"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, settings, options, message):
    with pytest.raises(UserError, match=message):
        simulate(tmp_path / "bad", settings=settings, **options)
    assert list((tmp_path / "bad").iterdir()) == []


def test_a_missing_folder_of_antennas_is_told(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "scripts/simulate_archive.py"),
            "--case",
            "disk_winds",
            "--settings",
            '{"fields": 1}',
        ]
        + ["--shard", "0", "--shards", "1", "--arrays", str(tmp_path / "none")]
        + ["--products", str(tmp_path / "a.tar"), "--obscore", str(tmp_path / "a.ecsv")]
        + ["--truth", str(tmp_path / "t.ecsv")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1 and "no such antenna table" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
