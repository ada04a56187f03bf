"""Gamma-ray sources as the Fermi-LAT sees them: populations, their spectra, numbers and places on the sky."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import read_table

KINDS = ("agn", "pulsar", "other")
"""Active galaxies; pulsars; all else, such as supernova remnants, wind nebulae, and what has no name in the plane."""
FLUX_BAND = (1.0, 100.0)
"""Of a source's flux [GeV]."""
FAINTEST = 5e-11
"""Below what is detected in ten years [1/(cm2 s)]."""

_BRIGHTEST = 2e-6
"""The brightest, the Vela pulsar, has 1.3e-6/(cm2 s)."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class GammaSource:
    """A point source.

    Attributes
    ----------
    lon, lat : float
        Galactic coordinates [deg].
    kind : str
        One of `KINDS`.
    flux : float
        Photons of `FLUX_BAND` [1/(cm2 s)].
    pivot : float
        Energy [GeV] at which the next two hold.
    index : float
        Of the photon spectrum, positive.
    curvature : float
        Change of the index for each unit of ln(energy).
    exponent : float
        Of the cut-off: b of the 4FGL's PLSuperExpCutoff4, whose d is `curvature` (Abdollahi et al. 2022, ApJS 260, 53,
        equation 4). 0 is a log-parabola, whose beta is half of `curvature`.
    """

    lon: float
    lat: float
    kind: str
    flux: float
    pivot: float
    index: float
    curvature: float = 0.0
    exponent: float = 0.0

    def band_flux(self, lowest: float, highest: float) -> float:
        """Return the photons of a band [GeV], in 1/(cm2 s)."""
        return float(band_fluxes([self], [(lowest, highest)])[0, 0])


def band_fluxes(sources: Sequence[GammaSource], bands: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the photons of each source in each band [GeV]: (sources, bands), in 1/(cm2 s)."""
    if not sources:
        return np.zeros((0, len(bands)))
    numbers = np.array([(s.flux, s.pivot, s.index, s.curvature, s.exponent) for s in sources])
    flux, pivot, index, curvature, exponent = numbers.T[:, :, None, None]
    edges = np.log(np.array([*bands, FLUX_BAND]))
    half = np.diff(edges, axis=1) / 2
    energy = edges.mean(axis=1, keepdims=True) + half * _NODES
    # An integral over ln(energy), hence index - 1.
    integrals = (np.exp(energy + _spectrum(energy - np.log(pivot), index, curvature, exponent)) * _WEIGHTS).sum(
        -1
    ) * half.T
    return flux[:, 0] * integrals[:, :-1] / integrals[:, -1:]


