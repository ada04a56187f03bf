"""Read a continuum image as telescopes' archives give it, or say in one sentence why it cannot be used."""

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

SMALLEST_SIDE = 16
"""Images with a shorter side [pixel] have no room for a source and noise beside it."""

_PLAIN_ZEROS = 0.01
"""Share of pixels that are exactly zero from which on zero means "not observed", as in older ALMA products."""

_AIPS_BEAM = re.compile(r"BMAJ=\s*([-+.\dE]+)\s+BMIN=\s*([-+.\dE]+)\s+BPA=\s*([-+.\dE]+)", re.IGNORECASE)


class UnusableImage(Exception):
    """An image that cannot be searched; the text is the reason, one sentence."""


@dataclass(frozen=True)
class Beam:
    """An elliptical Gaussian beam: FWHM [arcsec] of its axes, position angle [deg] of the major one, North to East."""

    major: float
    minor: float
    pa: float

    def area(self, pixel_scale: float) -> float:
        """Return the beam's solid angle in pixels of `pixel_scale` arcsec: pi / (4 ln 2) bmaj bmin."""
        return np.pi / (4 * np.log(2)) * self.major * self.minor / pixel_scale**2

    def in_pixels(self, pixel_scale: float) -> tuple[float, float, float]:
        """Return FWHM major and minor [pixel] and position angle [deg]."""
        return self.major / pixel_scale, self.minor / pixel_scale, self.pa


@dataclass(frozen=True)
class Image:
    """A continuum image.

    Attributes
    ----------
    data : numpy.ndarray, shape (height, width), float32
        Surface brightness [Jy/beam], NaN where not observed.
    wcs : astropy.wcs.WCS
        Celestial, two axes.
    beam : Beam
    pixel_scale : float
        Side of a pixel [arcsec].
    frequency : float
        [GHz]; NaN if the header has none.
    data_sha256 : str
        Hash of the pixel values, the same for every file that holds these pixels.
    """

    data: np.ndarray
    wcs: WCS
    beam: Beam
    pixel_scale: float
    frequency: float
    data_sha256: str

    @property
    def beam_area(self) -> float:
        """The beam's solid angle [pixel]."""
        return self.beam.area(self.pixel_scale)


