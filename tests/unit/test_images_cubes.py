import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skyloom.errors import UserError
from skyloom.images import cube_store
from skyloom.images.cubes import Cube

CHANNELS, SIDE = 12, 40
FREQUENCY = 230e9 + 1e7 * np.arange(CHANNELS)


def made(data, rms=1e-3, beam=(8.0, 7.0, 30.0), dirty_beam=None):
    rms = np.broadcast_to(np.asarray(rms, float), len(data)).copy()
    return Cube(np.asarray(data, np.float32), rms, beam, FREQUENCY[: len(data)], dirty_beam)


def noise(rms, side=SIDE, seed=1):
    rms = np.broadcast_to(rms, CHANNELS)
    return np.random.default_rng(seed).normal(0, 1, (CHANNELS, side, side)) * rms[:, None, None]


levels = arrays.arrays(float, CHANNELS, elements=st.floats(1e-4, 1e-2))
spectra = arrays.arrays(float, CHANNELS, elements=st.just(0.0) | st.floats(0.01, 1)).filter(np.any)


# Sums of channels


@given(rms=levels, template=spectra, flux=st.floats(-10, 10))
def test_a_source_with_the_spectrum_of_the_template_has_the_flux_that_is_promised(rms, template, flux):
    data = np.zeros((CHANNELS, 5, 5))
    data[:, 2, 3] = flux * template
    seen = made(data, rms).summed(template)
    assert seen.shape == (5, 5) and seen.dtype == np.float32
    assert seen[2, 3] == pytest.approx(flux * np.sqrt(np.sum(template**2 / rms**2)), rel=1e-4, abs=1e-3)
    assert not np.delete(seen.ravel(), 2 * 5 + 3).any()


@given(rms=levels, template=spectra)
@settings(max_examples=20)
def test_noise_has_an_rms_of_one_in_every_sum(rms, template):
    assert made(noise(rms, 80), rms).summed(template).std() == pytest.approx(1, abs=4 / np.sqrt(2 * 80**2))


@given(rms=levels, template=spectra, other=spectra)
@settings(max_examples=30)
def test_no_other_weights_show_a_source_better_than_its_own_spectrum(rms, template, other):
    cube = made(template[:, None, None] * np.ones((1, 1, 1)), rms)
    best = np.sqrt(np.sum(template**2 / rms**2))
    assert cube.summed(template)[0, 0] == pytest.approx(best, rel=1e-4)
    assert cube.summed(other)[0, 0] <= best * (1 + 1e-4)
    assert cube.integrated()[0, 0] <= best * (1 + 1e-4)


