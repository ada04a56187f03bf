import json
import subprocess
import sys
from pathlib import Path

import pytest
from learn_fixtures import CASE, SETTINGS, toy_dataset, toy_model_files, toy_samples

from skyloom.errors import UserError
from skyloom.learn.datasets import SPLITS, write_dataset

ROOT = Path(__file__).parents[2]


def calibrate(models, dataset, output, settings=SETTINGS):
    import calibrate

    common = ["--case", CASE, "--settings", settings, "--dataset", str(dataset), "--output", str(output)]
    calibrate.main([*common, "--models", *map(str, models)])
    return json.loads(Path(output).read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toy_model_files(tmp_path_factory.mktemp("one"))


def test_what_a_calibration_says(made):
    said = json.loads(made["calibration"].read_text())
    assert said["model"] == "toy"
    assert said["identity"] == f"toy-{said['weights_sha256'][0][:12]}"
    assert said["temperature"] > 0
    assert 0.5 <= said["threshold"] < 1
    known = said["validation"]
    assert (known["samples"], known["positives"]) == (45, 15)
    assert known["calibration_error"] < 0.2
    assert sum(row["count"] for row in known["reliability"]) == 45
    if said["reached"]:
        assert known["purity"]["value"] >= 0.95
    assert known["purity"]["low"] <= known["purity"]["value"] <= known["purity"]["high"]


def test_a_second_time_gives_the_same_bytes(tmp_path, made):
    calibrate(made["models"], made["dataset"], tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == made["calibration"].read_bytes()


def test_a_higher_purity_has_a_higher_threshold(tmp_path, made):
    low, high = (
        calibrate(made["models"], made["dataset"], tmp_path / "c.json", json.dumps({"threads": 1, "purity": purity}))
        for purity in (0.6, 0.98)
    )
    assert low["threshold"] <= high["threshold"]
    assert low["validation"]["completeness"]["value"] >= high["validation"]["completeness"]["value"]


def test_an_ensemble_is_another_identity(tmp_path, made):
    both = toy_model_files(tmp_path, members=2)
    said, one = (json.loads(files["calibration"].read_text()) for files in (both, made))
    assert len(said["weights_sha256"]) == 2
    assert said["weights_sha256"][0] == one["weights_sha256"][0]
    assert said["identity"] != one["identity"]


def test_one_class_cannot_calibrate(tmp_path, made):
    samples = toy_samples(6, 1)
    samples.y[:] = 1
    write_dataset(tmp_path / "d.h5", dict.fromkeys(SPLITS, samples), {})
    with pytest.raises(UserError, match=r"d\.h5: the validation set has one class only"):
        calibrate(made["models"], tmp_path / "d.h5", tmp_path / "c.json")


def test_cutouts_of_another_size_are_refused(tmp_path, made):
    with pytest.raises(UserError, match="32x32x3.*40x40x3"):
        calibrate(made["models"], toy_dataset(tmp_path / "d.h5", (6, 6, 6), side=40), tmp_path / "c.json")


def test_a_broken_network_is_said_without_a_traceback(tmp_path, made):
    broken = tmp_path / "toy_0.keras"
    broken.write_text("<html>")
    arguments = ["--models", broken, "--dataset", made["dataset"], "--output", tmp_path / "c.json"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/calibrate.py", "--case", CASE, "--settings", SETTINGS, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {broken}: cannot be read as a Keras network")
    assert not (tmp_path / "c.json").exists()