def _spectrum(x: np.ndarray, index: np.ndarray, curvature: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return ln(dN/dE) at x = ln(energy / pivot), 0 at the pivot; all have the sources along their first axis."""
    cut = -0.5 * x**2
    with_cut = exponent.ravel() > 0
    power = exponent[with_cut]
    step = power * x[with_cut]
    cut[with_cut] = (step - np.expm1(step)) / power**2
    return curvature * cut - index * x


@dataclass(frozen=True)
class Population:
    """Sources of one sort: a row of ``populations.ecsv``, angles in rad, and ``source_counts.ecsv`` as logarithms."""

    kind: str
    height: float
    base: float
    width: float
    pivot: float
    index: float
    index_std: float
    curvature: float
    curvature_std: float
    exponent: float
    fluxes: np.ndarray
    numbers: np.ndarray

    def number(self, flux: float) -> float:
        """Return how many in the whole sky are brighter than a flux [1/(cm2 s)]."""
        return float(np.exp(_line(np.log(flux), self.fluxes, self.numbers)))

    def density(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Return which share of them lies in 1 sr, at absolute Galactic coordinates [rad]."""
        if not self.height:
            return np.full(np.shape(lat), 1 / (4 * np.pi))
        h, w = self.height, self.width
        poles = 2 * (1 / h + np.exp(-np.pi / 2 / h)) / (1 + 1 / h**2)
        if not w:
            return np.exp(-lat / h) / poles / (2 * np.pi)
        turn = 2 * (self.base * np.pi + (1 - self.base) * w * (1 - np.exp(-np.pi / w)))
        return np.exp(-lat / h) / poles * (self.base + (1 - self.base) * np.exp(-lon / w)) / turn

    def draw_fluxes(self, rng: np.random.Generator, count: int, faintest: float) -> np.ndarray:
        """Draw fluxes [1/(cm2 s)] above the faintest one."""
        brighter = np.log(self.number(faintest)) - rng.standard_exponential(count)
        return np.minimum(np.exp(_line(brighter, self.numbers[::-1], self.fluxes[::-1])), _BRIGHTEST)


def read_populations(folder: str | Path = "resources") -> tuple[Population, ...]:
    """Return the populations of ``fermi/populations.ecsv`` with their numbers by ``fermi/source_counts.ecsv``.

    Raises
    ------
    UserError
        If a table is missing or broken.
    """
    return _read(str(folder))


@lru_cache(maxsize=4)
def _read(folder: str) -> tuple[Population, ...]:
    path = Path(folder) / "fermi/populations.ecsv"
    table = read_table(path, "the table of populations")
    counts = read_table(Path(folder) / "fermi/source_counts.ecsv", "the table of source counts")
    result = []
    try:
        for row in table:
            own = counts[counts["name"] == row["name"]]
            if len(own) < 2 or str(row["kind"]) not in KINDS:
                raise UserError(f"{path}: {row['name']} has no source counts or a kind that is not one of {KINDS}.")
            numbers = {
                name: float(row[name])
                for name in ("base", "pivot", "index", "index_std", "curvature", "curvature_std", "exponent")
            }
            result.append(
                Population(
                    kind=str(row["kind"]),
                    height=float(np.radians(row["height"])),
                    width=float(np.radians(row["width"])),
                    **numbers,
                    fluxes=np.log(np.asarray(own["flux"], dtype=float)),
                    numbers=np.log(np.asarray(own["number"], dtype=float)),
                )
            )
    except KeyError as error:
        raise UserError(f"{path}: a column is missing ({error}); take the one of the project.") from error
    return tuple(result)


def draw_sources(
    rng: np.random.Generator,
    lon: float,
    lat: float,
    radius: float,
    faintest: float = FAINTEST,
    folder: str | Path = "resources",
) -> list[GammaSource]:
    """Draw the sources within some distance of a place.

    Parameters
    ----------
    rng : numpy.random.Generator
    lon, lat : float
        Galactic coordinates of the place [deg].
    radius : float
        Distance [deg].
    faintest : float
        Least flux [1/(cm2 s)], photons of `FLUX_BAND`.
    folder : path
        Where ``fermi/populations.ecsv`` and ``fermi/source_counts.ecsv`` lie.

    Returns
    -------
    list of GammaSource
        As many as a Poisson process of the populations' densities holds, in no order.

    Raises
    ------
    UserError
        If a table is missing or broken.
    """
    sources: list[GammaSource] = []
    area = 2 * np.pi * (1 - np.cos(np.radians(radius)))
    nearest = _nearest(lon, lat, radius)
    for population in read_populations(folder):
        # Thinning: as many as at the densest place, of which each stays with the share that its own place has.
        most = float(population.density(*nearest))
        east, north = _in_circle(rng, lon, lat, radius, int(rng.poisson(population.number(faintest) * area * most)))
        turn = np.abs(np.mod(east + np.pi, 2 * np.pi) - np.pi)
        stays = rng.random(east.size) * most < population.density(turn, np.abs(north))
        count = int(stays.sum())
        fluxes = population.draw_fluxes(rng, count, faintest)
        indices = population.index + population.index_std * rng.standard_normal(count)
        curvatures = np.maximum(population.curvature + population.curvature_std * rng.standard_normal(count), 0)
        sources += [
            GammaSource(x, y, population.kind, flux, population.pivot, index, curvature, population.exponent)
            for x, y, flux, index, curvature in zip(
                np.degrees(np.mod(east[stays], 2 * np.pi)).tolist(),
                np.degrees(north[stays]).tolist(),
                fluxes.tolist(),
                indices.tolist(),
                curvatures.tolist(),
                strict=True,
            )
        ]
    return sources


def _nearest(lon: float, lat: float, radius: float) -> tuple[float, float]:
    """Return the least absolute longitude and latitude [rad] within a circle [deg]."""
    away = abs((lon + 180) % 360 - 180)
    if abs(lat) + radius >= 90:
        away = 0.0
    else:
        away -= np.degrees(np.arcsin(np.sin(np.radians(radius)) / np.cos(np.radians(lat))))
    return float(np.radians(max(away, 0.0))), float(np.radians(max(abs(lat) - radius, 0.0)))


def _in_circle(
    rng: np.random.Generator, lon: float, lat: float, radius: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw places evenly from a circle on the sphere: longitudes and latitudes [rad]."""
    height = rng.uniform(np.cos(np.radians(radius)), 1, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    side = np.sqrt(np.maximum(1 - height**2, 0))
    up, across = side * np.cos(angle), side * np.sin(angle)
    tilt = np.radians(lat)
    x = height * np.cos(tilt) - up * np.sin(tilt)
    z = height * np.sin(tilt) + up * np.cos(tilt)
    return np.radians(lon) + np.arctan2(across, x), np.arcsin(np.clip(z, -1, 1))


def _line(x: np.ndarray | float, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate, and go on beyond the ends with the slopes there; `knots` rise."""
    piece = np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2)
    slope = (values[piece + 1] - values[piece]) / (knots[piece + 1] - knots[piece])
    return values[piece] + slope * (x - knots[piece])
