"""Counts maps of a square of the sky in several energy bands: in memory, and packed for a network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from ..errors import UserError

SIDE = 128
"""Side of the reference grid, in whose pixels all tables tell positions."""
SIDES = (32, 64, 128, 256)
"""Sides that a band's map may have [pixel]."""
SAME = 3
"""Bands at most that have the same side."""
_TILE = 32
_LARGEST = 60000.0
"""Counts of a pixel beyond which a network is not told how many (half precision ends at 65504)."""


@dataclass(frozen=True)
class Patch:
    """Counts maps of a square of the sky, on a tangent plane in Galactic coordinates with North up.

    Attributes
    ----------
    counts : tuple of numpy.ndarray, shape (side, side), float32
        Of each band, low energies first; row 0 is the southernmost, and longitude rises to the left. All maps share
        their outer edges.
    exposure : numpy.ndarray, shape (bands,)
        Of each band in the middle of the patch [cm2 s].
    lon, lat : float
        Of the middle, Galactic [deg].
    width : float
        Of the patch [deg].
    bands : tuple of (float, float)
        Least and greatest energy [GeV].
    """

    counts: tuple[np.ndarray, ...]
    exposure: np.ndarray
    lon: float
    lat: float
    width: float
    bands: tuple[tuple[float, float], ...]

    @property
    def pixel(self) -> float:
        """Return the side of a pixel of the reference grid [deg]."""
        return self.width / SIDE


def patch_wcs(patch: Patch | tuple[float, float, float], side: int = SIDE) -> WCS:
    """Return the coordinates of a patch's grid of `side` x `side` pixels.

    Parameters
    ----------
    patch : Patch or tuple
        The latter is longitude and latitude of the middle and the width [deg].
    side : int
    """
    lon, lat, width = (patch.lon, patch.lat, patch.width) if isinstance(patch, Patch) else patch
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "GLON-TAN", "GLAT-TAN"
    wcs.wcs.cunit = "deg", "deg"
    wcs.wcs.crval = lon, lat
    wcs.wcs.crpix = (side + 1) / 2, (side + 1) / 2
    wcs.wcs.cdelt = -width / side, width / side
    wcs.wcs.set()
    return wcs


def on_grid(position: np.ndarray | float, side: int, other: int = SIDE) -> np.ndarray | float:
    """Return positions [pixel] on a grid of another side; both grids share their outer edges."""
    return (position + 0.5) * side / other - 0.5


def packing(sides: Sequence[int]) -> list[int]:
    """Return the order in which bands of these sides are packed: small maps first, of equal ones as they come.

    Raises
    ------
    UserError
        If a side is none of `SIDES`, or more than `SAME` bands share it.
    """
    for side in sides:
        if side not in SIDES:
            raise UserError(f"a band has {side} pixels a side; it should have one of {', '.join(map(str, SIDES))}.")
        if list(sides).count(side) > SAME:
            raise UserError(f"more than {SAME} bands have {side} pixels a side; give some of them another one.")
    return sorted(range(len(sides)), key=lambda band: sides[band])


def packed(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the maps of all bands as one array of half precision, shape (32 tiles, 32, 1).

    Each map is a run of rows, of 32 of its pixels each. As there are fewer than four maps of a side, and a side is half
    the next, the number of tiles tells which sides there are (`packed_sides`).
    """
    order = packing([len(one) for one in counts])
    values = np.concatenate([np.minimum(counts[band], _LARGEST).ravel() for band in order])
    return values.reshape(-1, _TILE, 1).astype(np.float16)


def packed_sides(rows: int) -> tuple[int, ...]:
    """Return the sides of the maps in an array of so many rows of `packed`, in their order.

    Raises
    ------
    UserError
        If no maps fill so many rows.
    """
    tiles, sides = rows // _TILE, []
    for side in SIDES:
        sides += [side] * (tiles % (SAME + 1))
        tiles //= SAME + 1
    if rows % _TILE or tiles or not sides:
        raise UserError(f"`network`: {rows} rows are no maps of a patch, as skyloom.images.patches.packed makes them.")
    return tuple(sides)


def packed_rows(sides: Sequence[int]) -> list[slice]:
    """Return the rows of each map in an array of `packed`."""
    ends = np.cumsum([0, *(side**2 // _TILE for side in sides)])
    return [slice(int(first), int(last)) for first, last in zip(ends[:-1], ends[1:], strict=True)]
