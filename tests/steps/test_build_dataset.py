import h5py
import numpy as np
import pytest
from small_archive import archive, augment_arguments, crop_arguments, dataset_arguments, label_arguments

import augment
import build_dataset
import crop
import label_objects
from skyloom.errors import UserError
from skyloom.files import read_table, write_table
from skyloom.learn.datasets import read_attrs, read_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = archive(tmp_path_factory.mktemp("dataset"))
    crop.main(crop_arguments(folder))
    label_objects.main(label_arguments(folder, "--truth", str(folder / "truth.ecsv")))
    augment.main(augment_arguments(folder))
    build_dataset.main(dataset_arguments(folder))
    return folder


def test_every_labelled_object_is_in_one_split(folder):
    labels = read_table(folder / "labels.ecsv")
    for name in ("train", "validation", "test"):
        samples = read_split(folder / "cutouts.h5", name)
        cutouts = samples.origin == "cutout"
        here = labels[labels["split"] == name]
        assert samples.id[cutouts].tolist() == list(here["object_id"])
        assert samples.y[cutouts].tolist() == list(here["label"])
        assert cutouts.all() == (name != "train")
        assert samples.x.dtype == np.float32 and samples.y.dtype == np.int8 and np.isfinite(samples.x).all()


def test_attributes_chunks_and_the_numpy_pair(folder):
    attrs = read_attrs(folder / "cutouts.h5")
    assert attrs["case"] == "disk_winds" and attrs["seed"] == 5 and len(attrs["config_hash"]) == 12
    with h5py.File(folder / "cutouts.h5") as file:
        assert file["train/x"].chunks == (1, 32, 32, 3)
    train = read_split(folder / "cutouts.h5", "train")
    np.testing.assert_array_equal(np.load(folder / "x.npy", allow_pickle=False), train.x)
    np.testing.assert_array_equal(np.load(folder / "y.npy", allow_pickle=False), train.y)


def test_a_second_run_gives_the_same_bytes(folder):
    names = ("cutouts.h5", "x.npy", "y.npy")
    before = [(folder / name).read_bytes() for name in names]
    build_dataset.main(dataset_arguments(folder))
    assert [(folder / name).read_bytes() for name in names] == before


def test_the_gate_stops_a_target_on_two_sides(folder, tmp_path):
    labels = read_table(folder / "labels.ecsv")
    train = np.flatnonzero(labels["split"] == "train")[0]
    test = np.flatnonzero(labels["split"] == "test")[0]
    group = list(labels["group"])
    group[test] = group[train]
    labels["group"] = group
    write_table(tmp_path / "labels.ecsv", labels)
    arguments = [
        part.replace(str(folder / "labels.ecsv"), str(tmp_path / "labels.ecsv")) for part in dataset_arguments(folder)
    ]
    arguments[arguments.index("--output") + 1] = str(tmp_path / "leaky.h5")
    with pytest.raises(UserError, match=f"`{group[train]}` stands in both train and test"):
        build_dataset.main(arguments)
    assert not (tmp_path / "leaky.h5").exists()
