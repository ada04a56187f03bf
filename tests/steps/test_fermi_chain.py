"""The steps of the case fermi_sources one after the other, by their command lines, on few patches of two bands."""

import importlib
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from cube_fixtures import manifest_row, write_manifest

from skyloom.config.load import case_schema
from skyloom.errors import UserError
from skyloom.files import read_json, read_table

CASE = "fermi_sources"
BANDS = [[1.0, 3.0, 32], [3.0, 20.0, 32]]
SIMULATE = {
    "shards": 1,
    "train": 10,
    "validation": 32,
    "test": 12,
    "other_tracer": 8,
    "sky": {"faintest": 1e-9},
    "observation": {"bands": BANDS},
}
EXAMPLES = {"maps": 128}
SEARCH = {"bands": BANDS, "width": 12.8, "years": 10.0, "event_type": "FB", "purity": 0.8, "lowest_score": 0.03}
SOURCES = {"network": "band_unet", "dataset": "maps", "loss": "cross_entropy", "epochs": 12, "batch_size": 8}
SOURCES |= {"learning_rate": 4e-3}
OTHER = {"network": "candidate_net", "dataset": "candidates", "epochs": 6, "batch_size": 16, "flip_online": False}
LOSSES = {"real": "logistic", "kind": "categorical", "flux": "student_nll", "position": "student_nll"}


def step(name: str, *words) -> None:
    importlib.import_module(name).main([str(word) for word in words])


def given(settings: dict, *more) -> list:
    return ["--case", CASE, "--settings", json.dumps(settings), *more]