def read_image(path: str | Path) -> Image:
    """Return the first image of a FITS file, which may be compressed and have axes of length one.

    Where it has several Stokes planes, this is Stokes I.

    Raises
    ------
    UnusableImage
        If the file is no FITS, is broken or empty, holds a table or a cube, or lacks WCS, beam or a usable unit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        data, header, beams = _first_image(Path(path))
        wcs, data = _celestial(header, data)
        scale = _pixel_scale(wcs)
        beam = _beam(header, beams)
        frequency = _frequency(header)
    if beam.minor < scale:
        raise UnusableImage("The beam is smaller than a pixel.")
    data = np.ascontiguousarray(data, dtype=np.float32)
    data[~np.isfinite(data)] = np.nan
    digest = hashlib.sha256(f"{data.shape}".encode() + data.astype("<f4").tobytes()).hexdigest()
    zeros = data == 0
    if zeros.mean() > _PLAIN_ZEROS:
        data[zeros] = np.nan
    if not np.isfinite(data).any():
        raise UnusableImage("No pixel holds a value: all are NaN or zero.")
    if min(data.shape) < SMALLEST_SIDE:
        raise UnusableImage(
            f"The image has {data.shape[1]} x {data.shape[0]} pixels, fewer than {SMALLEST_SIDE} a side."
        )
    return Image(data * np.float32(_jansky_per_beam(header)), wcs, beam, scale, frequency, digest)


def _first_image(path: Path) -> tuple[np.ndarray, fits.Header, np.ndarray | None]:
    if path.stat().st_size == 0:
        raise UnusableImage("The file is empty.")
    try:
        with fits.open(path, memmap=False) as hdus:
            images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) > 0]
            if not images:
                kind = (
                    "a table" if any(isinstance(hdu, fits.BinTableHDU | fits.TableHDU) for hdu in hdus) else "nothing"
                )
                raise UnusableImage(f"The file holds {kind}, no image.")
            beams = next((hdu.data for hdu in hdus if hdu.name == "BEAMS"), None)
            data = images[0].data
            if data is None or data.size == 0:
                raise UnusableImage("The image has no pixels.")
            return data, images[0].header, beams
    except (OSError, TypeError, ValueError, VerifyError, KeyError, EOFError) as error:
        raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error


def _celestial(header: fits.Header, data: np.ndarray) -> tuple[WCS, np.ndarray]:
    try:
        full = WCS(header)
        celestial = full.celestial
    except Exception as error:  # wcslib has a dozen of its own, some of which are plain ValueErrors
        raise UnusableImage("The celestial WCS is broken, or the pixel scale is zero.") from error
    if not full.has_celestial:
        raise UnusableImage("The image has no celestial WCS.")
    if data.ndim != full.naxis:
        raise UnusableImage(f"The image has {data.ndim} axes, but its WCS {full.naxis}.")
    shape = " x ".join(str(length) for length in data.shape[::-1])
    data = _stokes_i(full, data)
    axes = (data.ndim - 1 - full.wcs.lat, data.ndim - 1 - full.wcs.lng)
    data = np.moveaxis(data, axes, (-2, -1))
    if any(length != 1 for length in data.shape[:-2]):
        raise UnusableImage(f"The file holds a cube of {shape} pixels, not one continuum image.")
    return celestial, data.reshape(data.shape[-2:])


def _stokes_i(wcs: WCS, data: np.ndarray) -> np.ndarray:
    """Return the data with Stokes I, which FITS calls 1, alone on the Stokes axis (FITS Standard 4.0, section 8.5)."""
    for number, kind in enumerate(wcs.wcs.ctype):
        axis = data.ndim - 1 - number
        if not kind.upper().startswith("STOKES") or data.shape[axis] == 1:
            continue
        first = wcs.wcs.crval[number] + (1 - wcs.wcs.crpix[number]) * wcs.wcs.cdelt[number]
        if not np.isclose(first, 1):
            raise UnusableImage("The first of its Stokes planes is not Stokes I.")
        data = data.take([0], axis)
    return data


def _pixel_scale(wcs: WCS) -> float:
    try:
        scales = proj_plane_pixel_scales(wcs) * 3600
        wcs.wcs.set()
        good = np.all(np.isfinite(scales)) and np.all(scales > 0)
    except Exception as error:  # wcslib calls a pixel scale of zero a singular matrix
        raise UnusableImage("The celestial WCS is broken, or the pixel scale is zero.") from error
    if not good:
        raise UnusableImage("The pixel scale is zero or not a number.")
    if abs(scales[0] / scales[1] - 1) > 0.01:
        raise UnusableImage(f"The pixels are not square ({scales[0]:.4g} by {scales[1]:.4g} arcsec).")
    return float(np.sqrt(scales[0] * scales[1]))


def _beam(header: fits.Header, beams) -> Beam:
    found = None
    if "BMAJ" in header and "BMIN" in header:
        found = [float(header[key]) * 3600 for key in ("BMAJ", "BMIN")] + [float(header.get("BPA", 0.0))]
    elif beams is not None and len(beams):
        # CASA writes one beam a channel, in arcsec and deg.
        found = [float(np.median(beams[key])) for key in ("BMAJ", "BMIN", "BPA")]
    elif "HISTORY" in header:
        match = _AIPS_BEAM.search(" ".join(str(line) for line in header["HISTORY"]))
        found = [float(match[1]) * 3600, float(match[2]) * 3600, float(match[3])] if match else None
    if found is None:
        raise UnusableImage("The header gives no beam (BMAJ, BMIN, BPA).")
    if not (np.all(np.isfinite(found)) and found[0] >= found[1] > 0):
        raise UnusableImage(f"The beam of {found[0]:.4g} by {found[1]:.4g} arcsec makes no sense.")
    return Beam(*found)


def _jansky_per_beam(header: fits.Header) -> float:
    text = str(header.get("BUNIT", "")).strip()
    spelled = re.sub("jy", "Jy", re.sub("beam", "beam", text, flags=re.IGNORECASE), flags=re.IGNORECASE)
    try:
        return units.Unit(spelled).to(units.Jy / units.beam)
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UnusableImage(f"The unit is {text or 'not given'}, not Jy/beam.") from error


def _frequency(header: fits.Header) -> float:
    for axis in range(1, header.get("NAXIS", 0) + 1):
        if str(header.get(f"CTYPE{axis}", "")).startswith("FREQ"):
            return float(header.get(f"CRVAL{axis}", np.nan)) / 1e9
    return float(header.get("RESTFRQ", header.get("RESTFREQ", np.nan))) / 1e9
