import csv
import json

import numpy as np
import pytest
from learn_fixtures import CASE, SETTINGS, toy_dataset, toy_samples

from skyloom.errors import UserError
from skyloom.learn.datasets import SPLITS, Samples, write_dataset
from skyloom.learn.variants import VARIANTS, changed

MODEL = json.dumps({"network": "thesis_cnn", "epochs": 1, "batch_size": 16, "threads": 1})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    copies = toy_samples(8, 5, side=16)
    copies = Samples(copies.x, copies.y, copies.id, copies.group, np.full(8, "copy"))
    write_dataset(folder / "augmented.h5", dict.fromkeys(SPLITS, copies), {})
    return toy_dataset(folder / "toy.h5", (30, 18, 18), side=16), folder / "augmented.h5"


def ablate(data, output, variant):
    import ablate

    ablate.main(
        [
            *("--case", CASE, "--settings", SETTINGS, "--model", "toy", "--model-settings", MODEL, "--repeats", "2"),
            *("--variant", variant, "--dataset", str(data[0]), "--augmented", str(data[1]), "--output", str(output)),
        ]
    )
    return json.loads(output.read_text())


def test_variants_are_measured_and_merged(tmp_path, data):
    import merge_ablation

    paths = [tmp_path / f"{variant}.json" for variant in ("everything", "no_flip_online")]
    for path in paths:
        said = ablate(data, path, path.stem)
        assert said["samples"] == 38, "the variant's samples take the place of the dataset's own"
        assert len(said["repeats"]) == 2
        assert said["repeats"][0] != said["repeats"][1]
    merge_ablation.main(["--results", *map(str, paths), "--table", str(tmp_path / "t.csv")])
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [(row["variant"], row["split"]) for row in rows] == [
        (variant, split) for variant in ("everything", "no_flip_online") for split in ("validation", "test")
    ]
    assert all(0 <= float(row["pr_auc"]) <= 1 for row in rows)


def test_every_variant_changes_known_settings_only():
    from skyloom.config.schema import Augment, Model

    for variant in VARIANTS:
        Augment.model_validate(changed(Augment().model_dump(), variant, "augment"))
        Model.model_validate(changed(json.loads(MODEL), variant, "model"))
    assert changed({"copies": 3, "noise": 0.3}, "no_noise", "augment") == {"copies": 3, "noise": 0.0}


def test_an_unknown_variant_is_said(tmp_path, data):
    with pytest.raises(UserError, match="did you mean `no_flips`"):
        ablate(data, tmp_path / "a.json", "no_flip")
