"""From the instrument response files of the Fermi-LAT and its orbit to the tables that a simulation reads."""

import math
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import UserError
from ..files import existing

PARTS = {"FB": ("FB", ("FRONT", "BACK")), "PSF3": ("PSF", ("PSF3",))}
"""Event types: the ending of the name of their files, and the parts whose events they hold."""

FRACTIONS = (
    0.01,
    0.02,
    0.05,
    *np.arange(0.1, 0.9, 0.05).round(2),
    0.9,
    0.92,
    0.94,
    0.95,
    0.96,
    0.97,
    0.98,
    0.985,
    0.99,
)
FRACTIONS += (0.995,)
"""Of a source's photons, whose radii are tabulated."""

INCLINATION = 25.58
"""Of the orbit [deg]; its node goes around in 53.4 days, so that a survey sees all of them (Atwood et al. 2009)."""
ROCKING = ((50.0, 0.9), (35.0, 0.1))
"""Angle [deg] between zenith and the LAT's axis, north and south in turn, and its share of ten years (the first year
had 35 deg)."""
ZENITH = 100.0
"""Largest zenith angle [deg] of photons that are taken (4FGL from 0.3 to 1 GeV; above it 105)."""
LIVE = 0.92 * 0.97
"""Share of the time outside the South Atlantic Anomaly that is live: dead time of the readout (8 %), and time that is
lost to calibration or left out (3 %). With the Anomaly's 15 % some 83 % of all time is good, as in the intervals of
3FHL, and 76 % is live, as in 2FGL (Nolan et al. 2012, ApJS 199, 31)."""
YEAR = 365.25 * 86400.0
"""Seconds."""

_ANOMALY_LATITUDE = (-30.0, -22.6, 2.5, 5.2, 5.2, 4.6, 0.7, -8.6, -9.9, -12.5, -21.7, -30.0)
_ANOMALY_LONGITUDE = (33.9, 24.5, -18.6, -25.7, -36.0, -42.0, -58.8, -93.1, -97.5, -98.5, -92.1, -86.1)
"""Corners [deg] of the region of the South Atlantic Anomaly in which the LAT takes no data (Fermitools)."""
_COSINES = 40
_STEPS = 180
_WIDEST = 90.0


def read_irfs(folder: str | Path, event_type: str) -> list[dict]:
    """Return the response of the parts of an event type (P8R3_SOURCE_V3).

    Parameters
    ----------
    folder : str or pathlib.Path
        With `aeff_P8R3_SOURCE_V3_*.fits` and `psf_P8R3_SOURCE_V3_*.fits`.
    event_type : str
        One of `PARTS`.

    Returns
    -------
    list of dict
        A part: `area` [cm2] at `area_energy` [GeV] and `area_cosine`; the parameters of the PSF (`NCORE` and so on) at
        `psf_energy` [GeV] and `psf_cosine`; all of shape (cosines, energies), at the middle of their bins; `scale` of
        the PSF.

    Raises
    ------
    UserError
        If a file is missing or is no such response.
    """
    ending, parts = PARTS[event_type]
    made = []
    for part in parts:
        row = _table(folder, f"aeff_P8R3_SOURCE_V3_{ending}.fits", f"EFFECTIVE AREA_{part}", ("EFFAREA",))
        one = dict(zip(("area_energy", "area_cosine"), _middles(row), strict=True))
        one["area"] = np.asarray(row["EFFAREA"], dtype=float) * 1e4
        names = ("NCORE", "NTAIL", "SCORE", "STAIL", "GCORE", "GTAIL")
        file = f"psf_P8R3_SOURCE_V3_{ending}.fits"
        row = _table(folder, file, f"RPSF_{part}", names)
        one |= dict(zip(("psf_energy", "psf_cosine"), _middles(row), strict=True))
        one |= {name: np.asarray(row[name], dtype=float) for name in names}
        scale = _table(folder, file, f"PSF_SCALING_PARAMS_{part}", ("PSFSCALE",))["PSFSCALE"]
        one["scale"] = np.asarray(scale, dtype=float)
        made.append(one)
    return made


def _table(folder: str | Path, file: str, name: str, columns: tuple):
    """Return the only row of a table of a response file."""
    path = existing(Path(folder) / file, "a response file of the Fermi-LAT (github.com/fermi-lat/irfs)")
    try:
        with fits.open(path, memmap=False) as hdus:
            row = hdus[name].data[0]
            if all(column in hdus[name].columns.names for column in columns):
                return row
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as a response of the Fermi-LAT ({error}); give P8R3 files.") from error
    raise UserError(f"{path}: `{name}` lacks {' or '.join(columns)}; give P8R3 response files.")


