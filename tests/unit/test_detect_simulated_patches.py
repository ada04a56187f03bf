"""Simulated patches of the gamma-ray sky: where they lie, what is in them, and that counts are what was expected."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.cases import fermi_sources
from skyloom.detect import simulated_patches as simulated
from skyloom.images.patches import SIDE
from skyloom.sky import patch_fields
from skyloom.sky.gamma_sources import GammaSource

RESOURCES = Path(__file__).parents[2] / "resources"
SKY = fermi_sources.Sky()
WIDTH = 12.8


@pytest.fixture(scope="module")
def survey():
    return simulated.survey_of(fermi_sources.Observation(), RESOURCES)


@pytest.fixture(scope="module")
def field():
    return patch_fields.draw_field(np.random.default_rng(4), (120.0, 45.0), WIDTH, SKY, "hydrogen", RESOURCES)


def a_source(flux, lon=120.0, lat=45.0):
    return GammaSource(lon, lat, "agn", flux, pivot=1.0, index=2.2)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 359.9), st.floats(-89, 89), st.floats(0.5, 12), st.sampled_from(list(patch_fields.WEDGES)))
def test_a_circle_that_fits_has_no_point_outside_its_wedge(lon, lat, radius, split):
    if not patch_fields.fits_in(lon, lat, radius, patch_fields.WEDGES[split]):
        return
    turn = np.radians(np.arange(0, 360, 5))
    middle, away = np.radians([lon, lat]), np.radians(radius * 0.999)
    up = np.arcsin(np.sin(middle[1]) * np.cos(away) + np.cos(middle[1]) * np.sin(away) * np.cos(turn))
    across = np.arctan2(
        np.sin(turn) * np.sin(away), np.cos(middle[1]) * np.cos(away) - np.sin(middle[1]) * np.sin(away) * np.cos(turn)
    )
    lons = np.degrees(middle[0] + across) % 360
    assert np.abs(np.degrees(up)).max() <= 90
    assert any(((lons >= low) & (lons <= high)).all() for low, high in patch_fields.WEDGES[split])


def test_splits_share_no_sky():
    random = np.random.default_rng(1)
    every = np.sort([edge for wedges in patch_fields.WEDGES.values() for edge in wedges], axis=0)
    assert np.all(every[1:, 0] >= every[:-1, 1]) and every[0, 0] == 0 and every[-1, 1] == 360
    for split, wedges in patch_fields.WEDGES.items():
        places = [patch_fields.draw_place(random, split, WIDTH) for _ in range(20)]
        places += patch_fields.centres(split, WIDTH).tolist()
        assert all(any(low < lon < high for low, high in wedges) for lon, _ in places)
    assert len(patch_fields.centres("test", WIDTH)) > 60


def test_a_pole_fits_into_no_wedge():
    assert not patch_fields.fits_in(45.0, 89.0, 5.0, patch_fields.WEDGES["test"])
    assert not patch_fields.fits_in(300.0, 20.0, 5.0, patch_fields.WEDGES["test"])
    assert patch_fields.fits_in(22.5, 20.0, 9.0, patch_fields.WEDGES["test"])


def test_sources_do_not_depend_on_the_tracer():
    drawn = [
        patch_fields.draw_field(np.random.default_rng(2), (120.0, 30.0), WIDTH, SKY, tracer, RESOURCES)
        for tracer in ("hydrogen", "dust")
    ]
    assert drawn[0].sources == drawn[1].sources and (drawn[0].gas, drawn[0].smooth) == (drawn[1].gas, drawn[1].smooth)
    np.testing.assert_array_equal(drawn[0].structure, drawn[1].structure)


def test_counts_are_poisson_of_what_is_expected(survey, field):
    empty = replace(field, sources=())
    wanted, photons = simulated.expected(empty, survey)
    assert photons.shape == (0, 5)
    patch, rows = simulated.observe(empty, survey, np.random.default_rng(1))
    assert rows == []
    for counts, mean in zip(patch.counts, wanted, strict=True):
        assert counts.shape == mean.shape and np.all(counts == np.round(counts))
        assert abs(counts.sum() - mean.sum()) < 5 * np.sqrt(mean.sum())
        squared = (counts - mean) ** 2 / mean
        assert squared.mean() == pytest.approx(1, abs=6 * np.sqrt((2 + 1 / mean.mean()) / mean.size))


def test_photons_of_a_source_are_as_many_and_as_wide_as_they_shall_be(survey, field):
    flux = 2e-7
    bright = replace(field, sources=(a_source(flux),))
    _, photons = simulated.expected(bright, survey)
    patch, rows = simulated.observe(bright, survey, np.random.default_rng(1))
    level, _ = simulated.expected(replace(field, sources=()), survey)
    middle = (SIDE - 1) / 2
    assert (rows[0]["x"], rows[0]["y"]) == pytest.approx((middle, middle), abs=1e-6)
    assert rows[0]["flux"] == flux and rows[0]["core"] and rows[0]["kind"] == 0
    for band, (counts, side) in enumerate(zip(patch.counts, survey.sides, strict=True)):
        profile, pixel = survey.profiles[band], WIDTH / side
        y, x = (np.mgrid[:side, :side] - (side - 1) / 2) * pixel
        radius = profile.radius(0.68)
        if radius < 3 * pixel:  # of coarser pixels, the circle has no clear edge
            continue
        inside = (counts - level[band])[np.hypot(x, y) <= radius].sum()
        assert inside / photons[0, band] == pytest.approx(0.68, abs=0.04)
    # Of a power law with the index 2.2, the share 7**-1.2 - 20**-1.2 of 1 - 100**-1.2 lies in the last band.
    share = (7**-1.2 - 20**-1.2) / (1 - 100**-1.2)
    assert photons[0, 4] == pytest.approx(flux * share * patch.exposure[4], rel=1e-3)


def test_significance_rises_with_the_flux_and_falls_beside_a_bright_source(survey, field):
    alone = [
        simulated.observe(replace(field, sources=(a_source(flux),)), survey, np.random.default_rng(1))[1][0]["snr"]
        for flux in (1e-10, 1e-9, 1e-8)
    ]
    assert alone[0] < alone[1] < alone[2]
    assert 1 < alone[0] < 5 and 8 < alone[1] < 25  # ten years detect some 1e-10 far from the plane
    both = (a_source(1e-9), a_source(1e-7, lon=120.3))
    rows = simulated.observe(replace(field, sources=both), survey, np.random.default_rng(1))[1]
    assert rows[0]["snr"] < 0.6 * alone[1]


def test_an_exposure_that_is_wanted_is_the_mean_over_the_sky():
    observation = fermi_sources.Observation(bands=[(2.0, 20.0, 64)], exposure=[5e11])
    survey = simulated.survey_of(observation, RESOURCES)
    random = np.random.default_rng(1)
    places = np.column_stack([random.uniform(0, 360, 4000), np.degrees(np.arcsin(random.uniform(-1, 1, 4000)))])
    assert np.mean([survey.exposure(*place)[0] for place in places[:500]]) == pytest.approx(5e11, rel=0.02)
    with pytest.raises(ValueError, match="has 1 exposures for 5 bands"):
        fermi_sources.Observation(exposure=[5e11])


def test_healpix_pixels_keep_all_counts_but_are_coarser(field):
    observation = {"bands": [(2.0, 20.0, 64)]}
    flat, cells = (
        simulated.survey_of(fermi_sources.Observation(**observation, healpix=nside), RESOURCES) for nside in (None, 128)
    )
    first, second = (simulated.observe(field, one, np.random.default_rng(3))[0].counts[0] for one in (flat, cells))
    assert second.sum() == pytest.approx(first.sum(), abs=6 * float(np.sqrt(first.sum())))
    steps = [np.abs(np.diff(one, axis=1)).mean() for one in (first, second)]
    assert steps[1] < 0.6 * steps[0]


def test_the_table_has_its_columns_even_if_nothing_was_drawn():
    table = simulated.truth_table([])
    assert table.colnames[:4] == ["cube", "source", "x", "y"] and table["flux"].unit == "1 / (cm2 s)"
    assert {"lon", "lat", "kind", "snr", "core", "tracer"} <= set(table.colnames)


def test_the_second_half_of_the_validation_sees_the_first_ones_sky(survey):
    chosen = fermi_sources.Simulate(validation=8, test=4, other_tracer=4)
    fields = {
        (split, number): fermi_sources.drawn_field(chosen, split, number, 1, survey)[0]
        for split, number in (("validation", 1), ("validation", 5), ("test", 2), ("other_tracer", 2), ("train", 2))
    }
    first, other = fields["validation", 1], fields["validation", 5]
    assert first.sources == other.sources and (first.tracer, other.tracer) == ("hydrogen", "dust")
    assert fields["test", 2].sources == fields["other_tracer", 2].sources != fields["train", 2].sources
    rows = fermi_sources._observed(chosen, "validation", 5, 1, survey)[1]
    assert {row["tracer"] for row in rows} == {1}


def test_mistaken_settings_are_told():
    with pytest.raises(ValueError, match="`simulate.other_tracer` above `simulate.test`"):
        fermi_sources.Settings(title="x", simulate={"test": 4, "other_tracer": 6}, models={}, chain=[])
    with pytest.raises(ValueError, match="`sky.other` that is `sky.tracer`"):
        fermi_sources.Simulate(sky={"tracer": "dust"})
    for bands, words in (
        ([(1.0, 2.0, 32), (1.5, 3.0, 32)], "rise and do not overlap"),
        ([(2.0, 1.0, 32)], "a least and a greatest energy"),
        ([(1.0 + n, 2.0 + n, 32) for n in range(4)], "more than three bands with 32 pixels"),
    ):
        with pytest.raises(ValueError, match=words):
            fermi_sources.Observation(bands=bands)


def test_test_patches_lie_at_latitudes_as_the_sky_does():
    rng = np.random.default_rng(4)
    lat = np.array([patch_fields.draw_centre(rng, "test", WIDTH)[1] for _ in range(600)])
    highest = np.abs(patch_fields.centres("test", WIDTH)[:, 1]).max()
    # Uniform in the sine of the latitude, up to the last ring in which a patch fits.
    share = np.sin(np.radians(20)) / np.sin(np.radians(highest + 3))
    assert abs(np.mean(np.abs(lat) < 20) - share) < 4 * np.sqrt(share * (1 - share) / len(lat)) + 0.02
