"""Radio images in memory and on disk, and their masks."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UserError
from skyloom.images import field_store, radio_fields
from skyloom.images.radio_fields import Cluster, RadioField

CLUSTER = Cluster(30.0, 40.0, 12.0, 0.2)


def a_field(shape=(70, 90), cluster=CLUSTER, mask=True) -> RadioField:
    rng = np.random.default_rng(1)
    image = rng.normal(0, 2e-4, shape).astype(np.float32)
    image[0, :5] = np.nan
    image[20, 20] = 3.0
    levels = radio_fields.as_mask(rng.exponential(1e-4, shape), 2e-4, 5e-5) if mask else None
    return RadioField(image, 4.5, (20.0, 18.0, 30.0), 144.0, cluster, levels)


@given(st.floats(0.02, 500), st.floats(1e-6, 1e-2))
def test_a_mask_keeps_the_surface_brightness_to_a_few_per_cent(snr, rms):
    mask = radio_fields.as_mask(np.array([[snr * rms, 0.0]]), rms)
    assert radio_fields.brightness_of(mask)[0, 0] == pytest.approx(snr, rel=0.03)
    assert mask[0, 1] == 0 and radio_fields.brightness_of(mask)[0, 1] == 0


def test_what_is_fainter_than_the_least_is_not_in_the_mask():
    brightness = np.array([[0.9e-5, 1.1e-5, -1.0]])
    assert np.array_equal(radio_fields.as_mask(brightness, 1e-4, 1e-5) > 0, [[False, True, False]])


def test_levels_rise_with_brightness_and_end_at_255():
    snr = np.geomspace(1e-3, 1e5, 300)
    mask = radio_fields.as_mask(snr[None], 1.0)[0]
    assert (np.diff(mask.astype(int)) >= 0).all() and mask[0] == 1 and mask[-1] == 255
    assert radio_fields.level_of(2.0) - radio_fields.level_of(1.0) == radio_fields.STEPS


def test_the_area_of_a_beam_is_that_of_a_gaussian():
    y, x = np.mgrid[-60:61, -60:61] * 4.5
    beam = np.exp(-4 * np.log(2) * (x**2 / 20**2 + y**2 / 18**2))
    assert a_field().beam_area == pytest.approx(beam.sum(), rel=1e-3)


def test_fields_come_back_as_they_were(tmp_path):
    one, other = a_field(), a_field((40, 40), None, mask=False)
    path = tmp_path / "fields.h5"
    assert field_store.write(path, iter([(3, one), (7, other)]), {"split": "test"}) == 2
    assert field_store.count(path) == 2 and field_store.split_of(path) == "test"
    (first, read), (second, plain) = field_store.read(path)
    assert (first, second) == (3, 7)
    assert (read.pixel, read.beam, read.frequency, read.cluster) == (one.pixel, one.beam, one.frequency, one.cluster)
    assert np.array_equal(np.isnan(read.image), np.isnan(one.image))
    assert np.nanmax(np.abs(read.image / one.image - 1)) < 1e-3
    assert np.array_equal(read.mask, one.mask)
    assert plain.cluster is None and plain.mask is None


def test_equal_fields_give_equal_bytes(tmp_path):
    for name in "ab":
        field_store.write(tmp_path / f"{name}.h5", iter([(0, a_field())]), {"split": "test"})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_image_without_noise_can_be_kept(tmp_path):
    flat = RadioField(np.zeros((20, 20), np.float32), 4.5, (20.0, 20.0, 0.0), 144.0)
    field_store.write(tmp_path / "flat.h5", iter([(0, flat)]), {"split": "test"})
    assert np.array_equal(next(field_store.read(tmp_path / "flat.h5"))[1].image, flat.image)


def test_a_file_of_something_else_is_told(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.require_group("fields/000000")
    for name in ("text.h5", "other.h5", "missing.h5"):
        with pytest.raises(UserError, match=name):
            list(field_store.read(tmp_path / name))
    with pytest.raises(UserError, match="make it again"):
        field_store.split_of(tmp_path / "other.h5")
