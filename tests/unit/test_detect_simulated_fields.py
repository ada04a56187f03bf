from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.detect import simulated_fields
from skyloom.detect.simulated_fields import KINDS, Field, Limits, Sky
from skyloom.images.radio_fields import RadioField
from skyloom.instruments import radio_surveys
from skyloom.instruments.radio_surveys import Survey
from skyloom.seeds import generator
from skyloom.sky import clusters, radio_galaxies
from skyloom.sky.clusters import Cluster

ARRAY = radio_surveys.read_array(Path(__file__).parents[2] / "resources/arrays/lofar_hba.ecsv")
SURVEY = Survey(beam=20.0, pixel=5.0, side=256, rms=(1e-4, 1e-4), hours=4.0)
CLUSTER = Cluster(8e14, 0.2, 60.0, -90.0)
NO_POINTS = radio_galaxies.draw_points(generator(0, "test"), 1.0, 1.0, 5.0)


@pytest.fixture(scope="module")
def instrument():
    return radio_surveys.prepare(SURVEY, ARRAY)


def field(*pieces, cluster=CLUSTER, galaxies=(), points=NO_POINTS, subtracted=False):
    return Field(cluster, pieces, galaxies, points, subtracted, 1e-9)


def halo(flux, **changes):
    drawn = clusters.draw_halo(CLUSTER, generator(1, "test"))
    return replace(drawn, lon=60.0, lat=-90.0, size=40.0, flux=flux, **changes)


def relic(flux):
    drawn = clusters.draw_relics(CLUSTER, generator(2, "test"), double=0)[0]
    return replace(drawn, lon=60.0, lat=200.0, angle=0.0, size=250.0, width=25.0, curvature=600.0, flux=flux)


def test_there_are_no_points_among_the_fixtures():
    assert len(NO_POINTS.flux) == 0


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=12)
def test_drawn_fields_are_as_asked(seed):
    sky = Sky(absent=0.2, redshift=(0.1, 0.4), offset=0.1)
    drawn = simulated_fields.draw_field(generator(seed, "test"), sky, SURVEY)
    if drawn.cluster is None:
        assert drawn.diffuse == ()
    else:
        assert 0.1 <= drawn.cluster.redshift <= 0.4
        assert max(abs(drawn.cluster.lon), abs(drawn.cluster.lat)) <= 0.1 * 256 * 5
    assert 1e-4 <= drawn.artefacts <= 1e-3
    assert drawn.points.flux.max() <= 5 * (5 if drawn.cluster else 1)


def test_without_galaxies_there_are_none():
    sky = Sky(galaxies=0, tails=0, spirals=0, members=0)
    assert all(not simulated_fields.draw_field(generator(n, "test"), sky, SURVEY).galaxies for n in range(5))


def test_equal_seeds_give_equal_fields_and_images(instrument):
    images = []
    for seed in (3, 3, 4):
        drawn = simulated_fields.draw_field(generator(seed, "test"), Sky(none=0, absent=0), SURVEY)
        images.append(simulated_fields.observe(drawn, instrument, generator(seed, "look"))[0].image)
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_halo_is_where_it_is_told_and_keeps_its_flux(instrument):
    piece = halo(0.3, index=-1.3)
    found, rows = simulated_fields.observe(field(piece), instrument, generator(5, "test"))
    assert isinstance(found, RadioField)
    assert found.image.shape == found.mask.shape == (256, 256)
    assert found.beam == (20.0, 20.0, 0.0)
    (row,) = rows
    flux = 0.3 * (144 / 150) ** -1.3
    assert row["flux"] == pytest.approx(flux)
    assert row["mask_flux"] == pytest.approx(flux, rel=0.1)
    x, y = 127.5 - 60 / 5, 127.5 - 90 / 5
    assert (found.cluster.x, found.cluster.y) == pytest.approx((x, y))
    assert (row["x"], row["y"]) == pytest.approx((x, y), abs=6)
    assert found.cluster.r500 == pytest.approx(CLUSTER.r500 / 5)
    assert found.mask[round(row["y"]), round(row["x"])] > 0
    inside = found.image[found.mask > 0].sum() / SURVEY.beam_area
    assert inside == pytest.approx(flux, rel=0.15)
    assert row["visible"]
    assert row["kind"] == KINDS["halo"] == 0
    assert row["redshift"] == 0.2
    assert row["rms"] == pytest.approx(1e-4, rel=0.05)


def test_the_mask_is_where_emission_exceeds_the_limit(instrument):
    # Seen by the beam, the least brightness within the mask is the limit, and what lies outside is below it.
    piece = halo(0.05)
    found, (row,) = simulated_fields.observe(field(piece), instrument, generator(6, "test"))
    deeper, (deep,) = simulated_fields.observe(field(piece), instrument, generator(6, "test"), Limits(level=0.3))
    assert 0 < (found.mask > 0).sum() < (deeper.mask > 0).sum()
    assert not (found.mask[deeper.mask == 0] > 0).any()
    assert row["mask_flux"] < deep["mask_flux"] < row["flux"]
    assert row["size"] < deep["size"]
    none, (empty,) = simulated_fields.observe(field(piece), instrument, generator(6, "test"), Limits(brightness=1.0))
    assert not none.mask.any()
    assert not empty["visible"]
    assert (empty["size"], empty["snr"], empty["mask_flux"]) == (0, 0, 0)