@given(rms=levels, template=spectra, scale=st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_the_height_of_the_template_does_not_matter(rms, template, scale):
    cube = made(noise(rms, 6), rms)
    assert cube.summed(scale * template) == pytest.approx(cube.summed(template), rel=1e-3, abs=1e-3)


def test_the_integrated_image_is_the_sum_over_its_noise():
    data = noise(2e-3)
    assert made(data, 2e-3).integrated() == pytest.approx(data.sum(axis=0) / (2e-3 * np.sqrt(CHANNELS)), abs=1e-4)


def test_noisy_channels_count_less():
    rms = np.full(CHANNELS, 1e-3)
    rms[3] = 1.0
    data = noise(rms)
    quiet = made(np.delete(data, 3, axis=0), 1e-3).integrated()
    assert made(data, rms).integrated() == pytest.approx(quiet, abs=0.02)


def test_a_mask_takes_its_channels_only():
    data = noise(1e-3)
    mask = np.zeros(CHANNELS)
    mask[4:7] = 1
    assert made(data).summed(mask) == pytest.approx(data[4:7].sum(axis=0) / (1e-3 * np.sqrt(3)), abs=1e-4)
    assert np.array_equal(made(data).summed(mask.astype(bool)), made(data).summed(mask))


def test_negative_weights_take_the_continuum_away():
    data = np.full((CHANNELS, 2, 2), 0.5)
    template = np.array([1.0, -1.0] * 6)
    assert made(data).summed(template) == pytest.approx(np.zeros((2, 2)), abs=1e-3)


# What is not observed


def test_unobserved_values_neither_add_flux_nor_noise():
    """A pixel that some channels miss has an rms of one as all others have, and less signal."""
    rms = np.linspace(1e-3, 3e-3, CHANNELS)
    signal = 2e-3
    data = noise(rms, 120) + signal
    data[:5, :, :60] = np.nan
    seen = made(data, rms).integrated()
    assert np.isfinite(seen).all()
    for half, used in ((seen[:, :60], slice(5, None)), (seen[:, 60:], slice(None))):
        weights = rms[used] ** -2
        assert half.std() == pytest.approx(1, abs=0.04)
        assert half.mean() == pytest.approx(signal * np.sqrt(weights.sum()), abs=0.06)


def test_pixels_without_a_channel_are_not_seen():
    data = noise(1e-3)
    data[:, 0, 0] = np.nan
    data[4:7, 1, 1] = np.nan
    mask = np.zeros(CHANNELS)
    mask[4:7] = 1
    cube = made(data)
    missing = np.zeros((SIDE, SIDE), bool)
    missing[0, 0] = True
    assert np.array_equal(np.isnan(cube.integrated()), missing)
    missing[1, 1] = True
    assert np.array_equal(np.isnan(cube.summed(mask)), missing)


blinds = st.lists(st.sampled_from(range(CHANNELS)), max_size=4, unique=True)


@given(arrays.arrays(bool, (CHANNELS, 3, 4)), spectra, blinds)
@settings(max_examples=60)
def test_a_sum_is_that_of_the_values_that_are_seen(hidden, template, blind):
    data, rms = noise(1e-3)[:, :3, :4], np.linspace(1e-3, 2e-3, CHANNELS)
    data[hidden] = np.nan
    rms[blind] = np.nan
    seen = made(data, rms).summed(template)
    for row, column in np.ndindex(3, 4):
        used = ~hidden[:, row, column] & np.isfinite(rms) & (template != 0)
        weight = template[used] / rms[used] ** 2
        if not np.sum((template[used] / rms[used]) ** 2) > 0:
            assert np.isnan(seen[row, column])
            continue
        expected = np.sum(weight * data[used, row, column]) / np.sqrt(np.sum((template[used] / rms[used]) ** 2))
        assert seen[row, column] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("content", ["nan", "zero", "junk"])
def test_channels_without_a_noise_are_left_out(unknown, content):
    data, rms = noise(1e-3), np.full(CHANNELS, 1e-3)
    rms[[0, 5]] = unknown
    data[[0, 5]] = {"nan": np.nan, "zero": 0, "junk": 1e6}[content]
    expected = made(np.delete(data, [0, 5], axis=0)).integrated()
    assert made(data, rms).integrated() == pytest.approx(expected, abs=1e-5)


def test_without_any_channel_nothing_is_seen():
    assert np.isnan(made(noise(1e-3), np.nan).integrated()).all()
    assert np.isnan(made(noise(1e-3)).summed(np.zeros(CHANNELS))).all()


def test_sums_leave_the_cube_as_it_is():
    data = noise(1e-3)
    data[2, 3, 4] = np.nan
    cube = made(data)
    before = cube.data.copy()
    cube.integrated()
    cube.summed(np.arange(CHANNELS))
    assert np.array_equal(cube.data, before, equal_nan=True)


def test_the_beam_area_is_the_integral_of_a_gaussian():
    y, x = np.indices((81, 81)) - 40
    beam = np.exp(-4 * np.log(2) * ((y / 8) ** 2 + (x / 6) ** 2))
    assert made(noise(1e-3), beam=(8, 6, 0)).beam_area == pytest.approx(beam.sum(), rel=1e-6)


# On disk


def shard(path, numbers=(0, 3, 12), attrs=None):
    rms = np.linspace(3e-4, 5e-4, CHANNELS)
    dirty_beam = np.random.default_rng(3).random((10, 10), dtype=np.float32)
    cubes = [
        (number, made(noise(rms, 6, number) + 0.1 * (number == 3), rms, (8.9, 7.6, 84.5), dirty_beam))
        for number in numbers
    ]
    return cubes, cube_store.write(path, iter(cubes), attrs or {"case": "some", "seed": 7})


def test_cubes_come_back_as_they_were_stored(tmp_path):
    cubes, count = shard(tmp_path / "a.h5")
    read = list(cube_store.read(tmp_path / "a.h5"))
    assert count == cube_store.count(tmp_path / "a.h5") == 3
    assert [number for number, _ in read] == [0, 3, 12]
    for (_, cube), (_, stored) in zip(cubes, read, strict=True):
        assert stored.data.dtype == np.float32
        assert stored.data == pytest.approx(cube.data, rel=6e-4, abs=1e-4 * cube.rms.min())
        assert stored.beam == cube.beam
        for name in ("rms", "frequency", "dirty_beam"):
            assert np.array_equal(getattr(stored, name), getattr(cube, name))


@given(
    st.lists(st.integers(0, 999_999), min_size=1, max_size=4, unique=True),
    arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(-6e4, 6e4, width=32)),
    st.floats(1e-6, 1.0),
)
@settings(max_examples=25)
def test_any_values_keep_to_a_small_share_of_themselves_or_of_the_noise(tmp_path_factory, numbers, snr, rms):
    path = tmp_path_factory.mktemp("cubes") / "a.h5"
    data = snr * np.float32(rms)
    cube_store.write(path, ((number, made(data, rms, dirty_beam=np.ones((2, 2)))) for number in numbers), {})
    read = list(cube_store.read(path))
    assert [number for number, _ in read] == sorted(numbers)
    for _, cube in read:
        assert np.all(np.abs(cube.data - data) <= 5.1e-4 * np.abs(data) + 1e-6 * rms)


