import numpy as np
import pytest
from small_archive import archive, augment_arguments, crop_arguments, label_arguments

import augment
import crop
import label_objects
from skyloom.errors import UserError
from skyloom.files import read_table
from skyloom.learn.datasets import read_attrs, read_split

OFF = {"flips": "false", "rotations": "false", "resize": "null", "shift": "0", "noise": "0", "geometric_mean": "false"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = archive(tmp_path_factory.mktemp("augment"))
    crop.main(crop_arguments(folder))
    label_objects.main(label_arguments(folder, "--truth", str(folder / "truth.ecsv")))
    return folder


def settings(**values):
    return "{" + ", ".join(f'"{key}": {value}' for key, value in values.items()) + "}"


def test_only_training_samples_are_multiplied(folder):
    augment.main(augment_arguments(folder))
    made, labels = read_split(folder / "augmented.h5", "train"), read_table(folder / "labels.ecsv")
    train = labels[labels["split"] == "train"]
    assert (made.origin == "copy").sum() == 2 * len(train) and (made.origin == "pair").sum() == 4
    assert {part for name in made.group for part in name.split("|")} <= set(train["group"])
    assert (made.y[made.origin == "pair"] == 1).all() and np.isfinite(made.x).all()
    assert len(set(made.id)) == len(made)
    assert read_attrs(folder / "augmented.h5")["seed"] == 5


def test_the_same_seed_gives_the_same_bytes_and_another_another_image(folder):
    augment.main(augment_arguments(folder, output="one.h5"))
    augment.main(augment_arguments(folder, output="two.h5"))
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()
    other = augment_arguments(folder, output="three.h5")
    other[other.index("--seed") + 1] = "6"
    augment.main(other)
    assert np.abs(read_split(folder / "one.h5", "train").x - read_split(folder / "three.h5", "train").x).max() > 0.1


def test_with_everything_off_copies_are_the_cutouts(folder):
    augment.main(augment_arguments(folder, settings(copies=2, **OFF), "off.h5"))
    made = read_split(folder / "off.h5", "train")
    assert set(made.origin) == {"copy"}
    np.testing.assert_array_equal(made.x[0], made.x[1])


def test_no_copies_and_no_pairs_give_an_empty_file(folder):
    augment.main(augment_arguments(folder, settings(copies=0, pairs=0), "none.h5"))
    assert read_split(folder / "none.h5", "train").x.shape == (0, 32, 32, 3)


def test_cutouts_of_a_missing_chunk_are_an_error(folder, tmp_path):
    table = read_table(folder / "labels.ecsv")
    table["object_id"] = ["elsewhere.01", *table["object_id"][1:]]
    table["split"] = "train"
    table.write(tmp_path / "labels.ecsv")
    arguments = augment_arguments(folder)
    arguments[arguments.index(str(folder / "labels.ecsv"))] = str(tmp_path / "labels.ecsv")
    with pytest.raises(UserError, match="`elsewhere.01` has no cutout"):
        augment.main(arguments)
