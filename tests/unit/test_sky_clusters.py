from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.seeds import generator
from skyloom.sky import clusters
from skyloom.sky.clusters import Cluster
from skyloom.sky.turbulence import deposit, filaments, gaussian_field, log_normal, overlap, stamp

COMA = Cluster(7e14, 0.0231)
DRAWERS = {
    "halo": clusters.draw_halo,
    "relic": lambda cluster, rng: clusters.draw_relics(cluster, rng, double=0)[0],
    "bridge": clusters.draw_bridge,
    "fossil": clusters.draw_fossil,
}


def shares(**changes):
    return SimpleNamespace(**{"none": 0.46, "halo": 0.7, "relic": 0.3, "bridge": 0.05, "fossil": 0.15} | changes)


def axes(image, step):
    """Return offsets to the east and to the north of a shape's cells."""
    n = len(image)
    y, x = (np.mgrid[:n, :n] - (n - 1) / 2) * step
    return -x, y


def test_sizes_of_a_known_cluster():
    # 0.467 kpc an arcsec at Coma (H0 = 70), and R500 = 1.3 Mpc for 7e14 Msun: 47 arcmin (Planck 2013, A&A 554, A140).
    assert COMA.scale == pytest.approx(0.467, rel=0.01)
    assert COMA.r500_kpc == pytest.approx(1320, rel=0.03)
    assert COMA.r500 / 60 == pytest.approx(47, rel=0.03)


def test_a_radio_power_becomes_the_flux_it_is_known_for():
    # The halo of Coma has 12 Jy at 144 MHz and 1.4e25 W/Hz (Bonafede et al. 2022, ApJ 933, 218).
    assert COMA.flux(1.4e25, -1.2, 144.0) == pytest.approx(12, rel=0.15)


@given(st.floats(0.05, 0.6), st.floats(-2.5, -0.7))
@settings(deadline=None, max_examples=20)
def test_flux_follows_the_spectral_index(z, index):
    cluster = Cluster(5e14, round(z, 2))
    ratio = cluster.flux(1e25, index, 1400.0) / cluster.flux(1e25, index, 140.0)
    assert ratio == pytest.approx(10**index)


def test_drawn_clusters_are_in_range_and_heavier_far_away():
    rng = generator(1, "test")
    drawn = [clusters.draw_cluster(rng, (2e14, 1.6e15), (0.05, 0.6), 0, 0) for _ in range(400)]
    z, mass = np.array([(one.redshift, one.mass) for one in drawn]).T
    assert z.min() >= 0.05
    assert z.max() <= 0.6
    assert mass.min() >= 2e14
    assert mass.max() <= 1.6e15
    assert 0.17 < np.median(z) < 0.3
    assert np.median(mass[z > 0.35]) > 1.3 * np.median(mass[z < 0.15])


@pytest.mark.parametrize(
    ("kind", "relation", "scatter"),
    [
        ("halo", clusters.halo_power, clusters.HALO_SCATTER),
        ("relic", clusters.relic_power, clusters.RELIC_SCATTER),
    ],
)
def test_powers_scatter_about_the_relation(kind, relation, scatter):
    rng = generator(2, "test")
    masses = np.geomspace(2e14, 1.6e15, 300)
    off = [np.log10(DRAWERS[kind](Cluster(float(m), 0.2), rng).power / relation(m)) for m in masses]
    assert np.mean(off) == pytest.approx(0, abs=4 * scatter / np.sqrt(300))
    assert np.std(off) == pytest.approx(scatter, rel=0.2)


def test_haloes_of_heavy_clusters_are_as_bright_as_published():
    # log P(150 MHz) = 25.6 at 10^14.9 Msun, and a factor of 2^3.55 for twice the mass.
    assert clusters.halo_power(10**14.9) == pytest.approx(10**25.6)
    assert clusters.halo_power(1e15) / clusters.halo_power(5e14) == pytest.approx(2**3.55)


