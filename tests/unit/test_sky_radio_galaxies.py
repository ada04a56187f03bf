from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.seeds import generator
from skyloom.sky import radio_galaxies
from skyloom.sky.clusters import Cluster

DEGREE = 3600.0


def test_counts_are_those_published():
    # Euclidean counts [Jy^1.5/sr] of other surveys at 150 MHz: polynomials of TGSS (Intema et al. 2017, A&A 598, A78)
    # and of the MWA (Franzen et al. 2019, PASA 36, e004) in log10(S/Jy), where all three hold.
    tgss, mwa = (3.5142, 0.3738, -0.3138, -0.0717, 0.0213, 0.0097), (3.52, 0.307, -0.388, -0.0404, 0.0351, 0.0060)
    flux = np.geomspace(0.1, 3, 8)
    ours = radio_galaxies.counts(flux) * flux**2.5
    for others in (tgss, mwa):
        np.testing.assert_allclose(ours, 10 ** np.polynomial.polynomial.polyval(np.log10(flux), others), rtol=0.25)


def test_as_many_sources_as_the_survey_finds():
    # LoTSS-DR2 has 780 a square degree, and finds 95 % of those above 1.1 mJy (Shimwell et al. 2022, A&A 659, A1).
    in_a_degree = radio_galaxies.number_above(1.1e-3) * np.radians(1) ** 2
    assert 200 < in_a_degree < 780


def test_drawn_sources_follow_the_counts():
    points = radio_galaxies.draw_points(generator(1, "test"), 3 * DEGREE, 1e-3, 20.0)
    area = np.radians(3) ** 2
    for flux in (1e-3, 3e-3, 1e-2, 1e-1):
        expected = radio_galaxies.number_above(flux) * area
        assert (points.flux >= flux).sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert points.flux.min() >= 1e-3
    assert np.abs(points.lon).max() <= 1.5 * DEGREE
    assert abs(points.lon.mean()) < 4 * DEGREE * 3 / np.sqrt(12 * len(points.lon))
    assert points.index.mean() == pytest.approx(-0.75, abs=0.02)


def test_number_above_is_the_integral_of_the_counts():
    flux = np.geomspace(2e-3, 20, 20000)
    density = radio_galaxies.counts(flux)
    integral = np.sum(0.5 * (density[1:] + density[:-1]) * np.diff(flux))
    assert radio_galaxies.number_above(2e-3) == pytest.approx(integral, rel=0.01)


@given(st.integers(0, 1000), st.floats(50, 3000))
@settings(deadline=None, max_examples=20)
def test_halves_of_a_source_keep_its_flux_and_place(seed, frequency):
    points = radio_galaxies.draw_points(generator(seed, "test"), 0.2 * DEGREE, 1e-3, 20.0)
    lon, lat, share = points.places()
    n = len(points.flux)
    np.testing.assert_allclose(share[:n] + share[n:], 1)
    np.testing.assert_allclose(share[:n] * lon[:n] + share[n:] * lon[n:], points.lon, atol=1e-9)
    np.testing.assert_allclose(np.hypot(lon[n:] - lon[:n], lat[n:] - lat[:n]), points.apart)
    assert (points.apart <= 60).all()
    np.testing.assert_allclose(points.flux_at(150.0), points.flux)
    assert points.flux_at(frequency).shape == (n,)


def test_members_are_denser_towards_the_centre():
    points = radio_galaxies.draw_members(generator(2, "test"), 100.0, -50.0, 300.0, 3000.0, 1e-4)
    radius = np.hypot(points.lon - 100, points.lat + 50) / 300
    assert len(radius) == pytest.approx(3000, abs=250)
    assert radius.max() <= 1.5
    inner, outer = (radius < 0.3).sum() / 0.3**2, ((radius > 0.9) & (radius < 1.2)).sum() / (1.2**2 - 0.9**2)
    assert inner > 5 * outer
    assert points.flux.min() >= 1e-4


def moments(galaxy):
    """Return offsets along and across a galaxy's angle in units of its size, and the shares of the flux."""
    lon, lat, share = radio_galaxies.points_of(galaxy)
    sin, cos = np.sin(np.radians(galaxy.angle)), np.cos(np.radians(galaxy.angle))
    east, north = (lon - galaxy.lon) / galaxy.size, (lat - galaxy.lat) / galaxy.size
    return east * sin + north * cos, east * cos - north * sin, share


