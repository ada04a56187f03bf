"""Simulated patches of the gamma-ray sky with their truth: photons drawn one by one, as a survey counts them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve

from ..images.patches import SIDE, Patch, on_grid, patch_wcs
from ..images.sky_blocks import Blocks, equatorial
from ..instruments.lat import Profile, read_response
from ..sky.gamma_sources import KINDS, band_fluxes
from ..sky.patch_fields import STRUCTURE_SIDE, PatchField, diffuse_of

CORE = 4.6
"""A detection is scored if it is no farther than this from a patch's middle, along both axes [deg]."""
TRUTH_UNITS = {"x": "pix", "y": "pix", "lon": "deg", "lat": "deg", "flux": "1 / (cm2 s)"}
_COARSE = 40
"""Places along an axis of the wider square, at which the diffuse emission is asked for."""
_WIDE = 2.5
"""Width of that square in patches; beyond its edges the emission goes on as it is there."""
_BORDER = 2.0
"""How far beyond the patch the diffuse emission is known as the instrument sees it [deg]."""
_QUANTILES = 4096
_NEIGHBOURS = 24
"""Brightest sources whose photons count as background of the others."""
_CONTAINED = 0.68


@dataclass(frozen=True)
class Survey:
    """What patches are observed with.

    Attributes
    ----------
    bands : tuple of (float, float)
        [GeV].
    sides : tuple of int
        Of the bands' maps [pixel].
    width : float
        Of a patch [deg].
    profiles : tuple of Profile
        Point spread function of each band.
    kernels : tuple of numpy.ndarray, shape (odd, odd)
        The same in pixels of the band, or of the reference grid if those are finer.
    declinations : numpy.ndarray, shape (d,)
        Rising [deg].
    exposures : numpy.ndarray, shape (bands, d)
        At these [cm2 s].
    healpix : int or None
        nside of the pixels that photons are counted in before they come to the patch's grid.
    folder : str
        Of the tables.
    """

    bands: tuple[tuple[float, float], ...]
    sides: tuple[int, ...]
    width: float
    profiles: tuple[Profile, ...]
    kernels: tuple[np.ndarray, ...]
    declinations: np.ndarray
    exposures: np.ndarray
    healpix: int | None
    folder: str

    def exposure(self, lon: float, lat: float) -> np.ndarray:
        """Return the exposure of each band at a place, Galactic [deg], in cm2 s."""
        dec = equatorial(np.array(lon), np.array(lat))[1]
        return np.array([np.interp(dec, self.declinations, one) for one in self.exposures])


def survey_of(observation, folder: str | Path) -> Survey:
    """Return what patches are observed with.

    Parameters
    ----------
    observation : skyloom.cases.fermi_sources.Observation
    folder : path
        The project's `resources`.
    """
    response = read_response(folder, observation.event_type)
    bands = tuple((lowest, highest) for lowest, highest, _ in observation.bands)
    dec = np.degrees(np.arcsin(np.linspace(-1, 1, 181)))
    profiles = tuple(response.profile(*band) for band in bands)
    exposures = np.stack([response.exposure(dec, *band, observation.years) for band in bands])
    if observation.exposure is not None:
        exposures *= (np.array(observation.exposure) / exposures.mean(axis=1))[:, None]
    return Survey(
        bands=bands,
        sides=tuple(side for *_, side in observation.bands),
        width=observation.width,
        profiles=profiles,
        kernels=tuple(
            _kernel(profile, side, observation.width)
            for profile, (*_, side) in zip(profiles, observation.bands, strict=True)
        ),
        declinations=dec,
        exposures=exposures,
        healpix=observation.healpix,
        folder=str(folder),
    )