def _middles(row) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of the bins of energy [GeV] and of the cosine of the incidence angle."""
    low, high = (np.asarray(row[name], dtype=float) for name in ("ENERG_LO", "ENERG_HI"))
    cosines = (np.asarray(row["CTHETA_LO"], dtype=float) + np.asarray(row["CTHETA_HI"], dtype=float)) / 2
    return np.sqrt(low * high) / 1e3, cosines


def live_times(declinations, zenith: float = ZENITH, rocking=ROCKING) -> tuple[np.ndarray, np.ndarray]:
    """Return for how much of the time the survey sees a place under which angle.

    Parameters
    ----------
    declinations : array_like, shape (n,)
        Of the places [deg].
    zenith : float
        Largest zenith angle [deg] at which photons are taken.
    rocking : iterable of (float, float)
        Rocking angles [deg] and their shares of the time.

    Returns
    -------
    tuple of array
        Cosines of the incidence angle, the middle of bins, shape (cosines,); live time over all time, shape
        (n, cosines).

    Notes
    -----
    A circular orbit whose node, and the Earth below it, turn evenly, so that only the declination tells. The LAT
    looks `rocking` deg to the north of the zenith in one orbit, and to the south in the next.
    """
    angles = (np.arange(_STEPS) + 0.5) / _STEPS * 2 * np.pi
    tilt = math.radians(INCLINATION)
    up = np.stack([np.cos(angles), np.sin(angles) * math.cos(tilt), np.sin(angles) * math.sin(tilt)], axis=1)
    pole = np.array([0.0, -math.sin(tilt), math.cos(tilt)])
    latitudes = np.degrees(np.arcsin(up[:, 2]))
    open_share = LIVE * np.array([1 - _anomaly(latitude) for latitude in latitudes]) / _STEPS**2
    cosines = (np.arange(_COSINES) + 0.5) / _COSINES
    times = np.zeros((len(declinations), _COSINES))
    for row, declination in zip(times, np.radians(declinations), strict=True):
        place = np.stack([np.cos(declination) * np.cos(angles), np.cos(declination) * np.sin(angles), 0 * angles])
        place[2] = np.sin(declination)
        seen = up @ place > math.cos(math.radians(zenith))
        weights = np.broadcast_to(open_share[:, None], seen.shape)
        for angle, share in rocking:
            for side in (1, -1):
                axis = math.cos(math.radians(angle)) * up + side * math.sin(math.radians(angle)) * pole
                under = axis @ place
                taken = seen & (under > 0)
                number = np.minimum((under[taken] * _COSINES).astype(int), _COSINES - 1)
                row += share / 2 * np.bincount(number, weights[taken], _COSINES)
    return cosines, times


def _anomaly(latitude: float) -> float:
    """Return the share of a circle of latitude [deg] that lies in the South Atlantic Anomaly."""
    known = list(zip(_ANOMALY_LATITUDE, _ANOMALY_LONGITUDE, strict=True))
    crossed = [
        east + (latitude - north) / (next_north - north) * (next_east - east)
        for (north, east), (next_north, next_east) in zip(known, known[1:], strict=False)
        if (north - latitude) * (next_north - latitude) < 0
    ]
    return (max(crossed) - min(crossed)) / 360 if crossed else 0.0


def areas(part: dict, energies, cosines) -> np.ndarray:
    """Return the effective area [cm2] at energies [GeV] and cosines of the incidence angle; shape (energies, cosines).

    Linear in the logarithm of the energy and in the cosine, and zero beyond the largest incidence angle.
    """
    corners = _corners(part["area_energy"], part["area_cosine"], energies, cosines)
    lowest = part["area_cosine"][0] - (part["area_cosine"][1] - part["area_cosine"][0]) / 2
    area = sum(weight * part["area"][cosine, energy] for weight, energy, cosine in corners)
    return np.where(np.asarray(cosines) >= lowest, area, 0.0)


def containment(part: dict, energy: float, cosines, radii) -> np.ndarray:
    """Return the share of a source's photons within radii, from the King functions of the response file.

    Parameters
    ----------
    part : dict
        Of `read_irfs`.
    energy : float
        [GeV].
    cosines : array_like, shape (c,)
        Of the incidence angle.
    radii : array_like, shape (r,)
        Rising [deg].

    Returns
    -------
    array, shape (c, r)

    Notes
    -----
    The Fermi Cicerone's form: two King functions of the angle over a scale, sqrt((c0 (E / 100 MeV)^-beta)^2 + c1^2),
    which is normalised on the sphere, and linear in log(energy) and in the cosine between the bins of the file.
    """
    grid = np.geomspace(1e-4, _WIDEST, 2000)
    first, second, power = part["scale"]
    scale = math.degrees(math.hypot(first * (energy * 10) ** power, second))
    density = np.zeros((len(np.atleast_1d(cosines)), len(grid)))
    for weight, at_energy, at_cosine in _corners(part["psf_energy"], part["psf_cosine"], [energy], cosines):
        at = slice(None), at_energy[0, 0], None
        bins = _king(grid / scale, part["SCORE"][at], part["GCORE"][at])
        bins = bins + part["NTAIL"][at] * _king(grid / scale, part["STAIL"][at], part["GTAIL"][at])
        bins /= _held(grid, bins)[:, -1:]
        density += weight[0][:, None] * bins[at_cosine[0]]
    held = _held(grid, density)
    held /= held[:, -1:]
    return np.array([np.interp(radii, grid, row) for row in held])


def _king(deviation: np.ndarray, width: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return a King function of the scaled deviation, to its width's square."""
    return (1 - 1 / slope) * (1 + (deviation / width) ** 2 / (2 * slope)) ** -slope


