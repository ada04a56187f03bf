"""Classical finders of diffuse emission: a halo among compact sources, noise alone, and gaps in the image."""

import numpy as np
import pytest
from scipy import ndimage

from skyloom.cases.diffuse_radio import Search
from skyloom.detect import radio_peers
from skyloom.detect.radio_peers import FINDERS
from skyloom.images.radio_fields import Cluster, RadioField, as_mask
from skyloom.learn.field_peers import search_with
from skyloom.learn.field_tables import detection_table, with_truth

SIDE, PIXEL, BEAM, RMS = 144, 9.0, 20.0, 1e-4
QUICK = ["smoothed_residual", "photutils"]


def field(seed=0, halo=12.0, points=12):
    """Return a field of noise, points, and a halo of so many rms at its middle."""
    rng = np.random.default_rng(seed)
    sigma = BEAM / PIXEL / 2.355
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma)
    image = noise * RMS / noise.std()
    y, x = np.mgrid[:SIDE, :SIDE]
    bright = halo * RMS * np.exp(-(np.hypot(x - 72, y - 72) ** 2) / (2 * 9.0**2))
    for place in rng.integers(8, SIDE - 8, (points, 2)):
        image += 60 * RMS * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * sigma**2))
    mask = as_mask(bright, RMS, RMS)
    return RadioField(
        (image + bright).astype(np.float32), PIXEL, (BEAM, BEAM, 0.0), 144.0, Cluster(72.0, 72.0, 30.0, 0.2), mask
    )


def found(name, given):
    return search_with(FINDERS[name], given, Search(pixel=PIXEL))


@pytest.mark.parametrize("name", FINDERS)
def test_a_halo_is_found_and_measured(name):
    given = field(points=3 if name == "pybdsf" else 12)  # PyBDSF takes seconds for each
    result, seconds = found(name, given)
    there, truth = np.nan_to_num(result.probability) > 0.5, given.mask > 0
    assert (there & truth).sum() / (there | truth).sum() > 0.4
    rows = detection_table([{"cube": 0, **row} for row in with_truth(result, given.mask)])
    best = rows[1:][np.argmax(rows["snr"][1:])]
    assert np.hypot(best["x"] - 72, best["y"] - 72) < 6 and best["true_share"] > 0.5
    assert rows["region_mean"][0] > 0.05 and np.isnan(rows["odds_emission"][0])
    assert seconds > 0


@pytest.mark.parametrize("name", QUICK)
def test_compact_sources_and_noise_are_no_diffuse_emission(name):
    with_halo, without = (found(name, field(halo=halo))[0].probability for halo in (12.0, 0.0))
    assert np.nansum(without > 0.5) < 0.35 * np.nansum(with_halo > 0.5)


@pytest.mark.parametrize("name", QUICK)
def test_what_was_not_observed_is_no_emission(name):
    given = field()
    image = given.image.copy()
    image[:, :40] = np.nan
    given = RadioField(image, given.pixel, given.beam, given.frequency, given.cluster, given.mask)
    probability = found(name, given)[0].probability
    assert np.isnan(probability[:, :40]).all() and (probability[:, 45:] > 0.5).any()


@pytest.mark.parametrize("name", QUICK)
def test_an_empty_image_gives_no_island(name):
    result, _ = found(name, field(halo=0.0, points=0))
    assert np.nanmean(result.probability) < 0.02


def test_where_wavelets_fail_the_image_is_searched_without_them(monkeypatch):
    asked = []

    class Bdsf:
        @staticmethod
        def process_image(path, **options):
            asked.append(options.get("atrous_do", False))
            if asked[-1]:
                raise ValueError("math domain error")
            source = type("Gaussian", (), {"centre_pix": (32, 40), "size_pix": (20.0, 20.0, 0.0), "peak_flux": 1.0})
            return type("Result", (), {"gaussians": [source]})

    monkeypatch.setattr(radio_peers, "import_bdsf", lambda: Bdsf)
    image = np.zeros((80, 80), np.float32)
    seen = radio_peers.RadioImage(image, image + 0.01, image, (4.0, 4.0, 0.0), 5.0, 150.0)
    there = FINDERS["pybdsf"](seen)
    assert asked == [True, False] and there[40, 32] and not there[0, 0]