def test_a_share_of_the_clusters_has_no_emission():
    rng = generator(3, "test")
    drawn = [clusters.draw_diffuse(COMA, shares(), rng) for _ in range(1500)]
    assert np.mean([not pieces for pieces in drawn]) == pytest.approx(0.46, abs=0.05)
    assert all(clusters.draw_diffuse(COMA, shares(none=0.0), rng) for _ in range(50))
    kinds = {piece.kind for pieces in drawn for piece in pieces}
    assert kinds == set(clusters.KINDS)


@pytest.mark.parametrize("kind", clusters.KINDS)
def test_equal_pieces_look_equal_and_others_do_not(kind):
    piece = DRAWERS[kind](Cluster(7e14, 0.2), generator(4, "test"))
    image, step, lon, lat = clusters.shape_of(piece)
    assert (image >= 0).all()
    assert np.isfinite(image).all()
    assert image.sum() > 0
    assert (lon, lat) == (piece.lon, piece.lat)
    # Nothing of it touches the grid's border, so that it is cut nowhere.
    assert max(edge.sum() for edge in (image[0], image[-1], image[:, 0], image[:, -1])) < 1e-4 * image.sum()
    np.testing.assert_array_equal(image, clusters.shape_of(piece)[0])
    other = clusters.shape_of(replace(piece, texture=piece.texture + 1))[0]
    assert np.abs(other / other.sum() - image / image.sum()).sum() > 0.1


def test_a_halo_is_exponential_on_average_but_not_smooth():
    rng = generator(5, "test")
    halo = replace(clusters.draw_halo(Cluster(7e14, 0.2), rng), width=1.0)
    images = [clusters.shape_of(replace(halo, texture=number)) for number in range(12)]
    step = images[0][1]
    mean = np.mean([image / image.sum() for image, *_ in images], axis=0)
    east, north = axes(mean, step)
    radius = np.hypot(east, north) / halo.size
    profile = [mean[(radius > r - 0.2) & (radius < r + 0.2)].mean() for r in (0.6, 1.6, 2.6)]
    # One e-folding radius further it is fainter by a factor of e, a little less as turbulence spreads it.
    assert 1.8 < profile[0] / profile[1] < 3.5
    assert 1.8 < profile[1] / profile[2] < 3.5
    one = images[0][0] / images[0][0].sum()
    ring = one[(radius > 0.9) & (radius < 1.1)]
    assert ring.std() / ring.mean() > 0.25


def test_a_relic_has_its_length_and_a_sharp_edge_outside():
    rng = generator(6, "test")
    relic = clusters.draw_relics(Cluster(8e14, 0.2), rng, double=0)[0]
    for angle in (0.0, 90.0, 217.0):
        one = replace(relic, angle=angle, curvature=3 * relic.size)
        image, step, *_ = clusters.shape_of(one)
        east, north = axes(image, step)
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        outwards, along = east * sin + north * cos, east * cos - north * sin
        lit = image > 0.01 * image.max()
        assert 0.75 * one.size < np.ptp(along[lit]) < 1.05 * one.size
        # The steepest fall on the side of the shock, against that behind it, along lines across the middle.
        column = np.abs(along) < 0.3 * one.size
        bins = np.arange(-4 * one.width, 1.5 * one.width, step)
        profile = np.histogram(outwards[column], bins, weights=image[column])[0]
        peak = profile.argmax()
        centre = np.average(bins[:-1], weights=profile)
        assert bins[peak] > centre  # more of it lies behind the peak than before
        outer = np.average(np.clip(bins[peak:-1] - bins[peak], 0, None), weights=profile[peak:])
        inner = np.average(np.clip(bins[peak] - bins[: peak + 1], 0, None), weights=profile[: peak + 1])
        assert inner > 1.5 * outer


def test_two_relics_are_on_opposite_sides():
    rng = generator(7, "test")
    cluster = Cluster(8e14, 0.2, 30.0, -20.0)
    first, second = clusters.draw_relics(cluster, rng, double=1)
    places = np.array([(r.lon - cluster.lon, r.lat - cluster.lat) for r in (first, second)])
    distances = np.hypot(*places.T)
    assert places[0] @ places[1] < -0.7 * distances.prod()
    assert (distances / cluster.r500 >= 0.5).all()
    assert (distances / cluster.r500 <= 1.5).all()


