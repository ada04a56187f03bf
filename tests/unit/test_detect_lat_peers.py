"""Maps of the test statistic of gamma-ray patches: what is put in comes back, upon a background that is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from skyloom.cases.fermi_sources import Observation
from skyloom.detect import lat_peers
from skyloom.detect.simulated_patches import observe, survey_of
from skyloom.sky.gamma_sources import GammaSource, draw_sources
from skyloom.sky.patch_fields import PatchField, draw_field

PLACE = (40.0, 50.0)


@pytest.fixture(scope="module")
def known():
    return lat_peers.Known(survey_of(Observation(), "resources"))


def sources(*given):
    """Return power-law-like sources at places and of fluxes, made of one that is drawn."""
    drawn = next(
        one for one in draw_sources(np.random.default_rng(0), *PLACE, 12.0, 1e-10, "resources") if one.kind == "agn"
    )
    assert isinstance(drawn, GammaSource)
    made = []
    for lon, lat, flux in given:
        made.append(replace(drawn, lon=lon, lat=lat, flux=flux))
    return tuple(made)


def a_patch(known, *given, seed=0):
    field = PatchField(*PLACE, 12.8, "hydrogen", sources(*given))
    return field, *observe(field, known.survey, np.random.default_rng(seed))


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_regridding_keeps_the_counts(side):
    image = np.random.default_rng(0).poisson(2.0, (64, 64)).astype(float)
    other = lat_peers._regridded(image, side)
    assert other.shape == (side, side) and other.sum() == pytest.approx(image.sum())
    half = image[:32].sum()
    assert other[: side // 2].sum() == pytest.approx(half)


def test_sources_are_found_where_and_as_bright_as_they_are(known):
    given = [(40.0, 50.0, 2e-8), (43.0, 52.0, 3e-9), (37.0, 47.0, 1.5e-9), (37.5, 53.0, 1.5e-9)]
    field, patch, truth = a_patch(known, *given)
    found = lat_peers.ts_map(patch, known, lat_peers.true_background(field, known.survey))
    assert set(lat_peers.COLUMNS) <= set(found.colnames)
    for row in truth:
        apart = np.hypot(found["x"] - row["x"], found["y"] - row["y"]) * 0.1
        nearest = found[int(np.argmin(apart))]
        assert apart.min() < 0.15
        assert nearest["flux"] == pytest.approx(row["flux"], rel=0.3)
        assert abs(nearest["flux"] - row["flux"]) < 5 * nearest["flux_error"] + 0.15 * row["flux"]
        assert nearest["score"] > 8
    assert len(found) < len(given) + 12
    assert found["score"][0] == max(found["score"]) and np.all(np.diff(found["score"]) <= 0)
    # A bright source is told once, wherever its rays fall.
    assert np.sum(np.hypot(found["x"] - 63.5, found["y"] - 63.5) < 4) == 1


def test_an_empty_sky_has_few_sources_and_none_above_five(known):
    field, patch, _ = a_patch(known)
    found = lat_peers.ts_map(patch, known, lat_peers.true_background(field, known.survey))
    assert len(found) < 25 and np.all(found["score"] < 5)


def test_the_other_tracer_is_scaled_to_the_counts_and_is_another_one(known):
    sky = SimpleNamespace(faintest=1e-10, variation=0.15, structure=0.07)
    rng = np.random.default_rng(3)
    field = draw_field(rng, (100.0, 3.0), 12.8, sky, "hydrogen", "resources")
    patch, _ = observe(field, known.survey, rng)
    true = lat_peers.true_background(field, known.survey)
    other = lat_peers.other_background(field, known.survey, patch, "dust")
    for one, that in zip(true, other, strict=True):
        assert that.sum() == pytest.approx(one.sum(), rel=0.25)
    assert not np.allclose(true[2] / true[2].mean(), other[2] / other[2].mean(), rtol=0.02)
