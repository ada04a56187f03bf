"""Circumstellar discs as brightness on the sky; lengths in any one unit, angles in radians, any scale of brightness."""

import numpy as np
from numpy.typing import NDArray

THICKNESS = 0.12  # a disc seen edge-on is this thick, relative to its radius


def deproject(x: NDArray, y: NDArray, inclination: float, angle: float) -> tuple[NDArray, NDArray]:
    """Return radius and azimuth in the plane of a disc.

    Parameters
    ----------
    x, y : array
        Offsets to the east and to the north.
    inclination : float
        0 is face-on.
    angle : float
        Position angle of the major axis, east of north.

    Returns
    -------
    radius, azimuth : array
        Azimuth is counted from the major axis.
    """
    along = x * np.sin(angle) + y * np.cos(angle)
    across = (x * np.cos(angle) - y * np.sin(angle)) / max(np.cos(inclination), THICKNESS)
    return np.hypot(along, across), np.arctan2(across, along)


def tapered(radius: NDArray, scale: float, slope: float) -> NDArray:
    """Return the power law with an exponential taper of a viscous disc (Lynden-Bell & Pringle 1974)."""
    relative = np.maximum(radius / scale, 0.03)
    return relative**-slope * np.exp(-(relative ** (2 - slope)))


def half_width(scale: float, slope: float) -> float:
    """Return the full width that holds half the flux of a face-on `tapered` disc; our measure of a disc's size."""
    radius = np.linspace(0, 6, 2000)
    flux = np.cumsum(tapered(radius, 1.0, slope) * radius)
    return float(2 * scale * radius[np.searchsorted(flux, flux[-1] / 2)])


def smooth_disc(x, y, scale: float, slope: float, inclination: float, angle: float) -> NDArray:
    """Return a disc without structure: see `tapered` and `deproject`."""
    radius, _ = deproject(x, y, inclination, angle)
    return tapered(radius, scale, slope)


def ringed_disc(x, y, scale, slope, inclination, angle, rings: list[tuple[float, float, float]], floor: float):
    """Return a disc with bright rings (radius, width, height) on a smooth one of relative brightness `floor`."""
    radius, _ = deproject(x, y, inclination, angle)
    image = floor * tapered(radius, scale, slope)
    for place, width, height in rings:
        image = image + height * np.exp(-0.5 * ((radius - place) / width) ** 2)
    return image


def spiral_arms(
    x, y, scale, inclination, angle, pitch: float, arms: int, phase: float, start: float, end: float,
    sharpness: float = 6.0, lopsided: float = 0.0,
) -> NDArray:  # fmt: skip
    """Return logarithmic spiral arms between the radii `start` and `end` times `scale`, fading outwards.

    The tangent of `pitch` is the ratio of radial to azimuthal growth; `phase` turns the pattern; `sharpness` makes the
    arms narrow; with `lopsided` above 0 one side of the disc is brighter.
    """
    radius, azimuth = deproject(x, y, inclination, angle)
    relative = np.maximum(radius / scale, 1e-3)
    winding = azimuth - np.log(relative) / np.tan(pitch) - phase
    crest = np.exp(sharpness * (np.cos(arms * winding) - 1)) * (1 + lopsided * np.cos(winding))
    fade = np.exp(-((relative / end) ** 4)) * (1 - np.exp(-((relative / start) ** 4)))
    return crest * fade / relative
