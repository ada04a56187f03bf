import json

import numpy as np
import pytest
from astropy.table import Table
from learn_fixtures import CASE, toy_dataset

from skyloom.errors import UserError

MODEL = {"network": "thesis_cnn", "batch_size": 16, "threads": 1}


def tune(dataset, table, trials=7, **changes):
    import tune

    settings = {"model": "thesis_cnn", "trials": trials, "epochs": 1, **changes}
    tune.main(
        [
            *("--case", CASE, "--settings", json.dumps(settings), "--model-settings", json.dumps(MODEL)),
            *("--dataset", str(dataset), "--table", str(table)),
        ]
    )
    return Table.read(table, format="ascii.csv")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("data") / "toy.h5", (32, 18, 6), side=16)


def test_every_optimiser_is_tried_and_the_best_comes_first(tmp_path, dataset):
    rows = tune(dataset, tmp_path / "t.csv")
    assert rows.colnames == ["trial", "optimizer", "learning_rate", "val_loss", "accuracy", "epoch", "state"]
    assert sorted(rows["trial"]) == list(range(1, 8))
    assert set(rows["optimizer"]) == {"sgd", "rmsprop", "adagrad", "adadelta", "adam"}
    losses = rows["val_loss"][rows["state"] == "complete"]
    assert np.all(np.diff(losses) >= 0)
    first = rows[rows["trial"] <= 5]
    assert np.all(first["learning_rate"] == 1e-3)
    assert np.all((rows["learning_rate"] >= 1e-4) & (rows["learning_rate"] <= 1e-1))


def test_a_second_search_is_the_same(tmp_path, dataset):
    for name in ("a.csv", "b.csv"):
        tune(dataset, tmp_path / name, trials=6)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_mistakes_are_said(tmp_path, dataset):
    with pytest.raises(UserError, match="did you mean `trials`"):
        tune(dataset, tmp_path / "t.csv", trial=3)
    with pytest.raises(UserError, match="no such file"):
        tune(tmp_path / "nowhere.h5", tmp_path / "t.csv")