def quantile(values, share, level):
    order = np.argsort(values)
    return values[order][np.searchsorted(np.cumsum(share[order]), level)]


@pytest.mark.parametrize("kind", radio_galaxies.KINDS)
def test_extended_sources_have_their_flux_and_size(kind):
    rng = generator(3, "test")
    for _ in range(4):
        galaxy = radio_galaxies.draw_galaxy(rng, kind, 40.0, -30.0, 200.0, 0.3)
        along, across, share = moments(galaxy)
        assert share.sum() == pytest.approx(1)
        assert (share >= 0).all()
        extent = max(quantile(values, share, 0.99) - quantile(values, share, 0.01) for values in (along, across))
        assert 0.3 < extent < 1.6
        again = radio_galaxies.points_of(galaxy)
        np.testing.assert_array_equal(again[0], radio_galaxies.points_of(galaxy)[0])
        moved = radio_galaxies.points_of(replace(galaxy, texture=galaxy.texture + 1))
        assert not np.array_equal(moved[0], again[0])


def test_double_sources_are_bright_at_their_ends_and_jets_near_the_core():
    rng = generator(4, "test")
    near = {"fr1": [], "fr2": []}
    for kind, found in near.items():
        for _ in range(12):
            along, across, share = moments(radio_galaxies.draw_galaxy(rng, kind, 0, 0, 100.0, 0.1))
            found.append(share[np.hypot(along, across) < 0.22].sum())
    # Fanaroff & Riley 1974: the brightest parts are nearer to the core than half of the extent, or further.
    assert np.median(near["fr1"]) > 0.5 > np.median(near["fr2"])


def test_tails_lie_on_one_side_and_narrow_ones_more_so():
    rng = generator(5, "test")
    spread, side = {}, {}
    for kind in ("wide_tail", "narrow_tail"):
        seen = [moments(radio_galaxies.draw_galaxy(rng, kind, 0, 0, 100.0, 0.1)) for _ in range(24)]
        side[kind] = np.median([np.average(along, weights=share) for along, _, share in seen])
        spread[kind] = np.median([np.sqrt(np.average(across**2, weights=share)) for _, across, share in seen])
    assert spread["wide_tail"] > spread["narrow_tail"]
    assert side["narrow_tail"] > side["wide_tail"] > 0.05


def test_an_inclined_spiral_is_narrow_across():
    rng = generator(6, "test")
    spiral = radio_galaxies.draw_galaxy(rng, "spiral", 0, 0, 300.0, 0.1)
    widths = []
    for inclination in (0.0, 70.0):
        along, across, share = moments(replace(spiral, bend=inclination))
        widths.append(np.sqrt(np.average(across**2, weights=share) / np.average(along**2, weights=share)))
    assert widths[0] == pytest.approx(1, abs=0.25)
    assert widths[1] / widths[0] == pytest.approx(np.cos(np.radians(70)), rel=1e-6)


def test_galaxies_of_a_cluster_are_in_it_and_have_its_scale():
    rng = generator(7, "test")
    cluster = Cluster(6e14, 0.1, 200.0, 100.0)
    drawn = [radio_galaxies.draw_cluster_galaxy(rng, cluster) for _ in range(200)]
    away = np.array([np.hypot(g.lon - 200, g.lat - 100) for g in drawn]) / cluster.r500
    assert np.median(away) < 0.6
    assert np.mean(away < 1.5) > 0.95
    assert all(60 <= g.size * cluster.scale <= 600 for g in drawn)
    power = np.log10([g.flux / cluster.flux(1.0, -0.9, 150.0) for g in drawn])
    assert power.mean() == pytest.approx(24.7, abs=0.15)


def test_joined_points_are_all_of_them():
    rng = generator(8, "test")
    parts = [radio_galaxies.draw_points(rng, 0.3 * DEGREE, 1e-3, 20.0) for _ in range(2)]
    whole = radio_galaxies.joined(parts)
    assert whole.flux.sum() == pytest.approx(sum(part.flux.sum() for part in parts))
    assert len(whole.angle) == sum(len(part.angle) for part in parts)
