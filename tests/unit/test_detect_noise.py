import numpy as np
import pytest
from synthetic import BEAM, SCALE, gaussian, noise

from skyloom.detect.noise import noise_map, robust_rms

AREA = BEAM.area(SCALE)


def primary_beam(shape, width):
    rows, columns = np.indices(shape)
    r2 = (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2
    return np.exp(-4 * np.log(2) * r2 / width**2)


@pytest.mark.parametrize("side", [80, 300])
def test_flat_noise_is_found_in_small_and_large_images(side):
    rms = noise_map(noise((side, side), 2e-3, 1), AREA)
    assert np.median(rms) == pytest.approx(2e-3, rel=0.15)


def test_the_noise_grows_outward_as_the_inverse_primary_beam():
    beam = primary_beam((300, 300), 180)
    data = noise((300, 300), 1.0, 2) / beam
    data[beam < 0.2] = np.nan
    ratio = (noise_map(data, AREA) * beam)[beam >= 0.2]
    assert np.isnan(noise_map(data, AREA)[beam < 0.2]).all()
    assert np.percentile(ratio, 5) > 0.75 and np.percentile(ratio, 95) < 1.3
    rim = noise_map(data, AREA)[(beam > 0.2) & (beam < 0.25)]
    assert np.median(rim) > 3.5


def test_a_bright_source_does_not_raise_the_noise():
    empty = noise((200, 200), 1.0, 3)
    full = empty + gaussian((200, 200), 100, 100, 25, 15, 20, peak=800)
    ratio = noise_map(full, AREA)[90:110, 90:110] / noise_map(empty, AREA)[90:110, 90:110]
    assert 0.8 < np.median(ratio) < 1.25


def test_a_constant_image_has_no_noise():
    with pytest.raises(ValueError, match="noise"):
        noise_map(np.ones((50, 50)), AREA)


def test_robust_rms_survives_outliers():
    values = np.random.default_rng(0).normal(0, 3, 4000)
    values[:200] = 1e4
    assert robust_rms(values) == pytest.approx(3, rel=0.1)