def test_unobserved_values_stay_unobserved(tmp_path):
    data = noise(1e-3, 6)
    data[3, 2] = np.nan
    cube_store.write(tmp_path / "a.h5", [(0, made(data, dirty_beam=np.ones((2, 2))))], {})
    ((_, cube),) = cube_store.read(tmp_path / "a.h5")
    assert np.array_equal(np.isnan(cube.data), np.isnan(data))


def test_a_shard_says_what_it_was_made_with(tmp_path):
    shard(tmp_path / "a.h5", attrs={"case": "some", "seed": 7})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["case"] == "some" and file.attrs["seed"] == 7


def test_equal_cubes_make_equal_files(tmp_path):
    for name in ("a.h5", "b.h5"):
        shard(tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_simulation_that_fails_leaves_no_file(tmp_path):
    def cubes():
        yield 0, made(noise(1e-3, 6), dirty_beam=np.ones((2, 2)))
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        cube_store.write(tmp_path / "a.h5", cubes(), {})
    assert not list(tmp_path.iterdir())


def broken(path, fault):
    shard(path)
    if fault == "text":
        path.write_text("no cubes in here")
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:1500])
    elif fault == "empty":
        path.write_bytes(b"")
    else:
        with h5py.File(path, "r+") as file:
            if fault == "no beam":
                del file.attrs["beam"]
            else:
                del file[fault]
    return path


@pytest.mark.parametrize("fault", ["text", "cut", "empty", "no beam", "rms", "frequency", "dirty_beam"])
def test_a_broken_file_is_named_with_what_to_do(tmp_path, fault):
    path = broken(tmp_path / "shard_3.h5", fault)
    with pytest.raises(UserError, match=r"shard_3\.h5: .*make it again"):
        list(cube_store.read(path))


def test_a_missing_file_is_named(tmp_path):
    for read in (cube_store.count, lambda path: list(cube_store.read(path))):
        with pytest.raises(UserError, match=r"none\.h5: no such file"):
            read(tmp_path / "none.h5")
