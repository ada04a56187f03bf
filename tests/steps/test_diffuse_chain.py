"""The steps of the case diffuse_radio one after the other, by their command lines, on small fields."""

import hashlib
import importlib
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from cube_fixtures import manifest_row, write_manifest

from skyloom.config.load import case_schema
from skyloom.files import read_json, read_table
from skyloom.images import field_store

CASE = "diffuse_radio"
# Massive clusters nearby, whose haloes even a network sees that has hardly been trained.
SIMULATE = {
    "shards": 1,
    "train": 8,
    "validation": 14,
    "test": 8,
    "other_surveys": 3,
    "train_side": 96,
    "sky": {"mass": [1e15, 1.6e15], "redshift": [0.1, 0.2], "members": 3, "galaxies": 1, "none": 0.4},
    "surveys": [{"side": 256, "hours": 2.0}],
    "unseen": [{"array": "vla_d", "frequency": 1500, "beam": 40, "pixel": 9, "rms": [3e-5, 8e-5], "side": 160}],
}
EXAMPLES = {"fields": 40, "tile": 96, "turns": 2}
MAP = {"network": "diffuse_net", "dataset": "tiles", "loss": "dice_cross_entropy", "epochs": 8, "batch_size": 4}
KIND = {"network": "field_net", "dataset": "fields", "loss": "cross_entropy", "epochs": 2}


def step(name: str, *words) -> None:
    importlib.import_module(name).main([str(word) for word in words])


def given(settings: dict, *more) -> list:
    return ["--case", CASE, "--settings", json.dumps(settings), *more]


def train(folder, name: str, settings: dict) -> None:
    words = ["--seed", 1, "--model", name, "--dataset", folder / f"{settings['dataset']}.h5"]
    words += ["--checkpoint", folder / f"{name}.checkpoint", "--output", folder / f"{name}.keras"]
    step("train", *given({**settings, "learning_rate": 4e-3}), *words, "--history", folder / f"{name}.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the paths of all that the chain makes."""
    folder = tmp_path_factory.mktemp("diffuse")
    paths = SimpleNamespace(folder=folder)
    for split in ("train", "validation", "test"):
        words = ["--seed", 2, "--split", split, "--shard", 0, "--output", folder / f"{split}.h5"]
        step("simulate", *given(SIMULATE), *words, "--truth", folder / f"{split}.truth.ecsv")
    parts = json.dumps({"simulate": SIMULATE, "examples": EXAMPLES, "search": {}})
    examples = ["--case", CASE, "--all-settings", parts, "--seed", 1]
    step("make_examples", *examples, "--dataset", "tiles", "--output", folder / "tiles.h5")
    train(folder, "diffuse", MAP)
    both = [[folder / f"{split}.{ending}" for split in ("train", "validation")] for ending in ("h5", "truth.ecsv")]
    words = ["--dataset", "fields", "--models", f"map={folder / 'diffuse.keras'}"]
    words += ["--observations", *both[0], "--truths", *both[1], "--output", folder / "fields.h5"]
    step("make_examples", *examples, *words)
    train(folder, "kind", KIND)
    paths.models = [f"map={folder / 'diffuse.keras'}", f"kind={folder / 'kind.keras'}"]
    for split in ("validation", "test"):
        words = ["--models", *paths.models, "--observations", folder / f"{split}.h5"]
        words += ["--output", folder / f"{split}.ecsv", "--times", folder / f"{split}.times.csv"]
        step("detect_simulated", *given({}), *words)
    words = ["--detections", folder / "validation.ecsv", "--truths", folder / "validation.truth.ecsv"]
    words += ["--models", *paths.models, "--output", folder / "calibration.json"]
    step("calibrate_detections", *given({}), *words)
    words = ["--seed", 1, "--detections", folder / "test.ecsv", "--truths", folder / "test.truth.ecsv"]
    words += ["--calibration", folder / "calibration.json", "--scores", folder / "chain.json"]
    words += ["--residuals", folder / "residuals.ecsv", "--table", folder / "scores.csv"]
    step("score_detections", *given({}), *words, "--text", folder / "scores.md")
    return paths


def test_settings_of_the_case_are_those_of_its_file():
    assert case_schema(CASE).__name__ == "Settings"


def test_truth_and_images_are_of_the_same_fields(made):
    truth = read_table(made.folder / "test.truth.ecsv")
    fields = dict(field_store.read(made.folder / "test.h5"))
    assert set(truth["cube"]) == set(fields) == set(range(8))
    for row in truth[np.asarray(truth["visible"], bool)]:
        field = fields[row["cube"]]
        assert field.pixel == row["pixel"] and (field.mask > 0).any()
    none = [fields[row["cube"]] for row in truth if row["kind"] < 0]
    assert none and not any(field.mask.any() for field in none)


def test_a_field_does_not_depend_on_the_shards(made, tmp_path):
    words = [
        "--seed",
        2,
        "--split",
        "test",
        "--shard",
        1,
        "--output",
        tmp_path / "a.h5",
        "--truth",
        tmp_path / "a.ecsv",
    ]
    step("simulate", *given({**SIMULATE, "shards": 4}), *words)
    others = dict(field_store.read(made.folder / "test.h5"))
    for number, field in field_store.read(tmp_path / "a.h5"):
        assert number % 4 == 1 and np.array_equal(field.image, others[number].image)


def test_emission_that_is_bright_and_near_is_found(made):
    scores = read_json(made.folder / "chain.json")
    assert scores["cubes"] == 8
    assert scores["pixels"]["recall"]["value"] > 0.3
    assert scores["fields"]["accuracy"]["value"] >= 0.5
    assert "| NDE |" in (made.folder / "scores.md").read_text()


def test_every_field_has_a_row_and_the_search_says_what_took_time(made):
    table = read_table(made.folder / "test.ecsv")
    assert table.meta["cubes"] == 8
    assert list(table["cube"][table["island"] == 0]) == list(range(8))
    assert {row["stage"] for row in read_table(made.folder / "test.times.csv")} == {
        *("scale", "map", "islands", "kind", "all")
    }


def test_the_calibration_names_the_weights_that_it_is_for(made):
    calibration = read_json(made.folder / "calibration.json")
    for role, name in (("map", "diffuse"), ("kind", "kind")):
        content = (made.folder / f"{name}.keras").read_bytes()
        assert calibration["models_sha256"][role] == hashlib.sha256(content).hexdigest()


def test_figures_are_drawn(made, tmp_path):
    words = ["--scores", made.folder / "chain.json", "--residuals", made.folder / "residuals.ecsv"]
    words += ["--observations", made.folder / "test.h5", "--truth", made.folder / "test.truth.ecsv"]
    words += ["--detections", made.folder / "test.ecsv", "--calibration", made.folder / "calibration.json"]
    words += ["--models", *made.models]
    figures = [tmp_path / f"{name}.png" for name in ("verdicts", "brightness", "fields")]
    for path in figures:
        words += [f"--{path.stem}", path]
    step("plot_fields", *given({}), *words)
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in figures)