def train(folder, name: str, settings: dict, dataset: str, member: int = 0) -> str:
    output = folder / f"{name}_{member}.keras"
    words = ["--seed", 1, "--model", name, "--member", member, "--dataset", folder / dataset]
    words += ["--checkpoint", folder / f"{name}.checkpoint", "--output", output, "--history", folder / f"{name}.csv"]
    step("train", *given(settings), *words)
    return str(output)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the paths of all that the chain makes."""
    folder = tmp_path_factory.mktemp("fermi")
    for split in ("train", "validation", "test", "other_tracer"):
        words = ["--seed", 1, "--split", split, "--shard", 0, "--output", folder / f"{split}.h5"]
        step("simulate", *given(SIMULATE), *words, "--truth", folder / f"{split}.truth.ecsv")
    parts = json.dumps({"simulate": SIMULATE, "examples": EXAMPLES, "search": SEARCH})
    examples = ["--case", CASE, "--all-settings", parts, "--seed", 1]
    step("make_examples", *examples, "--dataset", "maps", "--output", folder / "maps.h5")
    models = [f"map={train(folder, 'sources', SOURCES, 'maps.h5')}"]
    both = [[folder / f"{split}.{ending}" for split in ("train", "validation")] for ending in ("h5", "truth.ecsv")]
    words = ["--dataset", "candidates", "--models", *models, "--observations", *both[0], "--truths", *both[1]]
    step("make_examples", *examples, *words, "--output", folder / "candidates.h5")
    for name, loss in LOSSES.items():
        one = train(folder, name, OTHER | {"target": name, "loss": loss}, "candidates.h5")
        models.append(f"{name}={one}")
    two = train(folder, "position", OTHER | {"target": "position", "loss": "student_nll"}, "candidates.h5", 1)
    models.append(f"position.1={two}")
    for split in ("validation", "test", "other_tracer"):
        words = ["--models", *models, "--observations", folder / f"{split}.h5", "--output", folder / f"{split}.ecsv"]
        step("detect_simulated", *given(SEARCH), *words, "--times", folder / f"{split}.times.csv")
    words = ["--detections", folder / "validation.ecsv", "--truths", folder / "validation.truth.ecsv"]
    words += ["--models", *models, "--output", folder / "calibration.json"]
    step("calibrate_detections", *given(SEARCH), *words)
    for split in ("test", "other_tracer"):
        words = ["--seed", 1, "--detections", folder / f"{split}.ecsv", "--truths", folder / f"{split}.truth.ecsv"]
        words += ["--calibration", folder / "calibration.json", "--scores", folder / f"{split}.json"]
        words += ["--residuals", folder / f"{split}.residuals.ecsv", "--table", folder / f"{split}.csv"]
        step("score_detections", *given(SEARCH), *words, "--text", folder / f"{split}.md")
    return SimpleNamespace(folder=folder, models=models)


def test_settings_of_the_case_are_those_of_its_file():
    assert case_schema(CASE).__name__ == "Settings"


def test_files_are_searched_with_the_bands_of_the_simulations():
    models = {"sources": SOURCES}
    settings = case_schema(CASE)(title="x", simulate=SIMULATE, models=models, chain=["sources"])
    assert [list(band) for band in settings.search.bands] == BANDS
    assert settings.search.width == 12.8 and settings.search.exposure is None


def test_bright_sources_are_found_near_where_they_are(made):
    truth, found = (read_table(made.folder / f"test.{ending}") for ending in ("truth.ecsv", "ecsv"))
    bright = truth[(truth["snr"] > 20) & truth["core"]]
    assert len(bright) > 5
    hits = []
    for row in bright:
        own = found[found["cube"] == row["cube"]]
        hits.append(np.hypot(own["x"] - row["x"], own["y"] - row["y"]).min() * found.meta["pixel"] if len(own) else 9)
    assert np.mean(np.array(hits) < 0.4) > 0.75
    scores = read_json(made.folder / "test.json")
    assert scores["found"] and scores["residuals"]


def test_detections_say_what_each_network_says(made):
    table = read_table(made.folder / "test.ecsv")
    assert table.meta["cubes"] == 12 and table.meta["pixel"] == pytest.approx(0.1)
    np.testing.assert_allclose(table["p_agn"] + table["p_pulsar"] + table["p_other"], 1, atol=1e-6)
    assert np.all((table["flux"] > 1e-11) & (table["flux"] < 1e-4) & (table["flux_error"] > 0))
    assert np.all((table["x_error"] > 0) & (np.abs(table["xy_correlation"]) < 1))
    stages = {row["stage"] for row in read_table(made.folder / "test.times.csv")}
    assert stages == {"map", "candidates", "networks", "all"}


def test_what_a_candidate_lacks_does_not_train_its_network(made):
    from skyloom.learn.datasets import read_split

    some = read_split(made.folder / "candidates.h5", "train")
    true = some.y[:, 0] == 1
    assert np.isfinite(some.y[true]).all() and np.isnan(some.y[~true, 1:]).all()
    assert 0 < true.sum() < len(some)


def test_splits_stand_beside_each_other(made):
    folder = made.folder
    words = ["--case", CASE, "--names", "test", "other_tracer"]
    words += ["--scores", folder / "test.json", folder / "other_tracer.json"]
    words += ["--residuals", folder / "test.residuals.ecsv", folder / "other_tracer.residuals.ecsv"]
    step("compare_splits", *words, "--table", folder / "splits.csv", "--text", folder / "splits.md")
    assert {"test", "other_tracer"} <= set(read_table(folder / "splits.csv")["split"])


def test_patches_of_the_archive_are_searched(made, tmp_path):
    settings = {"simulate": SIMULATE, "embedded": {"fields": 2, "shards": 1}}
    words = ["--case", CASE, "--all-settings", json.dumps(settings), "--seed", 3, "--shard", 0]
    words += ["--products", tmp_path / "archive.tar", "--obscore", tmp_path / "archive.obscore.ecsv"]
    step("simulate_cube_archive", *words, "--truth", tmp_path / "truth.ecsv")
    rows = []
    with tarfile.open(tmp_path / "archive.tar") as tar:
        for member in tar:
            (tmp_path / member.name).write_bytes(tar.extractfile(member).read())
            rows.append(manifest_row(tmp_path / member.name))
    wrong = tmp_path / "text.counts.fits"
    wrong.write_text("no photons")
    manifest = write_manifest(tmp_path / "manifest.ecsv", [*rows, manifest_row(wrong)])
    words = ["--manifest", manifest, "--models", *made.models, "--calibration", made.folder / "calibration.json"]
    tables = {name: tmp_path / f"{name}.ecsv" for name in ("objects", "predictions", "fields")}
    step("search", *given(SEARCH), *words, *(word for name, path in tables.items() for word in (f"--{name}", path)))
    fields, objects = read_table(tables["fields"]), read_table(tables["objects"])
    assert list(fields["status"]) == ["kept", "kept", "dropped"] and fields["reason"][2]
    assert list(fields["patches"][:2]) == [1, 1]
    assert np.all(np.isfinite(objects["ra"])) and objects["photon_flux"].unit == "1 / (cm2 s)"
    assert len(objects) == len(read_table(tables["predictions"]))


def test_simulations_are_the_same_whatever_the_shards(made, tmp_path):
    from skyloom.images import patch_store

    words = ["--seed", 1, "--split", "test", "--shard", 2, "--output", tmp_path / "part.h5"]
    step("simulate", *given(SIMULATE | {"shards": 3}), *words, "--truth", tmp_path / "part.ecsv")
    whole, part = (dict(patch_store.read(path)) for path in (made.folder / "test.h5", tmp_path / "part.h5"))
    assert set(part) == set(range(2, 12, 3))
    for number, patch in part.items():
        assert all(np.array_equal(*both) for both in zip(patch.counts, whole[number].counts, strict=True))


def test_a_template_that_is_not_there_is_told(tmp_path):
    words = [
        "--seed",
        1,
        "--split",
        "test",
        "--shard",
        0,
        "--output",
        tmp_path / "a.h5",
        "--truth",
        tmp_path / "a.ecsv",
    ]
    with pytest.raises(UserError, match="nowhere.fits: no such file"):
        step("simulate", *given(SIMULATE | {"sky": {"tracer": "nowhere.fits"}}), *words)
    assert not (tmp_path / "a.h5").exists()
