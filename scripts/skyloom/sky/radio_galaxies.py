"""Radio sources that are no diffuse emission of clusters: points by published counts, radio galaxies, spirals.

Extended ones are made of many points, which any pixel grid can take. Places are offsets to the east and to the north
[arcsec], position angles [deg] east of north.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..seeds import generator
from .turbulence import log_normal

KINDS = ("fr1", "fr2", "wide_tail", "narrow_tail", "spiral")
REFERENCE = 150.0  # MHz
COUNTS = (1.655, -0.1150, 0.2272, 0.51788, -0.449661, 0.160265, -0.028541, 0.002041)
"""Polynomial of log10(S^2.5 dN/dS [Jy^1.5/sr]) in log10(S/mJy) at 150 MHz: Mandal et al. 2021 (A&A 648, A5)."""
COUNTS_RANGE = (0.25, 1e4)
"""Where it holds [mJy]. Below we let S^2.5 dN/dS fall as S^0.5, about as the counts of Matthews et al. 2021 (ApJ 914,
126) do."""
INDEX, INDEX_SCATTER = -0.75, 0.2
"""Spectral indices of points (de Gasperin, Intema & Frail 2018, MNRAS 474, 5008: -0.79)."""

_POINTS = 24_000  # of an extended source
_TEXTURE = 96


@dataclass(frozen=True)
class Points:
    """Unresolved and hardly resolved sources, each two points of a flux, which may be in one place.

    Attributes
    ----------
    lon, lat : (n,) array
        [arcsec]
    flux : (n,) array
        Of both together [Jy] at `REFERENCE`.
    index : (n,) array
        Spectral indices.
    apart : (n,) array
        Distance of the two [arcsec].
    angle : (n,) array
        Position angle of the second from the first [deg].
    share : (n,) array
        Of the flux, in the first.
    """

    lon: NDArray
    lat: NDArray
    flux: NDArray
    index: NDArray
    apart: NDArray
    angle: NDArray
    share: NDArray

    def flux_at(self, frequency: float) -> NDArray:
        """Return the fluxes [Jy] at a frequency [MHz]."""
        return self.flux * (frequency / REFERENCE) ** self.index

    def places(self) -> tuple[NDArray, NDArray, NDArray]:
        """Return lon, lat [arcsec] and share of all points, those of the first halves first."""
        east, north = np.sin(np.radians(self.angle)), np.cos(np.radians(self.angle))
        # The centre of brightness stays where the source is.
        first, second = -self.apart * (1 - self.share), self.apart * self.share
        lon = np.concatenate([self.lon + first * east, self.lon + second * east])
        lat = np.concatenate([self.lat + first * north, self.lat + second * north])
        return lon, lat, np.concatenate([self.share, 1 - self.share])


@dataclass(frozen=True)
class Galaxy:
    """An extended radio source.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    lon, lat : float
        Of the core [arcsec].
    size : float
        From end to end along the jets, or of a tail, or the diameter of a disc [arcsec].
    angle : float
        Of the jets, of the direction of the tails, or of the disc's long axis [deg].
    bend : float
        From 0 for straight jets to 1; of a spiral, the inclination [deg].
    flux : float
        [Jy] at `REFERENCE`.
    index : float
        Spectral index.
    texture : int
        Seed of its structure.
    """

    kind: str
    lon: float
    lat: float
    size: float
    angle: float
    bend: float
    flux: float
    index: float
    texture: int

    def flux_at(self, frequency: float) -> float:
        """Return the flux [Jy] at a frequency [MHz]."""
        return self.flux * (frequency / REFERENCE) ** self.index


def counts(flux: NDArray) -> NDArray:
    """Return the number of sources, dN/dS [1/(Jy sr)], at fluxes [Jy] at `REFERENCE` (see `COUNTS`)."""
    milli = np.asarray(flux, float) * 1e3
    held = np.clip(milli, *COUNTS_RANGE)
    normalised = 10 ** np.polynomial.polynomial.polyval(np.log10(held), COUNTS)
    return normalised * np.minimum(milli / held, 1) ** 0.5 * (milli / 1e3) ** -2.5


def number_above(flux: float, brightest: float = 20.0) -> float:
    """Return how many sources [1/sr] are between two fluxes [Jy] at `REFERENCE`."""
    fluxes, number = _cumulative(brightest)
    return float(np.interp(np.log(flux), fluxes, number))


def draw_points(rng: np.random.Generator, side: float, faintest: float, brightest: float) -> Points:
    """Draw the sources in a square of the sky by their counts.

    Sizes follow the distribution of Windhorst et al. 1990 (ASP Conf. 10, 389): half are larger than 2 arcsec times
    the flux at 1.4 GHz in mJy to the power of 0.3. Larger than 60 arcsec there is none: those are `Galaxy` s.

    Parameters
    ----------
    rng : numpy.random.Generator
    side : float
        Of the square around lon, lat = 0 [arcsec].
    faintest, brightest : float
        Range of fluxes [Jy] at `REFERENCE`.
    """
    area = (side / 3600 * np.pi / 180) ** 2
    fluxes, number = _cumulative(brightest)
    total = float(np.interp(np.log(faintest), fluxes, number))
    n = int(rng.poisson(total * area))
    flux = np.exp(np.interp(rng.uniform(0, total, n), number[::-1], fluxes[::-1]))
    lon, lat = rng.uniform(-side / 2, side / 2, (2, n))
    return _points(rng, lon, lat, flux)


def draw_members(rng: np.random.Generator, lon: float, lat: float, r500: float, mean: float, flux_of: float) -> Points:
    """Draw compact radio sources of a cluster, denser towards its centre.

    Their surface density is a projected King profile with a core of 0.1 R500 out to 1.5 R500, and their fluxes have a
    power law: N(> S) ~ 1/S, as the luminosity function of cluster galaxies (Lin & Mohr 2007, ApJS 170, 71) about has.

    Parameters
    ----------
    rng : numpy.random.Generator
    lon, lat, r500 : float
        Of the cluster [arcsec].
    mean : float
        How many on average.
    flux_of : float
        Flux [Jy] at `REFERENCE` of the faintest, of 10^23 W/Hz.
    """
    n = int(rng.poisson(mean))
    most = np.log1p((1.5 / 0.1) ** 2)
    radius = 0.1 * r500 * np.sqrt(np.expm1(rng.uniform(0, most, n)))
    angle = rng.uniform(0, 2 * np.pi, n)
    flux = flux_of / rng.uniform(0.003, 1, n)
    return _points(rng, lon + radius * np.sin(angle), lat + radius * np.cos(angle), flux)


def joined(points: list[Points]) -> Points:
    """Return several sets of points as one."""
    names = Points.__dataclass_fields__
    return Points(*(np.concatenate([getattr(some, name) for some in points]) for name in names))


def draw_galaxy(rng: np.random.Generator, kind: str, lon: float, lat: float, size: float, flux: float) -> Galaxy:
    """Draw an extended source of a kind, place and size [arcsec], and flux [Jy]."""
    bend = {
        "fr1": rng.uniform(0, 0.5),
        "fr2": rng.uniform(0, 0.15),
        "wide_tail": rng.uniform(0.4, 0.8),
        "narrow_tail": rng.uniform(0.9, 1.0),
        "spiral": rng.uniform(0, 80),
    }[kind]
    index = np.clip(rng.normal(-0.8 if kind in ("fr1", "fr2", "spiral") else -0.95, 0.1), -1.5, -0.5)
    angle = rng.uniform(0, 360)
    return Galaxy(kind, *map(float, (lon, lat, size, angle, bend, flux, index)), int(rng.integers(2**31)))


def draw_field_galaxy(rng: np.random.Generator, side: float, smallest: float) -> Galaxy:
    """Draw a radio galaxy anywhere in a square of the sky.

    Sizes are log-normal around 70 arcsec, at most 12 arcmin; fluxes at 150 MHz are log-normal around 80 mJy at that
    size and rise with it: about what is resolved in LoTSS (Mingo et al. 2019, MNRAS 488, 2701; Oei et al. 2023, A&A
    672, A163).

    Parameters
    ----------
    rng : numpy.random.Generator
    side : float
        [arcsec]
    smallest : float
        Least size [arcsec], what the beam resolves.
    """
    kind = str(rng.choice(KINDS[:3], p=(0.35, 0.5, 0.15)))
    size = float(np.clip(70 * np.exp(rng.normal(0, 0.8)), smallest, 720))
    flux = 0.08 * (size / 70) ** 0.7 * np.exp(rng.normal(0, 1.1))
    return draw_galaxy(rng, kind, *rng.uniform(-side / 2, side / 2, 2), size, flux)


def draw_cluster_galaxy(rng: np.random.Generator, cluster) -> Galaxy:
    """Draw an extended radio galaxy in a cluster: a tail, often bent, or the brightest galaxy's jets in the middle.

    Lengths are 60 to 600 kpc, powers log-normal around 10^24.7 W/Hz at 150 MHz (Miley 1980, ARA&A 18, 165; Owen &
    Ledlow 1997, ApJS 108, 41).

    Parameters
    ----------
    rng : numpy.random.Generator
    cluster : skyloom.sky.clusters.Cluster
    """
    kind = str(rng.choice(("wide_tail", "narrow_tail", "fr1"), p=(0.35, 0.45, 0.2)))
    # Wide tails and jets belong to the galaxies in the middle; narrow ones to those that fall in.
    core = 0.7 if kind == "narrow_tail" else 0.2
    radius, angle = core * cluster.r500 * np.sqrt(rng.exponential(0.5)), rng.uniform(0, 2 * np.pi)
    size = np.exp(rng.uniform(*np.log((60, 600)))) / cluster.scale
    flux = cluster.flux(10 ** rng.normal(24.7, 0.5), -0.9, REFERENCE)
    lon, lat = cluster.lon + radius * np.sin(angle), cluster.lat + radius * np.cos(angle)
    return draw_galaxy(rng, kind, lon, lat, size, flux)


def draw_spiral(rng: np.random.Generator, side: float) -> Galaxy:
    """Draw a near spiral galaxy: 1 to 8 arcmin, 0.5 to 10 uJy/arcsec2 (Heesen et al. 2022, A&A 664, A83)."""
    size = np.exp(rng.uniform(*np.log((60, 480))))
    flux = np.pi / 4 * size**2 * 1e-6 * np.exp(rng.uniform(*np.log((0.5, 10))))
    return draw_galaxy(rng, "spiral", *rng.uniform(-side / 2, side / 2, 2), size, flux)


def points_of(galaxy: Galaxy) -> tuple[NDArray, NDArray, NDArray]:
    """Return an extended source as points: lon, lat [arcsec], and each one's share of the flux."""
    rng = generator(galaxy.texture, "radio_galaxies", galaxy.kind)
    along, across, weight = {
        "fr1": _plumes,
        "fr2": _lobes,
        "wide_tail": _plumes,
        "narrow_tail": _plumes,
        "spiral": _spiral,
    }[galaxy.kind](galaxy, rng)
    sin, cos = np.sin(np.radians(galaxy.angle)), np.cos(np.radians(galaxy.angle))
    lon = galaxy.lon + galaxy.size * (along * sin + across * cos)
    lat = galaxy.lat + galaxy.size * (along * cos - across * sin)
    return lon, lat, weight / weight.sum()


