import json

import numpy as np
import pytest
from learn_fixtures import CASE, toy_model_files, toy_samples

from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.images.store import Cutouts, no_cutouts, write_cutouts

MODEL = json.dumps({"network": "thesis_cnn", "threads": 1})


def toy_cutouts(count: int) -> tuple[Cutouts, np.ndarray]:
    samples = toy_samples(count, 9)
    snr = 3 * np.sinh(samples.x)
    text, beam = np.full(count, "header"), np.ones((count, 3), np.float32)
    rms = np.full(count, 2e-5, np.float32)
    views = (snr[..., 0] * 2e-5, snr[..., 1], snr[..., 2])
    return Cutouts(samples.id, *views, rms, *[text] * 3, *[beam] * 3), samples.y


def infer(made: dict, cutouts, output, models=None):
    import infer

    infer.main(
        [
            *("--case", CASE, "--settings", MODEL, "--calibration", str(made["calibration"])),
            *("--cutouts", str(cutouts), "--output", str(output), "--models", *map(str, models or made["models"])),
        ]
    )
    return read_table(output)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toy_model_files(tmp_path_factory.mktemp("one"))


def test_objects_get_a_probability_and_a_model(tmp_path, made):
    cutouts, label = toy_cutouts(30)
    write_cutouts(tmp_path / "c.h5", cutouts, {})
    rows = infer(made, tmp_path / "c.h5", tmp_path / "p.ecsv")
    calibration = json.loads(made["calibration"].read_text())
    assert rows.colnames == ["object_id", "probability", "spread", "logit", "candidate", "model"]
    assert rows["object_id"].tolist() == cutouts.id.tolist()
    assert set(rows["model"]) == {calibration["identity"]}
    assert rows["spread"].mask.all()
    assert rows["probability"].description == "Calibrated probability of the positive class"
    assert rows["candidate"].dtype == bool
    assert np.array_equal(rows["candidate"], rows["probability"] >= calibration["threshold"])
    assert rows["probability"][label == 1].mean() > rows["probability"][label == 0].mean() + 0.2


def test_an_object_s_probability_does_not_depend_on_its_chunk(tmp_path, made):
    cutouts, _ = toy_cutouts(20)
    write_cutouts(tmp_path / "all.h5", cutouts, {})
    write_cutouts(tmp_path / "some.h5", cutouts.take(np.arange(7, 12)), {})
    whole = infer(made, tmp_path / "all.h5", tmp_path / "all.ecsv")
    part = infer(made, tmp_path / "some.h5", tmp_path / "some.ecsv")
    assert part["probability"].tolist() == whole["probability"][7:12].tolist()


def test_a_chunk_without_objects_gives_an_empty_table(tmp_path, made):
    write_cutouts(tmp_path / "c.h5", no_cutouts(32), {})
    rows = infer(made, tmp_path / "c.h5", tmp_path / "p.ecsv")
    assert len(rows) == 0
    assert "probability" in rows.colnames


def test_what_was_not_observed_is_no_nan(tmp_path, made):
    cutouts, _ = toy_cutouts(4)
    cutouts.native[:, :8] = np.nan
    cutouts.scaled[:, :8] = np.nan
    write_cutouts(tmp_path / "c.h5", cutouts, {})
    assert np.isfinite(infer(made, tmp_path / "c.h5", tmp_path / "p.ecsv")["probability"]).all()


def test_an_ensemble_gives_a_spread(tmp_path):
    both = toy_model_files(tmp_path, members=2)
    cutouts, _ = toy_cutouts(6)
    write_cutouts(tmp_path / "c.h5", cutouts, {})
    rows = infer(both, tmp_path / "c.h5", tmp_path / "p.ecsv")
    assert (rows["spread"] > 0).all()
    with pytest.raises(UserError, match="other weights"):
        infer(both, tmp_path / "c.h5", tmp_path / "p.ecsv", models=both["models"][::-1])


def test_mistakes_are_said(tmp_path, made):
    (tmp_path / "c.h5").write_text("<html>")
    with pytest.raises(UserError, match=r"c\.h5: cannot be read as cutouts"):
        infer(made, tmp_path / "c.h5", tmp_path / "p.ecsv")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(UserError, match=r"c\.json: not valid JSON"):
        infer({**made, "calibration": tmp_path / "c.json"}, tmp_path / "c.h5", tmp_path / "p.ecsv")