def expected(field: PatchField, survey: Survey) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the expected counts of the diffuse emission, and of each source.

    Parameters
    ----------
    field : PatchField
    survey : Survey

    Returns
    -------
    list of numpy.ndarray, shape (side, side)
        Of each band, in the pixels of its map.
    numpy.ndarray, shape (sources, bands)
        Photons of each source in each band, wherever they fall.
    """
    exposure = survey.exposure(field.lon, field.lat)
    seen = _diffuse(field, survey, exposure)
    maps = [_on_map(one, survey, side) for one, side in zip(seen, survey.sides, strict=True)]
    return maps, band_fluxes(field.sources, survey.bands) * exposure


def observe(field: PatchField, survey: Survey, rng: np.random.Generator) -> tuple[Patch, list[dict]]:
    """Return the patch that is observed, and one row of truth a source in it.

    Parameters
    ----------
    field : PatchField
    survey : Survey
    rng : numpy.random.Generator
        Photons of sources are drawn first, so that they are the same upon another diffuse emission.

    Returns
    -------
    Patch
    list of dict
        x, y [pixel of the reference grid], lon, lat [deg], flux from 1 to 100 GeV [1/(cm2 s)], kind (number in
        `skyloom.sky.gamma_sources.KINDS`), snr, core.

    Notes
    -----
    The S/N of a band is S / sqrt(S + B), S and B being the source's and all other photons expected within the radius
    that holds 68 % of the point spread function; those of the bands are summed in quadrature.
    """
    exposure = survey.exposure(field.lon, field.lat)
    photons = band_fluxes(field.sources, survey.bands) * exposure
    x, y = _positions(field)
    drawn = [_photons(x, y, photons[:, band], profile, field, rng) for band, profile in enumerate(survey.profiles)]
    seen = _diffuse(field, survey, exposure)
    if survey.healpix:
        counts = [
            _in_healpix(*both, field, survey, side, rng) for *both, side in zip(drawn, seen, survey.sides, strict=True)
        ]
    else:
        counts = [
            rng.poisson(_on_map(background, survey, side)) + _in_pixels(*places, side)
            for places, background, side in zip(drawn, seen, survey.sides, strict=True)
        ]
    place = {"lon": field.lon, "lat": field.lat, "width": field.width, "bands": survey.bands}
    patch = Patch(tuple(one.astype(np.float32) for one in counts), exposure, **place)
    return patch, _truth(field, survey, x, y, photons, seen)


def _positions(field: PatchField) -> tuple[np.ndarray, np.ndarray]:
    """Return where the sources are on the reference grid [pixel]."""
    if not field.sources:
        return np.zeros(0), np.zeros(0)
    lon, lat = (np.array([getattr(one, name) for one in field.sources]) for name in ("lon", "lat"))
    x, y = patch_wcs((field.lon, field.lat, field.width)).all_world2pix(lon, lat, 0)
    return x, y


def _photons(
    x: np.ndarray, y: np.ndarray, wanted: np.ndarray, profile: Profile, field: PatchField, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the photons of all sources in a band; return their places on the reference grid [pixel]."""
    drawn = rng.poisson(wanted)
    count = int(drawn.sum())
    # Shares of the photons that are evenly spaced need no search among them.
    radii = np.interp(np.arange(_QUANTILES + 1) / _QUANTILES, profile.held, profile.radii) * SIDE / field.width
    share = rng.random(count, np.float32) * np.float32(_QUANTILES)
    part = np.minimum(share.astype(np.int32), _QUANTILES - 1)
    away = radii[part] + (share - part) * np.diff(radii)[part]
    angle = rng.random(count, np.float32) * np.float32(2 * np.pi)
    return np.repeat(x, drawn) + away * np.cos(angle), np.repeat(y, drawn) + away * np.sin(angle)


def _in_pixels(x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Return how many places on the reference grid fall into each pixel of a grid of another side."""
    column, row = (np.floor(on_grid(one, side) + 0.5).astype(int) for one in (x, y))
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    return np.bincount(row[inside] * side + column[inside], minlength=side**2).reshape(side, side)


def _diffuse(field: PatchField, survey: Survey, exposure: np.ndarray) -> list[np.ndarray]:
    """Return the counts of the diffuse emission that are expected in each band, per sr, as the instrument sees it.

    They are on square grids, wider than the patch; each pixel of the band's map, or of the reference grid if that has
    larger ones, is one of theirs.
    """
    grid = patch_wcs((field.lon, field.lat, _WIDE * field.width), _COARSE)
    y, x = np.mgrid[:_COARSE, :_COARSE]
    parts = diffuse_of(field, survey.bands, *grid.all_pix2world(x, y, 0), survey.folder)
    result = []
    for (gas, smooth), kernel, side, seen in zip(parts, survey.kernels, survey.sides, exposure, strict=True):
        # No finer than the reference grid: the diffuse emission has no structure that could be seen there.
        pixels = STRUCTURE_SIDE // max(1, SIDE // side)
        block = STRUCTURE_SIDE // pixels
        structure = field.structure.reshape(pixels, block, pixels, block).mean(axis=(1, 3))
        density = (_finer(gas, pixels) * structure + _finer(smooth, pixels)) * seen
        # What is needed: the patch, a border for what lies across its edge, and what the kernel reaches.
        border = math.ceil(_BORDER * min(side, SIDE) / field.width)
        unused = (pixels - min(side, SIDE)) // 2 - border - len(kernel) // 2
        density = density[unused : pixels - unused, unused : pixels - unused]
        result.append(fftconvolve(density, kernel, mode="valid"))
    return result


def _kernel(profile: Profile, side: int, width: float) -> np.ndarray:
    """Return the kernel that smooths the diffuse emission of a band, no wider than `_diffuse` can use."""
    inner = min(side, SIDE)
    kernel = profile.kernel(width / inner)
    middle = len(kernel) // 2
    most = (round(_WIDE * inner) - inner) // 2 - math.ceil(_BORDER * inner / width)
    reach = max(1, min(middle, most))
    kernel = kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    return kernel / kernel.sum()


def _on_map(density: np.ndarray, survey: Survey, side: int) -> np.ndarray:
    """Return the expected counts in the pixels of a patch's map, from counts per sr on a wider grid."""
    inner = min(side, SIDE)
    edge = (len(density) - inner) // 2
    part = density[edge : edge + inner, edge : edge + inner]
    if side > inner:
        part = _finer(part, side)
    return np.maximum(part, 0) * _areas(side, survey.width)


def _finer(image: np.ndarray, side: int) -> np.ndarray:
    """Return a square image on a finer grid with the same outer edges, by linear interpolation."""
    weights = _linear(len(image), side)
    return weights @ image @ weights.T


@lru_cache(maxsize=16)
def _linear(side: int, finer: int) -> np.ndarray:
    """Return the weights of pixels in the pixels of a finer grid, shape (finer, side)."""
    at = np.clip(on_grid(np.arange(finer), side, finer), 0, side - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(side)), 0)


