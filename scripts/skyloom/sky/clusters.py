"""Galaxy clusters and their diffuse radio emission: haloes, relics, bridges, fossil plasma; how bright, how they look.

Spectral indices are those of S ~ frequency ** index, so they are negative. Places are offsets to the east and to the
north [arcsec]; position angles [deg] are east of north.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..seeds import generator
from .turbulence import gaussian_field, log_normal

KINDS = ("halo", "relic", "bridge", "fossil")
REFERENCE = 150.0  # MHz, of radio powers
H0, MATTER = 70.0, 0.3  # of the flat cosmology [km/s/Mpc] and relative

HALO_SLOPE, HALO_POWER, HALO_PIVOT, HALO_SCATTER = 3.55, 10**25.6, 10**14.9, 0.35
"""Radio power of haloes at 150 MHz [W/Hz] against M500 [Msun]: Cuciti et al. 2023 (A&A 680, A30), the fit of power on
mass, log(P / 10^24.5) = 3.55 log(M500 / 10^14.9) + 1.1; scatter [dex] about what its sample shows."""
RELIC_SLOPE, RELIC_POWER, RELIC_PIVOT, RELIC_SCATTER = 2.83, 10**25.4, 7e14, 0.4
"""The same for relics: the slope of de Gasperin et al. 2014 (MNRAS 444, 3130); power and scatter are ours, such that
with an index of -1.2 the relics of their sample and those of Jones et al. 2023 (A&A 680, A31) are within it."""

_CELLS = 288  # of the grids on which shapes are drawn, along each axis
_HALO_REACH = 4.5  # e-folding radii, where a halo ends


@dataclass(frozen=True)
class Cluster:
    """A cluster of galaxies.

    Attributes
    ----------
    mass : float
        M500 [Msun].
    redshift : float
    lon, lat : float
        Of its centre [arcsec].
    """

    mass: float
    redshift: float
    lon: float = 0.0
    lat: float = 0.0

    @property
    def scale(self) -> float:
        """How many kpc an arcsec is at the cluster."""
        return _distances(self.redshift)[1]

    @property
    def r500_kpc(self) -> float:
        """Radius within which the mean density is 500 times the critical one [kpc]."""
        density = _distances(self.redshift)[2]
        return float((3 * self.mass / (4 * np.pi * 500 * density)) ** (1 / 3))

    @property
    def r500(self) -> float:
        """The same on the sky [arcsec]."""
        return self.r500_kpc / self.scale

    def flux(self, power: float, index: float, frequency: float) -> float:
        """Return the flux [Jy] at a frequency [MHz] of a radio power [W/Hz] at `REFERENCE`, in the cluster's frame."""
        distance = _distances(self.redshift)[0]
        per_jansky = 4 * np.pi * distance**2 * 1e-26 / (1 + self.redshift) ** (1 + index)
        return power / per_jansky * (frequency / REFERENCE) ** index


