from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import gaussian

from skyloom.images import VIEWS
from skyloom.images.augment import Chain, aligned, augmented, beam_noise, geometric_mean, orientation, pairs_of, turned
from skyloom.images.normalise import network_input
from skyloom.images.store import no_cutouts

BEAMS = np.array([[6.0, 4.4, 30.0], [5.0, 5.0, 0.0]])
NOTHING = {"flips": False, "rotations": False, "resize": None, "shift": 0, "noise": 0.0}


def both(data):
    return np.stack([data, data], axis=-1).astype(np.float32)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 6.28))
def test_an_image_turned_back_is_itself(angle):
    data = both(gaussian((100, 100), 55, 45, 22, 12, 20))
    back = turned(turned(data, angle), -angle)
    np.testing.assert_allclose(back[25:75, 25:75], data[25:75, 25:75], atol=0.03)


def test_turning_goes_from_x_to_y():
    data = both(gaussian((101, 101), 70, 50, 6, 6, 0))
    row, column, _ = np.unravel_index(np.argmax(turned(data, np.pi / 2)), data.shape)
    assert (row, column) == (70, 50)


def test_shift_and_zoom_move_and_widen():
    data = both(gaussian((101, 101), 50, 50, 10, 10, 0))
    row, column, _ = np.unravel_index(np.argmax(turned(data, 0, shift=(3, -2))), data.shape)
    assert (row, column) == (48, 53)
    assert turned(data, 0, zoom=1.5).sum() == pytest.approx(2.25 * data.sum(), rel=0.02)


@pytest.mark.parametrize("pa", [0, 35, 90, 140])
def test_orientation_is_the_major_axis_and_alignment_makes_it_upright(pa):
    data = gaussian((100, 100), 49.5, 49.5, 40, 10, pa, peak=100)
    angle = np.degrees(orientation(data)) - 90
    assert abs((angle - pa + 90) % 180 - 90) < 2
    upright = aligned(both(data))
    assert abs((np.degrees(orientation(upright[..., 0])) - 90 + 90) % 180 - 90) < 2


def test_beam_noise_has_unit_rms_and_the_beams_correlation():
    fields = np.stack([beam_noise(100, (8.0, 4.0, 0.0), np.random.default_rng(seed)) for seed in range(40)])
    assert fields.std() == pytest.approx(1, rel=0.03)
    power = np.mean(np.abs(np.fft.fft2(fields)) ** 2, axis=0)
    correlation = np.fft.ifft2(power).real
    correlation /= correlation[0, 0]
    assert correlation[4, 0] == pytest.approx(0.5, abs=0.05)
    assert correlation[0, 2] == pytest.approx(0.5, abs=0.05)


def test_added_noise_keeps_the_unit():
    rng = np.random.default_rng(0)
    image = both(beam_noise(100, BEAMS[0], rng))
    noisy = augmented(image, BEAMS, Chain(**NOTHING | {"noise": 2.0}), np.random.default_rng(2))
    assert noisy.std() == pytest.approx(1, rel=0.15)
    assert np.abs(noisy - image).max() > 0.5


def test_each_part_can_be_switched_off():
    data = both(gaussian((100, 100), 60, 40, 30, 10, 20, peak=50))
    rng = np.random.default_rng
    np.testing.assert_array_equal(augmented(data, BEAMS, Chain(**NOTHING), rng(1)), data)
    for part, value in (("flips", True), ("rotations", True), ("resize", (0.5, 0.6)), ("shift", 4), ("noise", 1.0)):
        varied = [augmented(data, BEAMS, Chain(**NOTHING | {part: value}), rng(seed)) for seed in range(4)]
        assert any(np.abs(one - data).max() > 0.5 for one in varied), part


def test_channels_stay_together_and_nan_becomes_zero():
    data = both(gaussian((100, 100), 60, 40, 30, 10, 20, peak=50))
    data[:10] = np.nan
    chain = Chain(flips=True, rotations=True, resize=(0.8, 1.2), shift=3, noise=0.0)
    made = augmented(data, BEAMS, chain, np.random.default_rng(3))
    assert np.isfinite(made).all() and made.dtype == np.float32
    np.testing.assert_array_equal(made[..., 0], made[..., 1])


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_the_geometric_mean_keeps_size_and_sign(first, second):
    mean = geometric_mean(np.array(first), np.array(second))
    assert abs(mean) == pytest.approx(np.sqrt(abs(first * second)))
    assert mean * (first + second) >= 0
    assert mean == geometric_mean(np.array(second), np.array(first))


def test_pairs_are_of_different_targets_and_never_twice():
    groups = ["a", "a", "b", "c"]
    pairs = pairs_of(groups, 100, np.random.default_rng(0))
    assert len(pairs) == len(set(pairs)) == 5
    assert all(groups[i] != groups[j] for i, j in pairs)
    assert len(pairs_of(groups, 2, np.random.default_rng(0))) == 2
    assert pairs_of(["a"], 5, np.random.default_rng(0)) == []


def test_network_input_is_in_units_of_noise_and_finite():
    cutouts = no_cutouts(8)
    native = np.full((2, 8, 8), 6e-3)
    native[0, 0, 0] = np.nan
    cutouts = replace(
        cutouts, native=native, scaled=np.full((2, 8, 8), 3.0), wide=np.zeros((2, 8, 8)), rms=np.array([1e-3, 2e-3])
    )
    x = network_input(cutouts.snr())
    assert x.shape == (2, 8, 8, len(VIEWS)) and x.dtype == np.float32
    assert x[0, 0, 0, 0] == 0 and np.all(x[..., 1] == np.float32(np.arcsinh(1)))
    assert x[0, 1, 1, 0] == pytest.approx(np.arcsinh(2)) and x[1, 1, 1, 0] == pytest.approx(np.arcsinh(1))
    with pytest.raises(ValueError, match="positive"):
        replace(cutouts, rms=np.array([0.0, 1.0])).snr()
