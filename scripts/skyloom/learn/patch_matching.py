"""Which source of a gamma-ray patch is which true one, how often by chance, and what that says of what was measured."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from astropy.table import Column, Table

from ..detect.match_sources import match_brightest, values
from ..images.patches import SIDE
from ..sky.gamma_sources import KINDS
from .metrics import proportion

DISTANCE = 0.3
"""Largest distance of a detection from its source [deg], as in AutoSourceID (Panes et al. 2021, arXiv:2103.11068)."""
LOWEST_SNR = 2.0
"""A detection without a source of this S/N in reach is false; fainter ones are too many to tell from chance."""
CORE = 4.6
"""Largest offset from the middle of a patch, along either axis, at which detections are judged [deg]."""
ONE_SIGMA = 68.27
ROUND = float(np.sqrt(-2 * np.log(1 - ONE_SIGMA / 100)))
"""Radius that holds as much of a round Gaussian, in units of its standard deviation along an axis."""
REGIONS = {"all": (0.0, 90.0), "high": (20.0, 90.0), "low": (0.0, 20.0), "middle": (10.0, 20.0), "plane": (0.0, 10.0)}
"""Ranges of the latitude without its sign [deg]."""
WORDS = {
    "all": "all latitudes",
    "high": "latitudes above 20 deg",
    "low": "latitudes below 20 deg",
    "middle": "latitudes of 10 to 20 deg",
    "plane": "latitudes below 10 deg",
}


def matches(truth: Table, detections: Table, lowest_snr: float = LOWEST_SNR) -> np.ndarray:
    """Return for each true source the row of its detection, or -1 (`skyloom.detect.match_sources.match_brightest`).

    Parameters
    ----------
    truth, detections : astropy.table.Table
        The latter's header has the side of a ``pixel`` [deg].
    lowest_snr : float
        Fainter sources have no detection.
    """
    some = np.flatnonzero(values(truth, "snr") >= lowest_snr)
    matched = np.full(len(truth), -1)
    matched[some] = match_brightest(truth[some], detections, DISTANCE / detections.meta["pixel"])
    return matched


def in_core(detections: Table) -> np.ndarray:
    """Return which detections are judged, those outside the core of their patch being neither true nor false."""
    apart = [np.abs(values(detections, axis) - (SIDE - 1) / 2) for axis in "xy"]
    return np.maximum(*apart) * detections.meta["pixel"] <= CORE


def within(table: Table, region: str) -> np.ndarray:
    """Return which rows lie in one of the `REGIONS`, by their column ``lat`` [deg]."""
    low, high = REGIONS[region]
    latitude = np.abs(values(table, "lat"))
    return (latitude >= low) & ((latitude < high) | (high >= 90))


def judged(truth: Table, detections: Table, matched: np.ndarray) -> tuple[Table, Table, np.ndarray]:
    """Return the detections in the core, the true sources in it or detected there, and the matches of these."""
    core = in_core(detections)
    number = np.append(np.where(core, np.cumsum(core) - 1, -1), -1)
    renumbered = number[matched]
    wanted = (np.asarray(truth["core"], bool) & (values(truth, "snr") >= LOWEST_SNR)) | (renumbered >= 0)
    return truth[wanted], detections[core], renumbered[wanted]


def outshone(truth: Table, pixel: float, kinds: Sequence[int]) -> np.ndarray:
    """Return which sources have a brighter one in reach, of some kinds: a candidate there is taken for that one.

    Parameters
    ----------
    truth : astropy.table.Table
    pixel : float
        Side of a pixel of the reference grid [deg].
    kinds : sequence of int
        Numbers of the `KINDS`.
    """
    result, flux, cubes = np.zeros(len(truth), bool), values(truth, "flux"), np.asarray(truth["cube"])
    place = np.stack([values(truth, axis) for axis in "xy"], axis=1)
    of_kind = np.isin(np.asarray(truth["kind"], int), kinds)
    for cube in np.unique(cubes):
        rows = np.flatnonzero(cubes == cube)
        others = rows[of_kind[rows]]
        apart = np.linalg.norm(place[rows, None] - place[None, others], axis=-1) * pixel
        result[rows] = ((apart <= DISTANCE) & (flux[others] > flux[rows, None])).any(axis=1)
    return result


def chance(truth: Table, detections: Table, confidence: float) -> dict:
    """Return which share of positions has a true source in reach by chance.

    The true sources are mirrored at the meridian through the centre of their patch, so that they stay at their
    latitude. Detections near the meridian are left out, which their own source could be in reach of.

    Returns
    -------
    dict
        For ``real`` (sources with an S/N of `LOWEST_SNR` and more) and ``any`` (all that were drawn) the share with its
        interval in each of the `REGIONS`.
    """
    mirrored = truth.copy()
    mirrored["x"] = SIDE - 1 - values(truth, "x")
    reach = DISTANCE / detections.meta["pixel"]
    some = np.flatnonzero(in_core(detections) & (np.abs(values(detections, "x") - (SIDE - 1) / 2) > reach))
    shares = {}
    for name, lowest in (("real", LOWEST_SNR), ("any", -np.inf)):
        bright = mirrored[values(mirrored, "snr") >= lowest]
        hit = _any_near(bright, detections[some], reach)
        shares[name] = {
            region: asdict(proportion(int(hit[inside].sum()), int(inside.sum()), confidence))
            for region in REGIONS
            for inside in [within(detections[some], region)]
        }
    return shares


def _any_near(truth: Table, detections: Table, distance: float) -> np.ndarray:
    """Return which detections have any source in reach."""
    hit = np.zeros(len(detections), bool)
    true_cube, cubes = np.asarray(truth["cube"]), np.asarray(detections["cube"])
    true, found = (np.stack([values(table, axis) for axis in "xy"], axis=1) for table in (truth, detections))
    for cube in np.intersect1d(true_cube, cubes):
        rows = np.flatnonzero(cubes == cube)
        apart = found[rows, None] - true[None, true_cube == cube]
        hit[rows] = (np.hypot(apart[..., 0], apart[..., 1]) <= distance).any(axis=1)
    return hit


def residuals(truth: Table, detections: Table, matched: np.ndarray) -> Table:
    """Return what was measured against the truth, one row a matched source.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        The latter calibrated (`skyloom.learn.patch_calibration.apply`).
    matched : numpy.ndarray of int, shape (len(truth),)

    Returns
    -------
    astropy.table.Table
        Of the truth cube, source, lat [deg], snr, flux [cm-2 s-1] and kind (number); dx, dy, distance [deg] and the
        position's errors x_error, y_error, radius68, radius95, pos_systematic [deg]; ``ellipse`` (distance over the
        extent of the 68 % ellipse in its direction); found_flux with flux_error [cm-2 s-1] and flux_systematic (share);
        probability and its systematic error; found_kind (number), kind_probability.
    """
    found = np.asarray(matched) >= 0
    true, measured = truth[found], detections[np.asarray(matched)[found]]
    pixel = detections.meta["pixel"]
    table = Table({name: true[name] for name in ("cube", "source", "lat", "snr", "flux", "kind")})
    dx, dy = (values(measured, axis) - values(true, axis) for axis in "xy")
    for name, value in (("dx", dx), ("dy", dy), ("distance", np.hypot(dx, dy))):
        table[name] = Column(value * pixel, unit="deg")
    for name in ("x_error", "y_error", "radius68", "radius95"):
        table[name] = Column(values(measured, name) * pixel, unit="deg")
    table["pos_systematic"] = Column(values(measured, "pos_systematic"), unit="deg")
    errors = [values(measured, name) for name in ("x_error", "y_error", "xy_correlation")]
    table["ellipse"] = mahalanobis(dx, dy, *errors) / ROUND
    table["found_flux"] = Column(values(measured, "flux"), unit="cm-2 s-1")
    table["flux_error"] = Column(values(measured, "flux_error"), unit="cm-2 s-1")
    for name in ("flux_systematic", "probability", "probability_systematic"):
        table[name] = values(measured, name)
    shares = np.stack([values(measured, f"p_{kind}") for kind in KINDS], axis=1)
    table["found_kind"] = np.argmax(np.nan_to_num(shares), axis=1) if len(measured) else np.zeros(0, int)
    table["kind_probability"] = shares.max(axis=1) if len(measured) else np.zeros(0)
    return table


def mahalanobis(
    dx: np.ndarray, dy: np.ndarray, x_error: np.ndarray, y_error: np.ndarray, correlation: np.ndarray
) -> np.ndarray:
    """Return how many standard deviations of a correlated Gaussian an offset is; all of shape (n,)."""
    x, y, rho = dx / x_error, dy / y_error, np.clip(correlation, -0.999, 0.999)
    return np.sqrt((x**2 + y**2 - 2 * rho * x * y) / (1 - rho**2))