def _plumes(galaxy: Galaxy, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Two jets that widen to plumes and fade; bent by `bend` towards the galaxy's angle, and meandering."""
    n = _POINTS
    straight = galaxy.kind == "fr1"
    side, far = np.where(np.arange(n) % 2, 1.0, -1.0), rng.beta(1.0, 1.3, n)
    # The direction of each jet starts across the galaxy's angle and turns towards it.
    steps = np.linspace(0, 1, 200)
    along, across = np.zeros((2, n))
    broad = rng.uniform(0.05, 0.16) * (1.0 if straight else 0.7)
    # Tails are a galaxy's length each, jets half of it.
    reach = 0.5 if straight else 1.0 / (0.5 + 0.5 * galaxy.bend)
    sharp = (0.02, 0.08) if galaxy.kind == "narrow_tail" else (0.08, 0.3)
    for sign in (-1.0, 1.0):
        used = side == sign
        turn = galaxy.bend * (1 - np.exp(-steps / rng.uniform(*sharp))) * np.pi / 2 * rng.uniform(0.85, 1.05)
        meander = np.cumsum(rng.normal(0, 1, 200)) / 14
        meander = np.convolve(meander, np.ones(40) / 40, mode="same") * rng.uniform(0.1, 0.45) * steps
        direction = turn + meander
        length = reach * rng.uniform(0.75, 1.1) / len(steps)
        path_along = np.concatenate([[0], np.cumsum(length * np.sin(direction))])
        path_across = np.concatenate([[0], np.cumsum(sign * length * np.cos(direction))])
        where = far[used] * len(steps)
        width = broad * (0.12 + far[used] ** 0.8) * rng.standard_normal((2, used.sum()))
        along[used] = np.interp(where, np.arange(201), path_along) + width[0]
        across[used] = np.interp(where, np.arange(201), path_across) + width[1]
    weight = np.exp(-far / rng.uniform(0.3, 0.9)) * (0.25 + np.exp(-((far - 0.08) ** 2) / 0.01))
    weight *= np.where(side > 0, 1.0, np.exp(rng.normal(0, 0.4))) * _texture(rng, along, across, 0.6)
    weight = weight / weight.sum()
    weight[0] += np.exp(rng.normal(-3, 0.7))  # the core
    along[0] = across[0] = 0
    if straight:  # whose angle is that of the jets
        along, across = across, along
    return along, across, weight


def _lobes(galaxy: Galaxy, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Two lobes that fill towards the core, with a hot spot each at the end."""
    n = _POINTS
    side = np.where(np.arange(n) % 2, 1.0, -1.0)
    along, across, weight = np.zeros((3, n))
    for sign in (-1.0, 1.0):
        used = np.flatnonzero(side == sign)
        some = len(used)
        arm, broad, filled = 0.5 * rng.uniform(0.7, 1.0), rng.uniform(0.05, 0.14), rng.uniform(0.35, 0.95)
        radius, angle = np.sqrt(rng.uniform(0, 1, some)), rng.uniform(0, 2 * np.pi, some)
        x = arm * (1 - filled / 2 + filled / 2 * radius * np.cos(angle))
        y = broad * radius * np.sin(angle) + galaxy.bend * x**2
        glow = (1 - radius**2) ** 0.5 * np.exp(1.2 * (x / arm - 1))
        glow *= _texture(rng, x, y, 0.8)
        glow /= glow.sum()
        spot = slice(0, some // 20)
        x[spot] = arm * 0.95 + 0.012 * rng.standard_normal(some // 20)
        y[spot] = galaxy.bend * arm**2 + 0.012 * rng.standard_normal(some // 20)
        glow[spot] = np.exp(rng.normal(-0.7, 0.7)) / (some // 20)
        along[used], across[used], weight[used] = sign * x, y, glow * np.exp(rng.normal(0, 0.3))
    weight[0] = np.exp(rng.normal(-3.5, 1.0))
    along[0] = across[0] = 0
    return along, across, weight


def _spiral(galaxy: Galaxy, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """An exponential disc with two arms and a core; `bend` is the inclination."""
    n = _POINTS
    radius = rng.gamma(2, 0.14, n)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    pitch = np.radians(rng.uniform(12, 25))
    winding = azimuth - np.log(np.maximum(radius, 0.03)) / np.tan(pitch)
    weight = 0.35 + np.exp(3 * (np.cos(2 * winding + rng.uniform(0, 6)) - 1))
    x, y = radius * np.cos(azimuth) / 2, radius * np.sin(azimuth) / 2
    weight = np.where(radius < 1.0, weight, 0) * _texture(rng, x, y, 0.5)
    weight /= weight.sum()
    weight[0] = np.exp(rng.normal(-3, 0.7))
    x[0] = y[0] = 0
    return x, y * max(np.cos(np.radians(galaxy.bend)), 0.1), weight


def _texture(rng: np.random.Generator, along: NDArray, across: NDArray, spread: float) -> NDArray:
    """Return log-normal structure at places that are between -1 and 1."""
    field = log_normal(rng, (_TEXTURE, _TEXTURE), spread, _TEXTURE / 8, 0.3)
    cells = [np.clip((1 + place) / 2 * _TEXTURE, 0, _TEXTURE - 1).astype(int) for place in (along, across)]
    return field[cells[0], cells[1]]


def _points(rng: np.random.Generator, lon, lat, flux) -> Points:
    n = len(flux)
    index = np.clip(rng.normal(INDEX, INDEX_SCATTER, n), -1.5, 0.2)
    median = 2 * (flux * 1e3 * (1400 / REFERENCE) ** INDEX) ** 0.3
    # The integral distribution is exp(-ln 2 (size / median)^0.62).
    apart = np.minimum(median * (rng.exponential(1, n) / np.log(2)) ** (1 / 0.62), 60)
    return Points(lon, lat, flux, index, apart, rng.uniform(0, 180, n), rng.uniform(0.3, 0.7, n))


@lru_cache(maxsize=8)
def _cumulative(brightest: float) -> tuple[NDArray, NDArray]:
    """Return logarithms of fluxes, and how many sources [1/sr] are between each and the brightest."""
    logarithms = np.linspace(np.log(1e-6), np.log(brightest), 1200)
    density = counts(np.exp(logarithms)) * np.exp(logarithms)
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(logarithms)
    above = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    return logarithms, above
