"""Square patches of the sky in tangent projection and the HEALPix pixels in them: where both are, and how counts of the
one become counts of the other.
"""

import math
from functools import cached_property, lru_cache

import numpy as np

_FINE, _COARSE = 8, 4
"""Points along a HEALPix pixel's side by which it is spread over a patch: where it is larger than the patch's pixels,
and where it is not."""


@lru_cache(1)
def _to_galactic() -> np.ndarray:
    """Return the matrix that turns unit vectors of ICRS into Galactic ones."""
    from astropy.coordinates import SkyCoord

    axes = SkyCoord([0, 90, 0], [0, 0, 90], unit="deg").galactic.cartesian.xyz.value
    return np.asarray(axes)


def vectors(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Return unit vectors of directions [deg]; shape (..., 3)."""
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def directions(units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes from 0 to 360 and latitudes [deg] of vectors (..., 3) of any length."""
    lon = np.degrees(np.arctan2(units[..., 1], units[..., 0])) % 360
    return lon, np.degrees(np.arctan2(units[..., 2], np.hypot(units[..., 0], units[..., 1])))


def galactic(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Galactic longitudes and latitudes of right ascensions and declinations [deg, ICRS]."""
    return directions(vectors(ra, dec) @ _to_galactic().T)


def equatorial(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascensions and declinations [deg, ICRS] of Galactic longitudes and latitudes [deg]."""
    return directions(vectors(lon, lat) @ _to_galactic())


def offsets(lon: np.ndarray, lat: np.ndarray, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return where directions lie on the tangent plane of a centre, all in [deg].

    Returns
    -------
    east, north : numpy.ndarray
        Towards larger longitudes and latitudes; NaN for what is not on the same half of the sky.
    """
    away, lat, middle = np.radians(np.asarray(lon) - centre[0]), np.radians(lat), math.radians(centre[1])
    along = np.cos(lat) * np.cos(away)
    depth = np.sin(lat) * math.sin(middle) + along * math.cos(middle)
    scale = np.degrees(1) / np.where(depth > 0.1, depth, np.nan)
    return scale * np.cos(lat) * np.sin(away), scale * (np.sin(lat) * math.cos(middle) - along * math.sin(middle))


def sky_of(east: np.ndarray, north: np.ndarray, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions [deg] of places on the tangent plane of a centre (`offsets`)."""
    lon, lat = math.radians(centre[0]), math.radians(centre[1])
    middle = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    to_east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    to_north = np.array([-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)])
    east, north = np.radians(np.asarray(east))[..., None], np.radians(np.asarray(north))[..., None]
    return directions(middle + east * to_east + north * to_north)


def pixels_of(
    lon: np.ndarray, lat: np.ndarray, centre: tuple[float, float], width: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places x, y [pixel, from 0] of directions [deg] in a patch of `side` pixels over `width` deg."""
    east, north = offsets(lon, lat, centre)
    return (width / 2 - east) * side / width - 0.5, (width / 2 + north) * side / width - 0.5


def sky_of_pixels(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], width: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions [deg] of places x, y [pixel, from 0] in a patch of `side` pixels over `width` deg."""
    pixel = width / side
    return sky_of(width / 2 - (np.asarray(x) + 0.5) * pixel, (np.asarray(y) + 0.5) * pixel - width / 2, centre)


def counted(x: np.ndarray, y: np.ndarray, side: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return an image (side, side), float32, of how many places lie in each pixel, or of the sum of their weights."""
    x, y = np.floor(np.asarray(x) + 0.5), np.floor(np.asarray(y) + 0.5)
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    numbers = y[inside].astype(np.int64) * side + x[inside].astype(np.int64)
    weights = None if weights is None else np.asarray(weights)[inside]
    return np.bincount(numbers, weights, side * side).reshape(side, side).astype(np.float32)


class Blocks:
    """The HEALPix pixels that a patch touches.

    Each is spread over the patch's pixels by the solid angle that they share, so that all its counts stay where it lies
    within the patch. Values of a HEALPix map are known only as such blocks, whatever the patch's pixels are.

    Parameters
    ----------
    lon, lat : float
        Centre of the patch [deg].
    width : float
        Of the patch [deg].
    side : int
        Pixels along it.
    nside : int
        Of the HEALPix map.
    nested : bool
        Whether the numbers of its pixels are nested.
    frame : str
        ``galactic``, or ``icrs`` for a map whose own coordinates are equatorial; the patch is always Galactic.

    Attributes
    ----------
    numbers : numpy.ndarray, shape (blocks,)
        HEALPix pixels that the patch touches, sorted.
    """

    def __init__(
        self, lon: float, lat: float, width: float, side: int, nside: int, nested: bool = False, frame: str = "galactic"
    ):
        """Find the blocks at points of a grid that is finer than both kinds of pixels."""
        from astropy import units as u
        from astropy_healpix import HEALPix

        pixel, block = width / side, math.degrees(math.sqrt(4 * math.pi / 12)) / nside
        self.side = side
        self._division = max(1, math.ceil(pixel / (block / (_FINE if block > pixel else _COARSE))))
        # What reaches out of the patch is followed to its end: a HEALPix pixel is up to twice as long as its side.
        self._margin = math.ceil(2 * block / pixel)
        count = (side + 2 * self._margin) * self._division
        place = (np.arange(count) + 0.5) * pixel / self._division - self._margin * pixel - width / 2
        east, north = np.meshgrid(-place, place)
        lons, lats = sky_of(east, north, (lon, lat))
        if frame == "icrs":
            lons, lats = equatorial(lons, lats)
        healpix = HEALPix(nside, order="nested" if nested else "ring")
        found = healpix.lonlat_to_healpix(lons.ravel() * u.deg, lats.ravel() * u.deg)
        # A pixel of a tangent plane covers the solid angle cos^3 of its distance from the centre.
        area = (1 + np.radians(east) ** 2 + np.radians(north) ** 2).ravel() ** -1.5
        inside = np.zeros((count, count), bool)
        cut = self._margin * self._division
        inside[cut : count - cut, cut : count - cut] = True
        inside = inside.ravel()
        numbers, index = np.unique(found, return_inverse=True)
        share = area / np.bincount(index, area)[index]
        self.numbers = np.unique(found[inside])
        self._index = np.searchsorted(self.numbers, found[inside])
        self._share = share[inside]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the image (side, side), float32, of blocks with these values, each spread over its area.

        Parameters
        ----------
        values : numpy.ndarray, shape (blocks,)
            In the order of `numbers`: counts, or anything that is a sum over the block.
        """
        fine = np.asarray(values, float)[self._index] * self._share
        shape = (self.side, self._division, self.side, self._division)
        return fine.reshape(shape).sum(axis=(1, 3)).astype(np.float32)

    def gather(self, image: np.ndarray) -> np.ndarray:
        """Return the sums of an image (side, side) over the blocks, of which those at the border are not complete."""
        fine = np.repeat(np.repeat(np.asarray(image, float), self._division, 0), self._division, 1)
        return np.bincount(self._index, fine.ravel() / self._division**2, len(self.numbers))

    @cached_property
    def contained(self) -> np.ndarray:
        """The share of each block that lies within the patch; shape (blocks,)."""
        return np.bincount(self._index, self._share, len(self.numbers))
