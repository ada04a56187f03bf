"""Read a counts map of Cherenkov telescopes from a FITS file, or say in one sentence why it cannot be searched."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from .counts import CountsMap
from .fits import UnusableImage

_BROKEN = (OSError, TypeError, ValueError, VerifyError, KeyError, IndexError, EOFError)


@dataclass(frozen=True)
class MapFile:
    """A counts map and what its file tells.

    Attributes
    ----------
    observed : CountsMap
    wcs : astropy.wcs.WCS
        Celestial, two axes, right ascension and declination.
    pointing : tuple of float
        Right ascension and declination of the map's middle [deg, ICRS].
    livetime : float
        [s]; NaN if the file does not tell.
    parts : tuple of str
        Lists that the map is made of, none that are known.
    """

    observed: CountsMap
    wcs: WCS
    pointing: tuple[float, float]
    livetime: float
    parts: tuple[str, ...] = ()


def read_counts(path: str | Path, pixel: float) -> MapFile:
    """Return the first image of a FITS file as a counts map; further axes, such as of the energy, are summed over.

    Parameters
    ----------
    path : path
        Plain or gzipped.
    pixel : float
        Side that its pixels must have [deg].

    Raises
    ------
    UnusableImage
        If the file is no FITS or is broken, holds no image of whole numbers, or its pixels are not those wanted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(path, memmap=False) as hdus:
                header, data = _image(hdus)
            wcs = WCS(header).celestial
            ends = tuple(wcs.wcs.ctype)
            sides = proj_plane_pixel_scales(wcs) if wcs.naxis == 2 else ()
        except _BROKEN as error:
            raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error
    counts = data.reshape(-1, *data.shape[-2:]).sum(axis=0)
    if not np.all(np.isfinite(counts)) or np.any(counts < 0) or np.any(counts != np.round(counts)):
        raise UnusableImage("The image holds no counts: not all of its values are whole numbers from zero.")
    if len(sides) != 2 or not ends[0].startswith("RA--") or wcs.wcs.radesys not in ("", "ICRS", "FK5"):
        raise UnusableImage("The image does not lie in right ascension and declination (ICRS or FK5).")
    if not np.allclose(sides, pixel, rtol=0.01):
        given = " x ".join(f"{side:.4g}" for side in sides)
        raise UnusableImage(f"The pixels are {given} deg, and {pixel:.4g} deg is wanted.")
    height, width = counts.shape
    ra, dec = (float(value) for value in wcs.wcs_pix2world((width - 1) / 2, (height - 1) / 2, 0))
    known = header.get("LIVETIME", header.get("EXPOSURE"))
    livetime = float(known) if isinstance(known, int | float) else math.nan
    return MapFile(CountsMap(counts.astype(np.uint32), pixel), wcs, (ra, dec), livetime)


def _image(hdus: fits.HDUList) -> tuple[fits.Header, np.ndarray]:
    for hdu in hdus:
        if not isinstance(hdu, fits.BinTableHDU) and hdu.data is not None and np.ndim(hdu.data) >= 2:
            return hdu.header, np.asarray(hdu.data, dtype=float)
    raise UnusableImage("The file holds neither a table of events nor an image.")
