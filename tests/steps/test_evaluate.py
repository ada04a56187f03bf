import csv
import json
from pathlib import Path

import pytest
from astropy.table import Table
from learn_fixtures import CASE, SETTINGS, toy_model_files, toy_samples

from skyloom.errors import UserError
from skyloom.learn.datasets import SPLITS, write_dataset
from skyloom.learn.store import save_model


def evaluate(folder: Path, files: dict, **changes) -> dict:
    import evaluate

    given = {"models": files["models"], "calibration": files["calibration"], "dataset": files["dataset"], **changes}
    evaluate.main(
        [
            *("--case", CASE, "--settings", SETTINGS, "--model", "toy", "--models", *map(str, given["models"])),
            *("--calibration", str(given["calibration"]), "--dataset", str(given["dataset"])),
            *("--metrics", str(folder / "toy.json"), "--predictions", str(folder / "toy.csv")),
        ]
    )
    return json.loads((folder / "toy.json").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toy_model_files(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate(folder, made)
    return folder


def test_the_measures_agree_with_the_predictions(folder):
    said = json.loads((folder / "toy.json").read_text())
    rows = Table.read(folder / "toy.csv", format="ascii.csv")
    assert rows.colnames == ["object_id", "label", "probability", "logit", "spread", "candidate", "split"]
    assert (len(rows), sum(rows["label"])) == (said["samples"], said["positives"]) == (45, 15)
    assert set(rows["split"]) == {"test"}
    hits = sum((rows["label"] == 1) & (rows["candidate"] == 1))
    assert said["confusion"]["true_positive"] == hits
    assert said["values"]["completeness"]["value"] == pytest.approx(hits / 15)
    assert said["values"]["purity"]["value"] == pytest.approx(hits / sum(rows["candidate"]))
    assert all((row["probability"] >= said["threshold"]) == bool(row["candidate"]) for row in rows)
    assert rows["spread"].mask.all()


def test_the_toy_set_was_learnt(folder):
    values = json.loads((folder / "toy.json").read_text())["values"]
    assert values["roc_auc"]["value"] > 0.8
    for interval in values.values():
        assert interval["value"] is None or interval["low"] <= interval["value"] + 1e-9
    assert values["f1"]["low"] < values["f1"]["high"] or values["f1"]["value"] == 1


def test_a_second_time_gives_the_same_bytes(tmp_path, made, folder):
    evaluate(tmp_path, made)
    for name in ("toy.json", "toy.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_an_ensemble_has_a_spread(tmp_path):
    evaluate(tmp_path, toy_model_files(tmp_path, members=2))
    rows = Table.read(tmp_path / "toy.csv", format="ascii.csv")
    assert (rows["spread"] >= 0).all()
    assert rows["spread"].max() > 0


def test_other_weights_than_those_calibrated_are_refused(tmp_path, made):
    from skyloom.learn.store import load_model

    model = load_model(made["models"][0])
    model.set_weights([weight * 1.01 for weight in model.get_weights()])
    save_model(tmp_path / "toy_0.keras", model)
    with pytest.raises(UserError, match="other weights.*calibrate again"):
        evaluate(tmp_path, made, models=[tmp_path / "toy_0.keras"])


def test_one_class_cannot_be_measured(tmp_path, made):
    samples = toy_samples(6, 1)
    samples.y[:] = 0
    write_dataset(tmp_path / "d.h5", dict.fromkeys(SPLITS, samples), {})
    with pytest.raises(UserError, match="the test set has one class only"):
        evaluate(tmp_path, made, dataset=tmp_path / "d.h5")


def test_models_side_by_side(tmp_path, folder):
    import compare_models

    other = json.loads((folder / "toy.json").read_text()) | {"model": "other"}
    other["values"]["purity"] = {"value": None, "low": None, "high": None}
    (tmp_path / "other.json").write_text(json.dumps(other))
    outputs = {"--table": tmp_path / "scores.csv", "--text": tmp_path / "scores.md"}
    metrics = [str(folder / "toy.json"), str(tmp_path / "other.json")]
    compare_models.main(["--metrics", *metrics, *(str(part) for pair in outputs.items() for part in pair)])
    rows = {row["measure"]: row for row in csv.DictReader((tmp_path / "scores.csv").open())}
    assert rows["samples"]["toy"] == rows["samples"]["other"] == "45"
    assert rows["purity"]["other"] == ""
    assert float(rows["f1"]["toy_low"]) <= float(rows["f1"]["toy"]) <= float(rows["f1"]["toy_high"])
    text = (tmp_path / "scores.md").read_text()
    assert "| measure | `toy` | `other` |" in text
    assert "45 objects, 15 of them positive" in text
    assert "not defined" in text


def test_a_file_that_holds_no_metrics_is_said(tmp_path):
    import compare_models

    (tmp_path / "a.json").write_text("{}")
    outputs = ["--table", str(tmp_path / "s.csv"), "--text", str(tmp_path / "s.md")]
    with pytest.raises(UserError, match=r"a\.json: has no"):
        compare_models.main(["--metrics", str(tmp_path / "a.json"), *outputs])