def test_searches_are_compared_by_their_own_thresholds(made, tmp_path):
    folder = made.folder
    both = [folder / "validation.ecsv"] * 2, [folder / "test.ecsv"] * 2
    words = ["--seed", 1, "--names", "chain", "again", "--validation", *both[0], "--test", *both[1]]
    words += ["--validation-truths", folder / "validation.truth.ecsv", "--test-truths", folder / "test.truth.ecsv"]
    words += ["--times", *[folder / "test.times.csv"] * 2, "--table", tmp_path / "chains.csv"]
    step("compare_fields", *given({}), *words, "--text", tmp_path / "chains.md")
    table = read_table(tmp_path / "chains.csv")
    assert list(table["chain"]) == ["chain", "again"] and table["accuracy"][0] == table["accuracy"][1]


def test_splits_stand_beside_each_other(made, tmp_path):
    words = ["--case", CASE, "--names", "test", "other_surveys", "--scores", *[made.folder / "chain.json"] * 2]
    words += ["--residuals", *[made.folder / "residuals.ecsv"] * 2, "--table", tmp_path / "splits.csv"]
    step("compare_splits", *words, "--text", tmp_path / "splits.md")
    table = read_table(tmp_path / "splits.csv")
    assert list(table["split"]) == ["test", "other_surveys"]
    assert "other_surveys" in (tmp_path / "splits.md").read_text()


def test_surveys_that_no_training_has_seen_are_apart_from_it():
    from skyloom.cases import diffuse_radio

    usual = diffuse_radio.Simulate()
    assert diffuse_radio.other_splits(usual) == ["other_surveys"]
    assert not {one.array for one in usual.surveys} & {one.array for one in usual.unseen}
    assert diffuse_radio.other_splits(diffuse_radio.Simulate(unseen=[])) == []


def test_images_of_the_embedded_archive_go_through_the_search(made, tmp_path):
    parts = json.dumps({"simulate": SIMULATE, "embedded": {"fields": 2}})
    words = ["--case", CASE, "--all-settings", parts, "--seed", 3, "--shard", 0, "--products", tmp_path / "a.tar"]
    words += ["--obscore", tmp_path / "a.obscore.ecsv", "--truth", tmp_path / "a.truth.ecsv"]
    step("simulate_cube_archive", *words)
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
        tar.extractall(tmp_path, filter="data")
    assert len(names) == 2
    truth = read_table(tmp_path / "a.truth.ecsv")
    assert set(truth["filename"]) == set(names)
    rows = [manifest_row(tmp_path / name) for name in names]
    write_manifest(tmp_path / "manifest.ecsv", rows)
    words = ["--manifest", tmp_path / "manifest.ecsv", "--models", *made.models]
    words += ["--calibration", made.folder / "calibration.json"]
    for name in ("objects", "predictions", "fields"):
        words += [f"--{name}", tmp_path / f"{name}.ecsv"]
    step("search", *given({}), *words)
    fields = read_table(tmp_path / "fields.ecsv")
    assert list(fields["status"]) == ["kept", "kept"]
    objects = read_table(tmp_path / "objects.ecsv")
    assert len(objects) == len(read_table(tmp_path / "predictions.ecsv")) == fields["n_objects"].sum()
    assert {"las", "kind", "cluster_distance", "r500_mean"} <= set(objects.colnames)