@dataclass(frozen=True)
class Diffuse:
    """A piece of diffuse emission.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    lon, lat : float
        Of its middle [arcsec].
    size : float
        Length of its shape [arcsec]: e-folding radius of a halo, length of a relic's arc, length of a bridge, diameter
        of fossil plasma.
    width : float
        Of a relic, the e-folding length behind the shock, of a bridge, its breadth [arcsec]; of others, the ratio of
        their axes.
    angle : float
        Of a relic, the direction in which the shock moves; of others, of the long axis [deg].
    curvature : float
        Radius of a relic's arc [arcsec]; 0 for others.
    power : float
        [W/Hz] at `REFERENCE`.
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
    width: float
    angle: float
    curvature: float
    power: float
    flux: float
    index: float
    texture: int

    def flux_at(self, frequency: float) -> float:
        """Return the flux [Jy] at a frequency [MHz]."""
        return self.flux * (frequency / REFERENCE) ** self.index

    @property
    def scale(self) -> float:
        """Width of its emission [arcsec], to which an image is smoothed to see it best."""
        if self.kind == "halo":
            return 2 * np.log(2) * self.size
        return self.width if self.kind in ("relic", "bridge") else self.size / 2


def draw_cluster(
    rng: np.random.Generator, mass: tuple[float, float], redshift: tuple[float, float], lon: float, lat: float
) -> Cluster:
    """Draw a cluster as a sample selected by the Sunyaev-Zeldovich effect has them.

    The least mass rises with the redshift about as in the Planck catalogue (Planck Collaboration XXVII 2016, figure 26:
    2.3e14 Msun at 0.05, 4e14 at 0.2, 6e14 at 0.6), and above it the number falls with an e-folding of 0.35 in ln M.

    Parameters
    ----------
    rng : numpy.random.Generator
    mass : tuple of float
        Range of M500 [Msun].
    redshift : tuple of float
        Range; drawn from a distribution that peaks at 0.2 as that of the Planck clusters in LoTSS does.
    lon, lat : float
        Place [arcsec].
    """
    z = redshift[0]
    for _ in range(100):
        z = float(rng.gamma(2.6, 0.1))
        if redshift[0] <= z <= redshift[1]:
            break
    else:
        z = float(rng.uniform(*redshift))
    least = max(6e14 * (z / 0.6) ** 0.39, mass[0])
    drawn = least * np.exp(rng.exponential(0.35))
    return Cluster(float(np.clip(drawn, *mass)), z, lon, lat)


def halo_power(mass: float) -> float:
    """Return the mean power [W/Hz] at `REFERENCE` of the halo of a cluster of some M500 [Msun]."""
    return HALO_POWER * (mass / HALO_PIVOT) ** HALO_SLOPE


def relic_power(mass: float) -> float:
    """Return the mean power [W/Hz] at `REFERENCE` of a relic in a cluster of some M500 [Msun]."""
    return RELIC_POWER * (mass / RELIC_PIVOT) ** RELIC_SLOPE


def draw_halo(cluster: Cluster, rng: np.random.Generator) -> Diffuse:
    """Draw a giant halo.

    E-folding radii scatter around 150 kpc for 7e14 Msun (Murgia et al. 2009, A&A 499, 679; Botteon et al. 2022, A&A
    660, A78: 50 to 350 kpc); indices around -1.3 (van Weeren et al. 2019, Space Sci. Rev. 215, 16).
    """
    power = halo_power(cluster.mass) * 10 ** rng.normal(0, HALO_SCATTER)
    radius = 150 * (cluster.mass / 7e14) ** (1 / 3) * 10 ** rng.normal(0, 0.14)
    lon, lat = _near(cluster, abs(rng.normal(0, 0.07)) * cluster.r500, rng)
    return _diffuse(
        cluster, "halo", lon, lat, np.clip(radius, 50, 350) / cluster.scale, rng.uniform(0.6, 1.0),
        rng.uniform(0, 180), 0.0, power, np.clip(rng.normal(-1.3, 0.15), -2, -1), rng,
    )  # fmt: skip


def draw_relics(cluster: Cluster, rng: np.random.Generator, double: float = 0.3) -> list[Diffuse]:
    """Draw a relic, or with the probability `double` two on opposite sides.

    Lengths scatter around 0.9 Mpc and rise with the power, distances are 0.5 to 1.5 R500 (Jones et al. 2023); widths
    are the 40 to 150 kpc over which electrons cool behind a shock (van Weeren et al. 2019).
    """
    relics, direction = [], rng.uniform(0, 360)
    for number in range(2 if rng.random() < double else 1):
        deviation = rng.normal(0, RELIC_SCATTER)
        power = relic_power(cluster.mass) * 10**deviation
        length = np.clip(900 * 10 ** (0.25 * deviation + rng.normal(0, 0.16)), 300, 2200)
        distance = rng.uniform(0.5, 1.5) * cluster.r500
        angle = direction + 180 * number + rng.normal(0, 12 * number)
        along = np.radians(angle)
        lon, lat = cluster.lon + distance * np.sin(along), cluster.lat + distance * np.cos(along)
        curvature = max(distance * rng.uniform(0.7, 1.8), 0.4 * length / cluster.scale)
        relics.append(
            _diffuse(
                cluster,
                "relic",
                lon,
                lat,
                length / cluster.scale,
                min(rng.uniform(40, 150), 0.2 * length) / cluster.scale,
                angle + rng.normal(0, 12),
                curvature,
                power,
                np.clip(rng.normal(-1.2, 0.12), -1.7, -0.9),
                rng,
            )  # fmt: skip
        )
    return relics


def draw_bridge(cluster: Cluster, rng: np.random.Generator) -> Diffuse:
    """Draw a bridge from the cluster towards another.

    Its brightness is 0.15 to 0.8 uJy/arcsec2 at 150 MHz before the dimming with redshift; those between Abell 399 and
    401 and between Abell 1758 N and S have some 0.3 to 0.4 (Govoni et al. 2019, Science 364, 981; Botteon et al. 2020,
    MNRAS 499, L11).
    """
    length = rng.uniform(900, 2200) / cluster.scale
    width = rng.uniform(0.25, 0.5) * length
    angle, index = rng.uniform(0, 360), np.clip(rng.normal(-1.4, 0.15), -1.8, -1.1)
    brightness = 1e-6 * np.exp(rng.uniform(*np.log((0.15, 0.8)))) * (1 + cluster.redshift) ** (index - 3)
    flux = brightness * np.pi / 4 * length * width
    power = flux / cluster.flux(1.0, index, REFERENCE)
    distance = 0.5 * length + 0.2 * cluster.r500
    lon = cluster.lon + distance * np.sin(np.radians(angle))
    lat = cluster.lat + distance * np.cos(np.radians(angle))
    return _diffuse(cluster, "bridge", lon, lat, length, width, angle, 0.0, power, index, rng)


def draw_fossil(cluster: Cluster, rng: np.random.Generator) -> Diffuse:
    """Draw ultra-steep fossil plasma: 80 to 400 kpc, 10^23.7 to 10^25.2 W/Hz (Mandal et al. 2020, A&A 634, A4)."""
    size = np.exp(rng.uniform(*np.log((80, 400)))) / cluster.scale
    lon, lat = _near(cluster, rng.uniform(0.05, 0.8) * cluster.r500, rng)
    return _diffuse(
        cluster, "fossil", lon, lat, size, rng.uniform(0.35, 0.9), rng.uniform(0, 180), 0.0,
        10 ** rng.uniform(23.7, 25.2), np.clip(rng.normal(-2.0, 0.3), -3, -1.5), rng,
    )  # fmt: skip


def draw_diffuse(cluster: Cluster, shares, rng: np.random.Generator) -> tuple[Diffuse, ...]:
    """Draw the diffuse emission of a cluster.

    Parameters
    ----------
    cluster : Cluster
    shares : object
        With the probabilities ``none``, of no emission at all, and, where there is some, ``halo``, ``relic``,
        ``bridge`` and ``fossil``.
    rng : numpy.random.Generator
    """
    if rng.random() < shares.none:
        return ()
    chosen: list[str] = []
    while not chosen:
        chosen = [kind for kind in KINDS if rng.random() < getattr(shares, kind)]
    found: list[Diffuse] = []
    for kind in chosen:
        if kind == "relic":
            found += draw_relics(cluster, rng)
        else:
            found.append({"halo": draw_halo, "bridge": draw_bridge, "fossil": draw_fossil}[kind](cluster, rng))
    return tuple(found)


def shape_of(piece: Diffuse) -> tuple[NDArray, float, float, float]:
    """Return how a piece of diffuse emission looks.

    Parameters
    ----------
    piece : Diffuse

    Returns
    -------
    (n, n) float32 array
        Brightness on any scale, at least 0; north along the first axis, west along the second, as in an image.
    step : float
        Side of the grid's cells [arcsec].
    lon, lat : float
        Of the grid's middle [arcsec].
    """
    rng = generator(piece.texture, "clusters", piece.kind)
    image, step = {"halo": _halo, "relic": _relic, "bridge": _bridge, "fossil": _fossil}[piece.kind](piece, rng)
    return np.where(image > 1e-4 * image.max(), image, 0).astype(np.float32), step, piece.lon, piece.lat


def _halo(piece: Diffuse, rng: np.random.Generator) -> tuple[NDArray, float]:
    """Exponential (Murgia et al. 2009) upon ellipses that turbulence has warped, times log-normal structure."""
    step = 2 * 1.45 * _HALO_REACH * piece.size / _CELLS
    cells = piece.size / step
    along, across = _warped(piece.angle, rng, 0.35 * cells, 4 * cells)
    radius = np.hypot(along * np.sqrt(piece.width), across / np.sqrt(piece.width)) / cells
    profile = np.exp(-np.hypot(radius, 0.15)) / (1 + np.exp((radius - _HALO_REACH) / 0.15))
    return profile * log_normal(rng, radius.shape, 0.5, 2 * cells, rng.uniform(0.1, 0.35)), step


def _relic(piece: Diffuse, rng: np.random.Generator) -> tuple[NDArray, float]:
    """An arc with a sharp edge where the shock is, fading exponentially behind it, made of threads along it."""
    step = 1.3 * (piece.size + 5 * piece.width) / _CELLS
    length, width, curvature = piece.size / step, piece.width / step, piece.curvature / step
    forward, aside = _axes(piece.angle)
    # Measured from the middle of the arc's curvature, so that the shock is at a depth of zero.
    depth = curvature - np.hypot(forward + curvature, aside)
    place = curvature * np.arctan2(aside, forward + curvature)
    n = _CELLS
    ripples = ndimage.gaussian_filter1d(rng.standard_normal(n), n / 14, mode="wrap")
    depth = depth + 0.35 * width * np.interp(place, np.arange(n) - n / 2, ripples / ripples.std())
    # Structure in the frame of the shock, four times as long along it as across.
    flat = log_normal(rng, (n, n), 0.7, n / 4, rng.uniform(0.4, 0.75))
    threads = ndimage.map_coordinates(flat, [depth * 2.0, place * 0.5], order=1, mode="grid-wrap")
    varying = np.exp(0.45 * gaussian_field(rng, (1, n), 3.5, length / 3, length / 15)[0])
    varying = np.interp(place, np.arange(n) - n / 2, varying)
    fading = width * np.clip(varying**0.7, 0.5, 1.6)
    position = 2 * (place + 0.3 * depth * rng.normal(0, 1)) / length
    ends = np.maximum(1 - position**2, 0) ** 0.8 * np.exp(rng.normal(0, 0.5) * np.clip(position, -1, 1))
    edge = 1 / (1 + np.exp(-np.clip(depth / (0.06 * width), -40, 40)))
    tail = 1 / (1 + np.exp(np.clip((depth / fading - 3.5) / 0.4, -40, 40)))
    return edge * tail * np.exp(-np.maximum(depth, 0) / fading) * ends * threads * varying, step


def _bridge(piece: Diffuse, rng: np.random.Generator) -> tuple[NDArray, float]:
    """A broad band without a peak."""
    step = 2.0 * piece.size / _CELLS
    along, across = _warped(piece.angle, rng, 0.06 * piece.size / step, piece.size / step / 2)
    band = np.exp(-0.5 * (across * step / (0.42 * piece.width)) ** 2)
    ends = 1 / (1 + np.exp((np.abs(along) * step - 0.45 * piece.size) / (0.06 * piece.size)))
    return band * ends * log_normal(rng, band.shape, 0.45, piece.width / step, rng.uniform(0.1, 0.3)), step


def _fossil(piece: Diffuse, rng: np.random.Generator) -> tuple[NDArray, float]:
    """An irregular patch of threads with gaps."""
    step = 2.2 * piece.size / _CELLS
    cells = piece.size / step
    along, across = _warped(piece.angle, rng, 0.08 * cells, cells / 3)
    radius = 2 * np.hypot(along * np.sqrt(piece.width), across / np.sqrt(piece.width)) / cells
    border = 1 / (1 + np.exp((radius - 0.85) / 0.06))
    return border * log_normal(rng, radius.shape, 0.9, cells / 2, rng.uniform(0.5, 0.8)), step


def _axes(angle: float) -> tuple[NDArray, NDArray]:
    """Return coordinates along a position angle [deg] and, turned to the east from there, across it [cells]."""
    y, x = np.mgrid[:_CELLS, :_CELLS] - (_CELLS - 1) / 2
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return -x * sin + y * cos, -x * cos - y * sin


def _warped(angle: float, rng: np.random.Generator, by: float, scale: float) -> tuple[NDArray, NDArray]:
    """Return `_axes` displaced at random, by an rms of `by` cells on a scale of so many cells."""
    return tuple(axis + by * gaussian_field(rng, axis.shape, 4.0, scale, scale / 4) for axis in _axes(angle))


def _near(cluster: Cluster, distance: float, rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return cluster.lon + distance * np.sin(angle), cluster.lat + distance * np.cos(angle)


def _diffuse(cluster, kind, lon, lat, size, width, angle, curvature, power, index, rng) -> Diffuse:
    flux = cluster.flux(power, index, REFERENCE)
    numbers = map(float, (lon, lat, size, width, angle, curvature, power, flux, index))
    return Diffuse(kind, *numbers, texture=int(rng.integers(2**31)))


@lru_cache(maxsize=4096)
def _distances(redshift: float) -> tuple[float, float, float]:
    """Return luminosity distance [m], kpc an arcsec, and critical density [Msun/kpc3]."""
    cosmology = _cosmology()
    return (
        float(cosmology.luminosity_distance(redshift).to_value("m")),
        float(cosmology.kpc_proper_per_arcmin(redshift).to_value("kpc/arcsec")),
        float(cosmology.critical_density(redshift).to_value("Msun/kpc3")),
    )


@lru_cache(maxsize=1)
def _cosmology():
    from astropy.cosmology import FlatLambdaCDM

    return FlatLambdaCDM(H0=H0, Om0=MATTER)