def _held(grid: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Return the integral of a density over the sphere within the radii of a grid [deg]."""
    rings = np.radians(grid) * density * np.sin(np.radians(grid))
    steps = (rings[..., 1:] + rings[..., :-1]) / 2 * np.diff(np.log(grid))
    inner = density[..., :1] * np.radians(grid[0]) ** 2 / 2
    return np.concatenate([inner, inner + np.cumsum(steps, axis=-1)], axis=-1)


def _corners(known_energies, known_cosines, energies, cosines) -> list:
    """Return weights and places of the four neighbours of each energy and cosine, each of shape (energies, cosines)."""
    pairs = []
    for known, wanted in ((np.log(known_energies), np.log(energies)), (known_cosines, np.atleast_1d(cosines))):
        at = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
        share = np.clip((wanted - known[at]) / (known[at + 1] - known[at]), 0, 1)
        pairs.append(((at, 1 - share), (at + 1, share)))
    return [
        (share[:, None] * part[None, :], *np.broadcast_arrays(at[:, None], place[None, :]))
        for at, share in pairs[0]
        for place, part in pairs[1]
    ]


def tabulate(folder: str | Path, energies, declinations, zenith: float = ZENITH) -> tuple[Table, Table]:
    """Return the tables of the point spread function and of a year's exposure.

    Parameters
    ----------
    folder : str or pathlib.Path
        Of the response files.
    energies : array_like
        [GeV].
    declinations : array_like
        [deg].
    zenith : float
        Largest zenith angle of the photons [deg].

    Returns
    -------
    tuple of astropy.table.Table
        Radii [deg] that hold `FRACTIONS` of the photons, for each event type and energy, averaged over the sky with
        live time times effective area; and exposure [cm2 s] for each event type, energy, and declination.
    """
    radii = np.geomspace(1e-3, _WIDEST, 1500)
    declinations = np.asarray(declinations, dtype=float)
    cosines, times = live_times(declinations, zenith)
    whole_sky = np.cos(np.radians(declinations)) @ times
    spread, exposure = [], []
    for event_type in PARTS:
        parts = read_irfs(folder, event_type)
        area = [areas(part, energies, cosines) for part in parts]
        for number, energy in enumerate(energies):
            weights = [one[number] * whole_sky for one in area]
            held = sum(w @ containment(part, energy, cosines, radii) for w, part in zip(weights, parts, strict=True))
            spread.append((event_type, energy, *np.interp(FRACTIONS, held / held[-1], radii)))
            exposure += [
                (event_type, energy, declination, value * YEAR)
                for declination, value in zip(declinations, times @ sum(one[number] for one in area), strict=True)
            ]
    source = "P8R3_SOURCE_V3 response files (github.com/fermi-lat/irfs, BSD-3)"
    rocked = " and ".join(f"{angle:g} deg ({share:.0%})" for angle, share in ROCKING)
    survey = (
        f"a survey from an orbit of {INCLINATION:g} deg, rocked by {rocked}, photons up to {zenith:g} deg of zenith "
        f"angle, {LIVE:.3f} of the time outside the South Atlantic Anomaly live"
    )
    averaged = "averaged over the sky with live time times effective area of"
    names = ["event_type", "energy", *(column(fraction) for fraction in FRACTIONS)]
    psf = Table(rows=spread, names=names, meta={"fractions": [float(f) for f in FRACTIONS]})
    psf.meta["source"] = f"King functions of the {source}, {averaged} {survey}"
    psf["energy"].unit = "GeV"
    for fraction, name in zip(FRACTIONS, names[2:], strict=True):
        psf[name].unit, psf[name].description = "deg", f"radius that holds {fraction:.1%} of a source's photons"
    year = Table(rows=exposure, names=["event_type", "energy", "declination", "exposure"])
    year.meta["source"] = f"effective area of the {source}, in a year of {survey}; nothing is fitted"
    for name, unit in (("energy", "GeV"), ("declination", "deg"), ("exposure", "cm2 s")):
        year[name].unit = unit
    for table in (psf, year):
        for name in table.colnames[1:]:
            table[name][:] = [float(f"{value:.5g}") for value in table[name]]
    return psf, year


def column(fraction: float) -> str:
    """Return the name of the column of the radius that holds a fraction of the photons."""
    return f"radius_{fraction * 1000:03.0f}"
