"""Ensembles in a chain of networks, and examples in half precision or without a quantity."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from skyloom.config.schema import ChainModel
from skyloom.learn import chains
from skyloom.learn.datasets import Samples, open_split, read_split, write_dataset


def samples(x, y):
    names = np.array([f"one_{number}" for number in range(len(x))])
    return Samples(x, y, names, names, np.full(len(x), "truth"))


def test_members_of_an_ensemble_are_told_by_their_roles():
    assert [chains.member_role("position", member) for member in range(3)] == ["position", "position.1", "position.2"]
    networks = {"position": "a", "position.1": "b", "position.2": "c", "position.4": "d", "real": "e"}
    assert chains.members(networks, "position") == ["a", "b", "c"]
    assert chains.members(networks, "real") == ["e"] and chains.members(networks, "flux") == []


def test_files_of_members_are_read_by_their_roles(tmp_path):
    paths = [tmp_path / f"position_{member}.keras" for member in range(2)]
    for path in paths:
        path.write_text("a network")
    given = [f"{chains.member_role('position', member)}={path}" for member, path in enumerate(paths)]
    assert chains.chain_files(given, ["position"]) == {"position": paths[0], "position.1": paths[1]}


def test_an_ensemble_of_a_chain_has_some_members():
    one = {"network": "candidate_net", "dataset": "candidates", "loss": "logistic"}
    assert ChainModel(**one).members == 1 and ChainModel(**one, members=3).members == 3
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        ChainModel(**one, members=0)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_images_stay_in_their_precision_on_disk_and_are_single_in_memory(tmp_path, kind):
    x = np.random.default_rng(1).integers(0, 2000, (5, 8, 4, 1)).astype(kind)
    write_dataset(tmp_path / "a.h5", {"train": samples(x, np.zeros((5, 1), np.float32))}, {})
    assert read_split(tmp_path / "a.h5", "train").x.dtype == kind
    with open_split(tmp_path / "a.h5", "train") as given:
        some = given.images(np.array([3, 0, 3]))
    assert some.dtype == np.float32
    np.testing.assert_array_equal(some, x[[3, 0, 3]])


def test_examples_without_a_quantity_do_not_train_for_it():
    y = np.array([[1, 0.5, 0.1], [0, np.nan, np.nan], [1, 0.2, 0.3]], np.float32)
    every = samples(np.zeros((3, 4), np.float32), y)
    attrs = {"targets": "real,size_x,size_y"}
    part_of = importlib.import_module("train").part_of
    assert len(part_of(every, "truth", SimpleNamespace(target="real"), attrs)) == 3
    some = part_of(every, "truth", SimpleNamespace(target="size"), attrs)
    np.testing.assert_array_equal(some.y, y[[0, 2], 1:])
    assert list(some.id) == ["one_0", "one_2"]
    whole = replace(every, y=y[[0, 0, 2]])
    assert part_of(whole, "truth", SimpleNamespace(target=None), attrs) is whole
