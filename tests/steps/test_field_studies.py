"""Targets outside `all` of the case diffuse_radio: classical finders, and fine-tuning for another survey."""

import importlib
import json

import numpy as np
import pytest

from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.learn import field_tables

CASE = "diffuse_radio"
SIMULATE = {
    "shards": 1,
    "validation": 10,
    "test": 6,
    "sky": {"mass": [1e15, 1.6e15], "redshift": [0.1, 0.2], "members": 3, "galaxies": 1, "none": 0.4},
    "surveys": [{"side": 256, "hours": 2.0}],
}
SURVEY = {"array": "vla_d", "frequency": 1500, "beam": 40, "pixel": 9, "rms": [3e-5, 8e-5], "side": 160, "hours": 1}
TUNING = {"survey": SURVEY, "labelled": 8, "test": 6, "epochs": 1, "learning_rates": [1e-3, 1e-4]}


def step(name: str, *words) -> None:
    importlib.import_module(name).main([str(word) for word in words])


def given(settings: dict, *more) -> list:
    return ["--case", CASE, "--settings", json.dumps(settings), *more]


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    for split in ("validation", "test"):
        words = ["--seed", 2, "--split", split, "--shard", 0, "--output", folder / f"{split}.h5"]
        step("simulate", *given(SIMULATE), *words, "--truth", folder / f"{split}.truth.ecsv")
    return folder


def detect(fields, folder, finder, split, *more):
    words = [
        "--finder",
        finder,
        "--observations",
        fields / f"{split}.h5",
        "--output",
        folder / f"{finder}_{split}.ecsv",
    ]
    step("detect_with_finder", *given({}), *words, "--times", folder / f"{finder}_{split}.times.csv", *more)
    return folder / f"{finder}_{split}.ecsv"


def test_finders_are_compared_by_their_own_thresholds(fields, tmp_path):
    names = ["smoothed_residual", "photutils"]
    for name in names:
        detect(fields, tmp_path, name, "validation")
        # One that takes long searches fewer fields.
        detect(fields, tmp_path, name, "test", *(["--most", 4] if name == "photutils" else []))
    assert read_table(tmp_path / "photutils_test.ecsv").meta["cubes"] == 4
    words = ["--seed", 1, "--names", *names]
    for split in ("validation", "test"):
        words += [f"--{split}", *(tmp_path / f"{name}_{split}.ecsv" for name in names)]
        words += [f"--{split}-truths", fields / f"{split}.truth.ecsv"]
    words += ["--times", *(tmp_path / f"{name}_test.times.csv" for name in names), "--table", tmp_path / "peers.csv"]
    step("compare_fields", *given({}), *words, "--text", tmp_path / "peers.md", "--figure", tmp_path / "peers.png")
    table = read_table(tmp_path / "peers.csv")
    assert list(table["chain"]) == names and list(table["fields"]) == [6, 4]
    assert all(0 <= row["accuracy"] <= 1 and row["seconds"] > 0 for row in table)
    # A field has 256 x 256 pixels.
    rate = np.asarray(table["megapixels_per_second"]) * np.asarray(table["seconds"])
    assert rate == pytest.approx([0.0655, 0.0655], rel=0.05)
    assert "megapixels/s" in (tmp_path / "peers.md").read_text()
    assert (tmp_path / "peers.png").read_bytes()[:4] == b"\x89PNG"


def test_a_search_that_finds_no_island_is_a_row_by_its_mean_probability(fields, tmp_path, capsys):
    words = ["--seed", 1, "--names", "photutils", "nothing", "faint"]
    for split in ("validation", "test"):
        path = detect(fields, tmp_path, "photutils", split)
        table, truth = read_table(path), read_table(fields / f"{split}.truth.ecsv")
        whole = table[np.asarray(table["island"]) == 0]
        whole["overlap"][:, field_tables.BINS // 2 :] = 0
        seen = np.asarray(truth["cube"])[np.asarray(truth["visible"], bool) & (np.asarray(truth["kind"]) >= 0)]
        for name, mean in (("nothing", 0.0), ("faint", np.where(np.isin(whole["cube"], seen), 0.02, 0.001))):
            whole["region_mean"] = mean
            whole.write(tmp_path / f"{name}_{split}.ecsv")
        words += [f"--{split}", path, *(tmp_path / f"{name}_{split}.ecsv" for name in ("nothing", "faint"))]
        words += [f"--{split}-truths", fields / f"{split}.truth.ecsv"]
    step("compare_fields", *given({}), *words, "--table", tmp_path / "t.csv", "--text", tmp_path / "t.md")
    _, nothing, faint = read_table(tmp_path / "t.csv")
    assert (nothing["false_negatives"], nothing["completeness"], nothing["nde_right"]) == (1, 0, 1)
    assert (faint["accuracy"], faint["false_negatives"], faint["completeness"]) == (1, 0, 0)
    assert "R alone tells" in capsys.readouterr().out


def test_a_finder_that_there_is_not(fields, tmp_path):
    with pytest.raises(UserError, match="no `sextractor`"):
        detect(fields, tmp_path, "sextractor", "test")


def test_the_network_is_fine_tuned_with_and_without_augmentation(tmp_path):
    from skyloom.learn import backend

    backend.start(1)

    import keras

    from skyloom.learn import store
    from skyloom.nets import diffuse_net

    keras.utils.set_random_seed(1)
    store.save_model(tmp_path / "map.keras", diffuse_net.build((None, None, 5), widths=(4, 6), dilations=(1,)))
    parts = json.dumps({"simulate": SIMULATE, "search": {}, "fine_tuning": TUNING})
    words = ["--case", CASE, "--all-settings", parts, "--seed", 1, "--model", tmp_path / "map.keras"]
    words += ["--table", tmp_path / "fine_tuning.csv", "--text", tmp_path / "fine_tuning.md"]
    step("fine_tune", *words)
    table = read_table(tmp_path / "fine_tuning.csv")
    assert list(table["network"]) == ["original", "fine-tuned", "fine-tuned, augmented"]
    assert list(table["fields"]) == [6, 6, 6] and np.ma.is_masked(table["learning_rate"][0])
    assert set(table["learning_rate"][1:]) <= {1e-3, 1e-4}
    text = (tmp_path / "fine_tuning.md").read_text()
    assert text.count("| fine-tuned |") == 3 and "vla_d, 1500 MHz" in text
