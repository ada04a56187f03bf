"""What else there is around young stars: envelopes, streamers, clouds, jets and points."""

import numpy as np
from numpy.typing import NDArray

from .particles import Particles, clumpiness, joined


def point(x: NDArray, y: NDArray) -> NDArray:
    """Return a point source, spread over the pixels around it by a narrow Gaussian so that it may lie between them."""
    sigma = 0.6 * float(y[1, 0] - y[0, 0])
    return np.exp(-0.5 * ((x / sigma) ** 2 + (y / sigma) ** 2))


def gaussian(x: NDArray, y: NDArray, major: float, minor: float, angle: float) -> NDArray:
    """Return an elliptical Gaussian of full widths at half maximum `major` and `minor`; angle east of north [rad]."""
    along, across = x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle)
    return np.exp(-4 * np.log(2) * ((along / major) ** 2 + (across / minor) ** 2))


def halo(x: NDArray, y: NDArray, radius: float, axis_ratio: float, angle: float) -> NDArray:
    """Return the inner envelope of a young disc: flat inside `radius`, falling with the third power outside."""
    along, across = x * np.sin(angle) + y * np.cos(angle), (x * np.cos(angle) - y * np.sin(angle)) / axis_ratio
    return (1 + (along**2 + across**2) / radius**2) ** -1.5


def filament(rng: np.random.Generator, start, length: float, width: float, direction: float, wander: float, n: int):
    """Return a filament as particles: a path that wanders, with a lognormal brightness along it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the path.
    start : (float, float)
        Its first point, east and north.
    length, width : float
        Of the path, and sigma across it.
    direction : float
        At the start, in radians from north to east.
    wander : float
        rms change of direction over the whole length, in radians.
    n : int
        Number of particles.
    """
    steps = 40
    heading = direction + np.cumsum(rng.normal(0, wander / np.sqrt(steps), steps))
    east = start[0] + np.concatenate([[0], np.cumsum(np.sin(heading))]) * length / steps
    north = start[1] + np.concatenate([[0], np.cumsum(np.cos(heading))]) * length / steps
    place = rng.uniform(0, 1, n)
    knots = np.linspace(0, 1, steps + 1)
    weight = clumpiness(rng, place[None, :] * 4, 0.7, 6)
    return Particles(
        np.interp(place, knots, east) + rng.normal(0, width, n),
        np.interp(place, knots, north) + rng.normal(0, width, n),
        weight,
        width / 3,
    )


def irregular_envelope(rng: np.random.Generator, radius: float, filaments: int, blur: float) -> Particles:
    """Return a clumpy envelope of the scale `radius`, off its star, with filaments through it in any direction."""
    n = 12_000
    shift = rng.normal(0, 0.5, 2) * radius
    axes, turn = radius * np.exp(rng.normal(0, 0.4, 2)), rng.uniform(0, np.pi)
    a, b = rng.normal(size=(2, n)) * axes[:, None]
    east, north = a * np.cos(turn) + b * np.sin(turn) + shift[0], b * np.cos(turn) - a * np.sin(turn) + shift[1]
    body = Particles(east, north, clumpiness(rng, np.stack([east, north]) / radius * 1.5, 1.1), blur)
    strands = [
        filament(
            rng,
            rng.normal(0, 0.8, 2) * radius,
            radius * rng.uniform(1.5, 3.5),
            radius * rng.uniform(0.06, 0.15),
            rng.uniform(0, 2 * np.pi),
            1.5,
            3000,
        )
        for _ in range(filaments)
    ]
    return joined([body, *strands], [1.0, *rng.uniform(0.2, 0.6, filaments)], blur)


def cloud(rng: np.random.Generator, radius: float, clump: float, blur: float) -> Particles:
    """Return patches of cloud over a disc of `radius`, with clumps of the size `clump`."""
    n = 16_000
    distance, azimuth = radius * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    east, north = distance * np.sin(azimuth), distance * np.cos(azimuth)
    return Particles(east, north, clumpiness(rng, np.stack([east, north]) / clump, 1.3, 24), blur)


def jet_knots(rng: np.random.Generator, length: float, angle: float, knots: int, sides: int, size: float) -> Particles:
    """Return the knots of a jet: in line, on one or both sides of the star, fading outwards; angle east of north."""
    distance = length * np.sort(rng.uniform(0.15, 1, knots)) * np.where(np.arange(knots) % 2 < sides - 1, -1, 1)
    strength = np.exp(rng.normal(0, 0.5, knots)) * np.exp(-np.abs(distance) / length)
    each = 600
    wiggle = rng.normal(0, 0.02 * length, knots)
    along = np.repeat(distance, each) + rng.normal(0, 0.8 * size, knots * each)
    across = np.repeat(wiggle, each) + rng.normal(0, 0.35 * size, knots * each)
    return Particles(
        along * np.sin(angle) + across * np.cos(angle),
        along * np.cos(angle) - across * np.sin(angle),
        np.repeat(strength, each),
        0.2 * size,
    )


def streamer(
    rng: np.random.Generator, length: float, width: float, angle: float, curl: float, blur: float
) -> Particles:
    """Return a narrow tail of falling gas that winds onto a disc: an arc which turns by `curl` [rad] as it comes in."""
    n = 5000
    place = rng.beta(1.0, 1.6, n)
    turn = angle + curl * (1 - place) ** 1.5
    distance = length * place
    weight = clumpiness(rng, place[None, :] * 3, 0.4, 5)
    return Particles(
        distance * np.sin(turn) + rng.normal(0, width, n),
        distance * np.cos(turn) + rng.normal(0, width, n),
        weight,
        blur,
    )
