"""Patches of the gamma-ray sky: coordinates, packing for networks, and shards on disk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.images import patch_store, patches

SIDES = st.lists(st.sampled_from(patches.SIDES), min_size=1, max_size=6).filter(
    lambda sides: all(sides.count(side) <= patches.SAME for side in sides)
)
BANDS = ((0.3, 0.5), (0.5, 1.0), (1.0, 2.0))


def a_patch(seed=1, sides=(32, 32, 64), **changes):
    random = np.random.default_rng(seed)
    counts = tuple(random.poisson(3, (side, side)).astype(np.float32) for side in sides)
    known = {"exposure": np.array([1e11, 2e11, 3e11]), "lon": 80.0, "lat": -30.0, "width": 12.8, "bands": BANDS}
    return patches.Patch(counts, **{**known, **changes})


@settings(deadline=None, max_examples=30)
@given(SIDES, st.integers(0, 2**16))
def test_packed_maps_come_out_as_they_went_in(sides, seed):
    random = np.random.default_rng(seed)
    counts = [random.integers(0, 2000, (side, side)) for side in sides]
    packed = patches.packed(counts)
    found = patches.packed_sides(len(packed))
    order = patches.packing(sides)
    assert list(found) == [sides[band] for band in order] == sorted(sides)
    for band, side, rows in zip(order, found, patches.packed_rows(found), strict=True):
        np.testing.assert_array_equal(packed[rows].reshape(side, side), counts[band])


def test_bands_of_the_same_side_stay_in_their_order():
    assert patches.packing([64, 32, 64, 32]) == [1, 3, 0, 2]


def test_too_many_maps_of_a_side_or_other_sides_are_refused():
    with pytest.raises(UserError, match="more than 3 bands have 32 pixels"):
        patches.packing([32] * 4)
    with pytest.raises(UserError, match="48 pixels a side; it should have one of 32, 64, 128, 256"):
        patches.packing([48])
    for rows in (0, 33, 32 * 4**4):
        with pytest.raises(UserError, match=f"{rows} rows are no maps"):
            patches.packed_sides(rows)


def test_no_counts_are_beyond_half_precision():
    packed = patches.packed([np.full((32, 32), 1e7)])
    assert np.isfinite(packed).all() and packed.max() > 5e4


def test_north_is_up_and_longitude_rises_to_the_left():
    wcs = patches.patch_wcs(a_patch())
    middle = (patches.SIDE - 1) / 2
    assert wcs.all_pix2world(middle, middle, 0) == pytest.approx([80.0, -30.0])
    left, lat = wcs.all_pix2world(middle - 10, middle, 0)
    assert left == pytest.approx(80 + 1 / np.cos(np.radians(30)), abs=0.02) and lat == pytest.approx(-30, abs=0.02)
    assert wcs.all_pix2world(middle, middle + 10, 0)[1] == pytest.approx(-29, abs=1e-3)


@pytest.mark.parametrize("side", patches.SIDES)
def test_all_grids_share_their_outer_edges(side):
    patch = a_patch()
    for edge in (-0.5, patches.SIDE - 0.5):
        own = patches.on_grid(edge, side)
        assert own in (-0.5, side - 0.5)
        there = patches.patch_wcs(patch, side).all_pix2world(own, own, 0)
        np.testing.assert_allclose(there, patches.patch_wcs(patch).all_pix2world(edge, edge, 0))


def test_a_shard_gives_what_was_written(tmp_path):
    some = {3: a_patch(3), 5: a_patch(5, lon=81.0)}
    assert patch_store.write(tmp_path / "a.h5", some.items(), {"split": "test", "seed": 1}) == 2
    assert patch_store.count(tmp_path / "a.h5") == 2 and patch_store.split_of(tmp_path / "a.h5") == "test"
    for number, one in patch_store.read(tmp_path / "a.h5"):
        assert one.bands == BANDS and (one.lon, one.lat, one.width) == (some[number].lon, -30.0, 12.8)
        np.testing.assert_array_equal(one.exposure, some[number].exposure)
        for read, written in zip(one.counts, some[number].counts, strict=True):
            np.testing.assert_array_equal(read, written)
    patch_store.write(tmp_path / "b.h5", some.items(), {"split": "test", "seed": 1})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_other_files_are_no_shards(tmp_path):
    (tmp_path / "a.h5").write_text("no patches")
    with pytest.raises(UserError, match="a.h5: cannot be read as a shard of simulated patches"):
        patch_store.count(tmp_path / "a.h5")
    with pytest.raises(UserError, match="b.h5: no such file"):
        next(patch_store.read(tmp_path / "b.h5"))
