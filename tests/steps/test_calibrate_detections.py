import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cube_fixtures import CASE, ERRORS, ROOT, SEARCH, calibrate, detections_of, truth_of, write_pair

from skyloom.errors import UserError
from skyloom.files import read_table, write_table
from skyloom.learn.detection_calibration import apply


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files in the place of networks; the step reads nothing but their hash."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("map", "lines", "flux"):
        (folder / f"{name}.keras").write_text(name)
    return [f"{name}={folder / name}.keras" for name in ("map", "lines", "flux")]


@pytest.fixture(scope="module")
def made(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("made")
    truth, detections = write_pair(folder, "validation", count=400, false=80)
    return calibrate(folder, models, [truth], [detections]), truth, detections


def test_errors_that_were_told_too_small_are_stretched(made):
    factors = json.loads(made[0].read_text())["errors"]
    assert set(factors) == set(ERRORS)
    for name, given in factors.items():
        assert np.mean(given["factor"]) == pytest.approx(2, rel=0.2), name
        assert len(given["snr"]) == len(given["factor"]) and sorted(given["snr"]) == given["snr"]


@pytest.mark.parametrize("told", [0.25, 3.0])
def test_calibrated_errors_hold_for_other_sources(tmp_path, models, told):
    calibration = calibrate(tmp_path, models, *([path] for path in write_pair(tmp_path, "v", 400, told=told)))
    truth = truth_of(300, 11)
    found = apply(json.loads(calibration.read_text()), detections_of(truth, 12, false=0, missed=0, told=told))
    for name in ("x", "flux", "pa"):
        held = np.mean(np.abs(found[name] - truth[name]) <= found[f"{name}_error"])
        assert held == pytest.approx(0.683, abs=0.09), name


def test_the_threshold_gives_the_purity_that_was_asked_for(made):
    calibration = json.loads(made[0].read_text())
    truth = truth_of(400, 21)
    detections = detections_of(truth, 22, false=80)
    found = apply(calibration, detections)
    true = np.arange(len(found)) < 396
    assert found["probability"][true].mean() > found["probability"][~true].mean() + 0.4
    kept = np.asarray(found["candidate"])
    assert true[kept].mean() > 0.95
    assert kept[true].mean() > 0.5
    reached = calibration["reached"]
    assert reached["reached"] and reached["purity_bound"] >= calibration["wanted_purity"] == 0.97
    assert reached["purity"]["low"] <= reached["purity"]["value"] <= reached["purity"]["high"]
    # A probability is what it says: of those around one half, half are real.
    assert np.sum(found["probability"]) == pytest.approx(true.sum(), rel=0.05)


def test_less_purity_keeps_more(tmp_path, models, made):
    lax = json.loads(calibrate(tmp_path, models, [made[1]], [made[2]], purity=0.9).read_text())
    strict = json.loads(made[0].read_text())
    assert lax["threshold"] < strict["threshold"]
    assert lax["reached"]["detections"] > strict["reached"]["detections"]


def test_it_names_its_networks(tmp_path, models, made):
    calibration = json.loads(made[0].read_text())
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("map", "lines", "flux")}
    assert calibration["models_sha256"] == hashes
    assert calibration["identity"].startswith(f"{CASE}-chain:")
    again = calibrate(tmp_path, models[::-1], [made[1]], [made[2]])
    assert again.read_bytes() == made[0].read_bytes()
    (tmp_path / "flux.keras").write_text("another network")
    other = calibrate(tmp_path, [*models[:2], f"flux={tmp_path}/flux.keras"], [made[1]], [made[2]])
    assert json.loads(other.read_text())["identity"] != calibration["identity"]


def test_shards_count_as_one(tmp_path, models, made):
    parts = []
    for number, path in enumerate(made[1:]):
        table = read_table(path)
        for half, rows in enumerate((table["cube"] < 5, table["cube"] >= 5)):
            parts.append(tmp_path / f"{number}_{half}.ecsv")
            write_table(parts[-1], table[rows])
    together = json.loads(calibrate(tmp_path, models, parts[:2], parts[2:]).read_text())
    whole = json.loads(made[0].read_text())
    assert together["threshold"] == pytest.approx(whole["threshold"], abs=1e-6)
    assert together["reached"]["detections"] == whole["reached"]["detections"]


def test_without_a_false_detection_all_are_kept(tmp_path, models):
    paths = write_pair(tmp_path, "v", 200, false=0)
    calibration = json.loads(calibrate(tmp_path, models, *([path] for path in paths)).read_text())
    assert np.all(apply(calibration, read_table(paths[1]))["candidate"])


def test_a_purity_that_is_not_certain_is_said(tmp_path, models, capsys):
    calibrate(tmp_path, models, *([path] for path in write_pair(tmp_path, "v", 8, false=2, missed=1)))
    assert "a purity of 0.97 is not certain with so few" in capsys.readouterr().out


@pytest.fixture(scope="module")
def bad(tmp_path_factory, made):
    """A folder of detections of which none is true, none at all, and what is no table of detections."""
    folder = tmp_path_factory.mktemp("bad")
    detections, truth = read_table(made[2]), read_table(made[1])
    write_table(folder / "empty.ecsv", detections[:0])
    write_table(folder / "no_truth.ecsv", truth[:0])
    detections["x"] += 500
    write_table(folder / "wrong.ecsv", detections)
    detections.remove_column("snr")
    write_table(folder / "short.ecsv", detections)
    (folder / "page.ecsv").write_text("<html>")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bad: {"detections": [bad / "no.ecsv"]}, "no.ecsv: no such file; it should be detections"),
        (lambda bad: {"detections": [bad / "page.ecsv"]}, "page.ecsv: cannot be read as detections"),
        (lambda bad: {"detections": [bad / "short.ecsv"]}, "short.ecsv: has no column `snr`"),
        (lambda bad: {"truths": [bad / "no.ecsv"]}, "no.ecsv: no such file; it should be truth"),
        (lambda bad: {"detections": [bad / "empty.ecsv"]}, "no source of the validation cubes was found"),
        (lambda bad: {"detections": [bad / "wrong.ecsv"]}, "no source of the validation cubes was found"),
        (lambda bad: {"truths": [bad / "no_truth.ecsv"]}, "no source of the validation cubes was found"),
        (lambda bad: {"models": [f"map={bad}/no.keras"]}, "no.keras: no such file"),
        (lambda bad: {"purity": 1.5}, "`purity` is 1.5, but should be a number, above 0, below 1"),
        (lambda bad: {"purty": 0.5}, "did you mean `purity`"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_no_file(tmp_path, models, made, bad, change, message):
    options = {"models": models, "truths": [made[1]], "detections": [made[2]]} | change(bad)
    with pytest.raises(UserError, match=message):
        calibrate(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_nothing_found_is_one_sentence_at_the_command_line(tmp_path, models, made, bad):
    words = ["--case", CASE, "--settings", json.dumps(SEARCH), "--detections", bad / "empty.ecsv", "--truths", made[1]]
    words += ["--models", *models, "--output", tmp_path / "calibration.json"]
    script = Path(ROOT) / "scripts/calibrate_detections.py"
    done = subprocess.run([sys.executable, script, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 1
    said = "error: no source of the validation cubes was found; train longer, or lower `search.map_threshold`.\n"
    assert done.stderr == said