def test_bridges_and_fossils_have_the_sizes_and_spectra_that_are_told():
    rng = generator(8, "test")
    cluster = Cluster(5e14, 0.1)
    for _ in range(40):
        bridge, fossil = clusters.draw_bridge(cluster, rng), clusters.draw_fossil(cluster, rng)
        assert 900 <= bridge.size * cluster.scale <= 2200
        assert 80 <= fossil.size * cluster.scale <= 400
        assert fossil.index <= -1.5 < bridge.index + 0.31
        assert cluster.flux(bridge.power, bridge.index, 150.0) == pytest.approx(bridge.flux)


@pytest.mark.parametrize("slope", [2.5, 11 / 3])
def test_random_fields_have_their_power_law(slope):
    fields = [gaussian_field(generator(number, "test"), (256, 256), slope, 1e4, 0.1) for number in range(4)]
    power = np.mean([np.abs(np.fft.fft2(field)) ** 2 for field in fields], axis=0)
    wave = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None, :])
    low, high = (power[(wave > k) & (wave < 1.4 * k)].mean() for k in (0.03, 0.24))
    assert np.log(low / high) / np.log(8) == pytest.approx(slope, abs=0.3)


def test_turbulent_brightness_is_positive_skewed_and_threaded():
    rng = generator(9, "test")
    field = log_normal(rng, (200, 200), 0.6, 60, 0.3)
    assert field.min() > 0
    assert field.mean() == pytest.approx(1, rel=1e-3)
    assert np.mean(((field - 1) / field.std()) ** 3) > 0.5
    web = filaments(rng, (200, 200), 50)
    # Threads: a small part of the area holds much of the light.
    brightest = np.sort(web.ravel())[::-1]
    assert brightest[: web.size // 5].sum() > 0.4 * web.sum()


@given(st.floats(0.3, 4), st.floats(-20, 60), st.floats(-20, 60), st.integers(3, 40), st.integers(3, 40))
@settings(deadline=None, max_examples=60)
def test_stamps_keep_flux_and_place(step, x, y, rows, columns):
    image = np.pad(generator(rows, "test").uniform(0.5, 1, (rows, columns)), 1)  # shapes end before the border
    rows, columns = image.shape
    drawn, (row, column) = stamp(image, step, x, y, 2.5)
    assert drawn.sum() == pytest.approx(2.5, rel=1e-5)
    grid_y, grid_x = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
    own_y, own_x = np.mgrid[:rows, :columns]
    tolerance = 0.07 * step  # of images of a few pixels
    expected_x = x + step * (np.average(own_x, weights=image) - (columns - 1) / 2)
    expected_y = y + step * (np.average(own_y, weights=image) - (rows - 1) / 2)
    assert np.average(grid_x, weights=drawn) + column == pytest.approx(expected_x, abs=tolerance)
    assert np.average(grid_y, weights=drawn) + row == pytest.approx(expected_y, abs=tolerance)


@given(st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 12), st.floats(0.1, 5)), max_size=20))
@settings(deadline=None, max_examples=60)
def test_deposited_points_keep_flux_and_place(points):
    canvas, whole = np.zeros((10, 13)), np.zeros((30, 33))
    x, y, flux = np.array(points, float).reshape(-1, 3).T
    deposit(canvas, x, y, flux)
    deposit(whole, x + 10, y + 10, flux)
    assert whole.sum() == pytest.approx(flux.sum())
    np.testing.assert_allclose(whole[10:20, 10:23], canvas, atol=1e-12)
    if len(x):
        grid = np.arange(33)
        assert (whole.sum(axis=0) * grid).sum() == pytest.approx((flux * (x + 10)).sum())


@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 25), st.integers(1, 25))
def test_overlap_is_what_is_on_both(row, column, height, width):
    canvas, own = overlap((row, column), (height, width), (12, 17))
    marked = np.zeros((100, 100), int)
    marked[40:52, 40:57] += 1
    marked[40 + row : 40 + row + height, 40 + column : 40 + column + width] += 1
    area = np.zeros((12, 17))[canvas]
    assert area.shape == np.zeros((height, width))[own].shape
    assert area.size == (marked == 2).sum()
