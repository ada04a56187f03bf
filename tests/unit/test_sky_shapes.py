from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from skyloom.sky import discs, surroundings, winds
from skyloom.sky.particles import Particles, clumpiness, joined

AXIS = (np.arange(240) - 120) * 0.25
X, Y = -AXIS[None, :], AXIS[:, None]


def moments(image):
    """Position angle [rad] of the major axis and the two widths of an image."""
    total = image.sum()
    xx, yy, xy = (image * X**2).sum() / total, (image * Y**2).sum() / total, (image * X * Y).sum() / total
    widths, axes = np.linalg.eigh([[xx, xy], [xy, yy]])
    return np.arctan2(axes[0, 1], axes[1, 1]) % np.pi, np.sqrt(widths[::-1])


@given(angle=st.floats(0, np.pi), inclination=st.floats(0.3, 1.2))
@settings(max_examples=20, deadline=None)
def test_an_inclined_disc_lies_along_its_position_angle_and_is_narrowed_by_its_cosine(angle, inclination):
    image = discs.smooth_disc(X, Y, 4.0, 0.5, inclination, angle)
    found, (major, minor) = moments(image)
    assert abs((found - angle + np.pi / 2) % np.pi - np.pi / 2) < 0.02
    assert minor / major == pytest.approx(np.cos(inclination), rel=0.05)


def test_half_the_flux_of_a_disc_is_within_its_half_width():
    image = discs.smooth_disc(X, Y, 5.0, 0.6, 0.0, 0.0)
    inside = np.hypot(X, Y) < discs.half_width(5.0, 0.6) / 2
    assert image[inside].sum() / image.sum() == pytest.approx(0.5, abs=0.02)


def test_a_ring_is_bright_at_its_radius():
    image = discs.ringed_disc(X, Y, 2.0, 0.5, 0.0, 0.0, [(12.0, 0.8, 0.5)], 1.0)
    row = image[120, :120]
    assert -AXIS[: 120 - 20][np.argmax(row[: 120 - 20])] == pytest.approx(12.0, abs=0.3)


@pytest.mark.parametrize("arms", [2, 3])
def test_a_spiral_crosses_a_circle_as_often_as_it_has_arms(arms):
    image = discs.spiral_arms(X, Y, 5.0, 0.0, 0.0, 0.3, arms, 0.0, 0.4, 4.0)
    azimuth = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    around = map_coordinates(image, [120 + 40 * np.cos(azimuth), 120 - 40 * np.sin(azimuth)], order=1)
    above = around > 0.5 * around.max()
    assert np.count_nonzero(above & ~np.roll(above, 1)) == arms


STRAIGHT = winds.Wind(
    reach=8.0, foot=1.0, opening=np.radians(35), flare=1.0, thickness=0.05, inclination=np.radians(85),
    angle=0.0, sides=(1.0, 1.0), asymmetry=0.0, bright_side=(0.0, 0.0), bend=(0.0, 0.0), clumps=0.0,
)  # fmt: skip


def wind(**changes):
    return winds.dusty_wind(replace(STRAIGHT, **changes), np.random.default_rng(1), 0.25)(X, Y)


def test_a_wind_is_brighter_along_its_walls_than_along_its_axis():
    image = wind()
    height, wall = 8.0, 1.0 + 8.0 * np.tan(np.radians(35))
    row = 120 + round(height / 0.25)
    profile = image[row - 3 : row + 4].sum(axis=0)
    left, axis, right = (
        profile[place - 3 : place + 4].mean() for place in 120 + np.array([-1, 0, 1]) * round(wall / 0.25)
    )
    assert left == pytest.approx(right, rel=0.15)
    assert min(left, right) > 1.4 * axis


def test_an_even_wind_is_as_bright_far_out_as_near_by_on_a_cylinder():
    image = wind(even=1.0, flare=0.01, opening=np.radians(5))
    height = np.abs(Y[:, 0])
    near, far = (image[(height > low) & (height < low + 4)].sum() for low in (3.0, 9.0))
    assert far == pytest.approx(near, rel=0.1)


