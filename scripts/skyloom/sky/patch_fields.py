"""Where simulated patches of the gamma-ray sky lie, and what is in them."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from . import diffuse
from .gamma_sources import GammaSource, draw_sources

WEDGES = {
    "test": ((0.0, 45.0), (225.0, 270.0)),
    "validation": ((45.0, 90.0), (180.0, 225.0)),
    "train": ((90.0, 180.0), (270.0, 360.0)),
}
"""Galactic longitudes [deg] of each split's sky: what one sees, no other does. Each has a part of the inner Galaxy and
one of the outer, as the diffuse emission of one is no measure of the other's."""
PLANE = 12.0
"""Latitudes at which sources are hardest to tell from the diffuse emission [deg]."""
MARGIN = 3.0
"""Sources beyond a patch whose photons may fall into it are at most this far from it [deg]."""
_NSIDE = 8
STRUCTURE_SIDE = 320
"""Pixels of the field of small-scale structure, which is 2.5 times as wide as the patch."""


@dataclass(frozen=True)
class PatchField:
    """What there is to see in a patch.

    Attributes
    ----------
    lon, lat : float
        Of its middle, Galactic [deg].
    width : float
        [deg].
    tracer : str
        Of the gas: one of `skyloom.sky.diffuse.TRACERS`, or a template's file.
    sources : tuple of GammaSource
        In the patch and `MARGIN` around it.
    gas, smooth : float
        Factors of the two parts of the diffuse emission.
    structure : numpy.ndarray, shape (STRUCTURE_SIDE, STRUCTURE_SIDE)
        Further factor of the gas, on a grid with the patch in its middle.
    """

    lon: float
    lat: float
    width: float
    tracer: str
    sources: tuple[GammaSource, ...]
    gas: float = 1.0
    smooth: float = 1.0
    structure: np.ndarray = field(default_factory=lambda: np.ones((STRUCTURE_SIDE, STRUCTURE_SIDE)), repr=False)


def fits_in(lon: float, lat: float, radius: float, wedges: tuple[tuple[float, float], ...]) -> bool:
    """Return whether the circle around a place lies in one of some wedges of longitude; all in degrees."""
    for first, last in wedges:
        after, before = (lon - first) % 360, (last - lon) % 360
        if after + before > last - first + 1e-9:
            continue
        # The distance from a meridian, of which the other half does not count: beyond 90 deg the pole is nearest.
        sines = [np.cos(np.radians(lat)) * np.sin(np.radians(min(away, 90.0))) for away in (after, before)]
        return bool(min(sines) >= np.sin(np.radians(radius)))
    return False


@lru_cache(maxsize=16)
def centres(split: str, width: float) -> np.ndarray:
    """Return the centres of HEALPix pixels of nside 8 around which a split has patches, shape (n, 2) [deg]."""
    lon, lat = _grid()
    kept = [fits_in(*place, width / np.sqrt(2), WEDGES[split]) for place in zip(lon, lat, strict=True)]
    return np.stack([lon, lat], axis=1)[kept]


def draw_centre(rng: np.random.Generator, split: str, width: float) -> tuple[float, float]:
    """Draw one of the `centres` of a split, each ring of latitude as often as it has pixels in the whole sky.

    Fewer patches fit into a wedge at high latitudes; without that, the plane would count for more than it is. The
    poles, where none fits, are left out.
    """
    places = centres(split, width)
    fitting = np.round(places[:, 1], 6)
    rings, sizes = np.unique(np.round(_grid()[1], 6), return_counts=True)
    weights = sizes[np.searchsorted(rings, fitting)] / (fitting[:, None] == fitting).sum(axis=1)
    lon, lat = places[rng.choice(len(places), p=weights / weights.sum())]
    return float(lon), float(lat)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes and latitudes of the HEALPix pixels' centres [deg]."""
    from astropy_healpix import HEALPix

    grid = HEALPix(_NSIDE, order="ring")
    return tuple(angle.deg for angle in grid.healpix_to_lonlat(np.arange(grid.npix)))


def draw_place(rng: np.random.Generator, split: str, width: float, plane: float = 0.0) -> tuple[float, float]:
    """Draw the middle of a patch anywhere in the sky of a split, Galactic [deg].

    A share `plane` of the patches is drawn from latitudes below `PLANE`, beside those that are there anyhow.
    """
    highest = np.sin(np.radians(PLANE)) if rng.random() < plane else 1.0
    while True:
        lon, lat = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-highest, highest)))
        if fits_in(lon, lat, width / np.sqrt(2), WEDGES[split]):
            return float(lon), float(lat)


def draw_field(
    rng: np.random.Generator, place: tuple[float, float], width: float, sky, tracer: str, folder: str | Path
) -> PatchField:
    """Draw what is in a patch.

    Parameters
    ----------
    rng : numpy.random.Generator
    place : tuple of float
        Middle of the patch, Galactic [deg].
    width : float
        [deg].
    sky : object
        `faintest` source [1/(cm2 s)], `variation` of the parts of the diffuse emission, and the relative standard
        deviation of its `structure`.
    tracer : str
        The same random numbers give the same sources whatever it is.
    folder : path
        Of the tables (`skyloom.sky.gamma_sources`).
    """
    sources = draw_sources(rng, *place, width / np.sqrt(2) + MARGIN, sky.faintest, folder)
    gas, smooth = np.exp(sky.variation * rng.standard_normal(2))
    known = tracer in diffuse.TRACERS
    pixel = 2.5 * width / STRUCTURE_SIDE
    structure = diffuse.structure(rng, STRUCTURE_SIDE, pixel, rms=sky.structure) if known else None
    more = {} if structure is None else {"structure": structure}
    return PatchField(*place, width, tracer, tuple(sources), float(gas), float(smooth), **more)


def diffuse_of(one: PatchField, bands, lon: np.ndarray, lat: np.ndarray, folder: str | Path) -> np.ndarray:
    """Return the intensity of the diffuse emission in each band, without small-scale structure.

    Parameters
    ----------
    one : PatchField
    bands : sequence of (float, float)
        [GeV].
    lon, lat : numpy.ndarray, shape (...)
        Galactic [deg].
    folder : path

    Returns
    -------
    numpy.ndarray, shape (bands, 2, ...)
        Of the gas and of the rest [1/(cm2 s sr)].
    """
    found = diffuse.bands_of(one.tracer, lon, lat, bands, folder)
    found[:, 0] *= one.gas
    found[:, 1] *= one.smooth
    return found
