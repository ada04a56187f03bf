"""Dust lifted by a disc wind: particles on a hollow, limb-brightened cone above and below a disc."""

from dataclasses import dataclass

import numpy as np

from .particles import Particles, clumpiness

N_PARTICLES = 24_000


@dataclass(frozen=True)
class Wind:
    """Geometry of a wind.

    Attributes
    ----------
    reach : float
        Scale height along the axis, over which the dust thins out.
    foot : float
        Radius in the disc at which the wind starts.
    opening : float
        Half the opening angle at the height `reach`, in radians.
    flare : float
        Exponent of the wall's radius with height: 1 is a cone, 0.5 a paraboloid.
    thickness : float
        Relative scatter of the wall's radius.
    inclination : float
        Of the axis to the line of sight, in radians.
    angle : float
        Position angle of the axis on the sky, east of north, in radians.
    sides : (float, float)
        Relative brightness of the two lobes.
    asymmetry : float
        From 0, walls alike, to 1, all dust on one side of each lobe.
    bright_side : (float, float)
        Azimuth of the bright wall of each lobe, in radians; 0 and pi are the limbs.
    bend : (float, float)
        By how much each lobe is turned in the plane of the sky at the distance `reach`, in radians; it grows with
        the distance up to one and a half times that.
    clumps : float
        Contrast of the clumps.
    even : float
        Share of the dust that is spread evenly over all heights up to twice `reach`.
    """

    reach: float
    foot: float
    opening: float
    flare: float
    thickness: float
    inclination: float
    angle: float
    sides: tuple[float, float]
    asymmetry: float
    bright_side: tuple[float, float]
    bend: tuple[float, float]
    clumps: float
    even: float = 0.0


def dusty_wind(wind: Wind, rng: np.random.Generator, blur: float) -> Particles:
    """Return a wind as particles on the sky, each blurred by `blur`; lengths in the unit of the geometry.

    In three dimensions: heights fall off exponentially and end softly at twice the reach, or fill all heights evenly;
    radii scatter about the wall, azimuths follow the asymmetry. Then the particles are projected, and the lobes bent.
    """
    side = np.where(rng.random(N_PARTICLES) < wind.sides[0] / sum(wind.sides), 0, 1)
    height = rng.exponential(wind.reach, N_PARTICLES)
    even = rng.random(N_PARTICLES) < wind.even
    height = np.where(even, rng.uniform(0, 2 * wind.reach, N_PARTICLES), height)
    wall = wind.foot + wind.reach * np.tan(wind.opening) * (height / wind.reach) ** wind.flare
    radius = wall * np.exp(wind.thickness * rng.normal(size=N_PARTICLES))
    azimuth = rng.uniform(0, 2 * np.pi, N_PARTICLES)
    towards = np.cos(azimuth - np.asarray(wind.bright_side)[side])
    weight = (1 - wind.asymmetry) + wind.asymmetry * np.exp(4 * (towards - 1)) * 2.5
    places = np.stack([np.cos(azimuth), np.sin(azimuth), height / wind.reach * 2, side * 5.0])
    weight = (
        weight * clumpiness(rng, places, wind.clumps) * np.where(even, 1.0, np.exp(-((height / wind.reach / 2) ** 4)))
    )

    up = np.where(side == 0, height, -height)
    across = radius * np.cos(azimuth)
    along = up * np.sin(wind.inclination) + radius * np.sin(azimuth) * np.cos(wind.inclination)
    turn = wind.angle + np.asarray(wind.bend)[side] * np.minimum(np.hypot(across, along) / wind.reach, 1.5)
    return Particles(
        east=along * np.sin(turn) + across * np.cos(turn),
        north=along * np.cos(turn) - across * np.sin(turn),
        weight=weight,
        blur=blur,
    )