def test_fainter_pieces_are_seen_worse_and_not_at_last(instrument):
    rows = [
        simulated_fields.observe(field(halo(flux)), instrument, generator(7, "test"))[1][0]
        for flux in (0.3, 0.03, 0.003, 0.0003)
    ]
    for name in ("mask_flux", "size", "peak_snr", "smoothed_snr"):
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True)
    assert rows[0]["smoothed_snr"] / rows[1]["smoothed_snr"] == pytest.approx(10, rel=0.01)
    assert [row["visible"] for row in rows][0::3] == [True, False]


def test_a_relic_has_its_length_and_angle(instrument):
    _, (row,) = simulated_fields.observe(field(relic(0.2)), instrument, generator(8, "test"))
    assert row["kind"] == 1
    assert row["extent"] == 250
    assert 0.75 * 250 < row["size"] < 1.3 * 250
    # The shock moves northwards, so the arc runs from east to west.
    assert abs(row["pa"] - 90) < 25


def test_each_piece_has_a_row_and_a_field_without_any_has_one(instrument):
    _, rows = simulated_fields.observe(field(halo(0.1), relic(0.1)), instrument, generator(9, "test"))
    assert [(row["source"], row["kind"]) for row in rows] == [(0, 0), (1, 1)]
    found, rows = simulated_fields.observe(field(), instrument, generator(9, "test"))
    assert not found.mask.any()
    assert [(row["kind"], row["visible"]) for row in rows] == [(-1, False)]
    found, (row,) = simulated_fields.observe(field(cluster=None), instrument, generator(9, "test"))
    assert found.cluster is None
    assert np.isnan(row["r500"])
    table = simulated_fields.truth_table([row | {"cube": 4, "file": "a"}])
    assert list(table["cube"]) == [4]
    assert table["visible"].dtype == bool
    assert table.colnames[-1] == "file"
    assert str(table["size"].unit) == "arcsec"
    assert set(simulated_fields.truth_table([]).colnames) == set(table.colnames) - {"file"}


def test_a_piece_outside_the_image_does_no_harm(instrument):
    piece = replace(halo(0.1), lon=9000.0)
    found, (row,) = simulated_fields.observe(field(piece), instrument, generator(10, "test"))
    assert not found.mask.any()
    assert not row["visible"]


def test_radio_galaxies_and_points_are_in_the_image_but_not_in_the_mask(instrument):
    rng = generator(11, "test")
    galaxy = radio_galaxies.draw_galaxy(rng, "fr2", 0.0, 0.0, 200.0, 0.4)
    point = radio_galaxies.Points(*(np.array([v]) for v in (-300.0, 200.0, 0.2, -0.7, 0.0, 0.0, 0.5)))
    found, _ = simulated_fields.observe(field(galaxies=(galaxy,), points=point), instrument, rng)
    assert not found.mask.any()
    x, y = simulated_fields.pixel_of(instrument, -300.0, 200.0)
    assert found.image[round(float(y)), round(float(x))] > 0.9 * 0.2 * (144 / 150) ** -0.7 * 0.9
    assert found.image[88:168, 88:168].sum() / SURVEY.beam_area == pytest.approx(galaxy.flux_at(144.0), rel=0.1)


def test_subtraction_leaves_little_of_bright_points_and_nothing_of_their_flux_on_average(instrument):
    points = radio_galaxies.draw_points(generator(12, "test"), 1200.0, 3e-3, 0.5)
    points = replace(points, apart=np.zeros_like(points.apart))
    before, after = (
        simulated_fields.observe(field(points=points, subtracted=done), instrument, generator(12, "test"))[0].image
        for done in (False, True)
    )
    assert len(points.flux) > 10
    assert abs(after).max() < 0.4 * before.max()
    assert after.min() < -5e-4  # the other half of a pair
    assert abs(after.sum()) < 0.2 * before.sum()


def test_masks_of_one_field_by_two_surveys_are_in_the_same_place(instrument):
    fine = radio_surveys.prepare(replace(SURVEY, beam=10.0, pixel=2.5, side=512), ARRAY)
    one, two = (
        simulated_fields.observe(field(halo(0.3)), some, generator(13, "test"))[1][0] for some in (instrument, fine)
    )
    assert 127.5 - one["x"] == pytest.approx((255.5 - two["x"]) / 2, abs=2)
    assert one["y"] - 127.5 == pytest.approx((two["y"] - 255.5) / 2, abs=2)
    assert one["size"] == pytest.approx(two["size"], rel=0.3)
    assert one["flux"] == two["flux"]