def _areas(side: int, width: float) -> np.ndarray:
    """Return the solid angles of a tangent plane's pixels [sr]."""
    line = np.radians((np.arange(side) - (side - 1) / 2) * width / side)
    return math.radians(width / side) ** 2 * (1 + line**2 + line[:, None] ** 2) ** -1.5


def _in_healpix(
    places: tuple[np.ndarray, np.ndarray],
    density: np.ndarray,
    field: PatchField,
    survey: Survey,
    side: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the counts of a band on the patch's grid if photons are counted in HEALPix pixels first."""
    from astropy_healpix import HEALPix

    grid = HEALPix(survey.healpix, order="ring")
    wcs = patch_wcs((field.lon, field.lat, field.width))
    blocks = Blocks(field.lon, field.lat, field.width, side, survey.healpix)
    margin = 4 * grid.pixel_resolution.to_value(u.deg) * SIDE / field.width
    near = np.maximum(*(np.abs(one - (SIDE - 1) / 2) for one in places)) < SIDE / 2 + margin
    lon, lat = wcs.all_pix2world(places[0][near], places[1][near], 0)
    numbers = grid.lonlat_to_healpix(lon * u.deg, lat * u.deg)
    sources = np.bincount(numbers, minlength=grid.npix)[blocks.numbers]
    x, y = wcs.all_world2pix(*(angle.to_value(u.deg) for angle in grid.healpix_to_lonlat(blocks.numbers)), 0)
    pixels = min(side, SIDE)
    edge = (len(density) - pixels) / 2
    level = map_coordinates(density, [on_grid(one, pixels) + edge for one in (y, x)], order=1, mode="nearest")
    drawn = rng.poisson(np.maximum(level, 0) * grid.pixel_area.to_value(u.sr))
    return blocks.spread(sources + drawn)


def _truth(
    field: PatchField, survey: Survey, x: np.ndarray, y: np.ndarray, photons: np.ndarray, seen: list[np.ndarray]
) -> list[dict]:
    """Return the rows of truth of the sources in the patch."""
    pixel = field.width / SIDE
    inside = np.flatnonzero((np.abs(x - (SIDE - 1) / 2) <= SIDE / 2) & (np.abs(y - (SIDE - 1) / 2) <= SIDE / 2))
    squared = np.zeros(len(inside))
    for band, (profile, density) in enumerate(zip(survey.profiles, seen, strict=True)):
        radius = profile.radius(_CONTAINED)
        area = 2 * np.pi * (1 - math.cos(math.radians(radius)))
        pixels = min(survey.sides[band], SIDE)
        edge = (len(density) - pixels) / 2
        at = [on_grid(one[inside], pixels) + edge for one in (y, x)]
        level = map_coordinates(density, at, order=1, mode="nearest")
        bright = np.argsort(-photons[:, band])[:_NEIGHBOURS]
        away = np.hypot(x[inside, None] - x[bright], y[inside, None] - y[bright]) * pixel
        other = np.where(inside[:, None] == bright, 0, profile.density(np.maximum(away, radius / 2)))
        own = _CONTAINED * photons[inside, band]
        rest = area * (level + other @ photons[bright, band])
        squared += own**2 / np.maximum(own + rest, 1e-9)
    offset = [np.abs(one[inside] - (SIDE - 1) / 2) * pixel for one in (x, y)]
    return [
        {
            "source": number,
            "x": float(x[index]),
            "y": float(y[index]),
            "lon": field.sources[index].lon,
            "lat": field.sources[index].lat,
            "flux": field.sources[index].flux,
            "kind": KINDS.index(field.sources[index].kind),
            "snr": float(np.sqrt(squared[number])),
            "core": bool(offset[0][number] <= CORE and offset[1][number] <= CORE),
        }
        for number, index in enumerate(inside)
    ]


def truth_table(rows: list[dict]) -> Table:
    """Return rows of truth as a table with units, with all columns even if there is no row."""
    kinds = {"cube": int, "source": int, "kind": int, "core": bool, "tracer": int}
    names = ("cube", "source", "x", "y", "lon", "lat", "flux", "kind", "snr", "core", "tracer")
    return Table(
        {
            name: Column([row[name] for row in rows], dtype=kinds.get(name, float), unit=TRUTH_UNITS.get(name))
            for name in names
        }
    )