def test_a_one_sided_wind_blows_along_its_position_angle():
    image = wind(sides=(1.0, 0.0), angle=np.radians(90))  # to the east, that is to the left
    assert image[:, :120].sum() > 0.97 * image.sum()


def test_an_asymmetric_wind_has_one_bright_wall_and_a_bent_one_curves():
    east = wind(sides=(1.0, 0.0), asymmetry=0.95, bright_side=(0.0, 0.0))
    assert east[:, :120].sum() > 0.8 * east.sum()
    straight, bent = (wind(sides=(1.0, 0.0), bend=(turn, 0.0)) for turn in (0.0, 0.8))
    place = [(image * X).sum() / image.sum() for image in (straight, bent)]
    assert abs(place[0]) < 0.3 and place[1] > 2


def test_a_wind_thins_out_with_height():
    rows = wind().sum(axis=1)
    low, high = rows[120 + 12 : 120 + 28].sum(), rows[120 + 60 : 120 + 76].sum()
    assert low > 3 * high > 0


@given(east=st.floats(-25, 25), north=st.floats(-25, 25), pixel=st.floats(0.1, 0.6), blur=st.floats(0.2, 1.0))
@settings(max_examples=25, deadline=None)
def test_particles_keep_their_weight_and_place_on_any_grid(east, north, pixel, blur):
    axis = (np.arange(2 * round(35 / pixel)) - round(35 / pixel)) * pixel
    x, y = -axis[None, :], axis[:, None]
    image = Particles(np.array([east]), np.array([north]), np.array([2.5]), blur)(x, y)
    assert image.sum() == pytest.approx(2.5, rel=1e-3)
    assert ((image * x).sum() / 2.5, (image * y).sum() / 2.5) == pytest.approx((east, north), abs=0.02)


def test_particles_outside_of_the_grid_are_not_on_it():
    cloud = Particles(np.array([0.0, 500.0]), np.array([0.0, 0.0]), np.array([1.0, 9.0]), 0.3)
    assert cloud(X, Y).sum() == pytest.approx(1.0, rel=1e-3)


def test_joined_clouds_have_the_weights_given():
    clouds = [Particles(np.zeros(n), np.full(n, place), np.ones(n), 0.3) for n, place in ((10, -10.0), (300, 10.0))]
    image = joined(clouds, [3.0, 1.0], 0.3)(X, Y)
    assert image[:120].sum() == pytest.approx(3 * image[120:].sum(), rel=1e-3)


def test_clumpiness_is_positive_with_the_contrast_asked_for():
    places = np.random.default_rng(0).uniform(-20, 20, (2, 20000))
    weight = clumpiness(np.random.default_rng(1), places, 0.8, 40)
    assert weight.min() > 0
    assert np.std(np.log(weight)) == pytest.approx(0.8, rel=0.25)


@pytest.mark.parametrize("sides", [1, 2])
def test_jet_knots_are_in_line_on_the_sides_asked_for(sides):
    image = surroundings.jet_knots(np.random.default_rng(2), 20.0, np.radians(30), 8, sides, 0.5)(X, Y)
    angle, (major, minor) = moments(image)
    assert np.degrees(angle) == pytest.approx(30, abs=5)
    assert major > 5 * minor
    forward = X * np.sin(np.radians(30)) + Y * np.cos(np.radians(30)) > 0
    assert (image[~forward].sum() > 0.1 * image.sum()) == (sides == 2)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: surroundings.irregular_envelope(rng, 5.0, 3, 0.3),
        lambda rng: surroundings.cloud(rng, 20.0, 4.0, 0.5),
        lambda rng: surroundings.streamer(rng, 15.0, 0.4, 1.0, 1.5, 0.3),
        lambda rng: surroundings.filament(rng, (1.0, 2.0), 10.0, 0.5, 0.3, 1.0, 500),
    ],
)
def test_irregular_structure_depends_on_its_seed_only(draw):
    first, again, other = (draw(np.random.default_rng(seed))(X, Y) for seed in (4, 4, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.min() >= 0 and first.sum() > 0


def test_a_halo_falls_from_its_centre():
    image = surroundings.halo(X, Y, 3.0, 0.7, 0.5)
    assert image[120, 120] == image.max() == 1
    assert image[120, 0] < 0.01
