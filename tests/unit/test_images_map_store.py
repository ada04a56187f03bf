"""Simulated counts maps on disk."""

import numpy as np
import pytest

from skyloom.errors import UserError
from skyloom.images import map_store
from skyloom.images.counts import CountsMap


def some(count: int = 3):
    rng = np.random.default_rng(0)
    for number in range(count):
        photons = rng.poisson(0.1, (24, 24)).astype(np.uint16)
        yield 2 * number, CountsMap(photons + rng.poisson(3, (24, 24)).astype(np.uint16), 0.025, photons)


def test_maps_come_back_in_order(tmp_path):
    path = tmp_path / "shard.h5"
    assert map_store.write(path, some(), {"split": "test", "seed": 1}) == 3
    assert map_store.count(path) == 3
    assert map_store.split_of(path) == "test"
    for (number, one), (wanted, true) in zip(map_store.read(path), some(), strict=True):
        assert (number, one.pixel) == (wanted, 0.025)
        assert np.array_equal(one.counts, true.counts)
        assert np.array_equal(one.source_counts, true.source_counts)


def test_equal_maps_give_equal_bytes(tmp_path):
    for name in "ab":
        map_store.write(tmp_path / name, some(), {"split": "test"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("ask", [map_store.count, map_store.split_of, lambda path: list(map_store.read(path))])
def test_a_file_of_something_else_is_told(tmp_path, ask):
    path = tmp_path / "shard.h5"
    with pytest.raises(UserError, match="shard.h5: no such file"):
        ask(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"shard.h5: cannot be read as a shard of simulated counts maps"):
        ask(path)


def test_a_shard_that_does_not_tell_its_split_is_told(tmp_path):
    map_store.write(tmp_path / "shard.h5", some(), {})
    with pytest.raises(UserError, match="split"):
        map_store.split_of(tmp_path / "shard.h5")
