"""Radio images in FITS files of any size: pixels are read when they are asked for, in Jy/beam."""

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from .fits import _PLAIN_ZEROS, SMALLEST_SIDE, UnusableImage, _beam, _pixel_scale
from .radio_fields import Cluster, RadioField

CLUSTER = ("CL_RA", "CL_DEC", "CL_R500", "CL_Z")
"""Header keywords of the cluster that was observed: its place [deg], R500 [arcmin] and redshift."""
FREQUENCIES = ("RESTFRQ", "RESTFREQ", "OBSFREQ", "FREQ", "REFFREQ")
"""Header keywords of a frequency [Hz], where no axis has it."""
LOWEST = 1e6
"""A lower frequency is none [Hz]."""
ROWS = 256
"""Rows of an image that are in memory at a time."""


class Plane:
    """The pixels of an image that stays in its file, as an array that can be cut.

    What is cut out of it is float32, in Jy/beam, NaN where not observed.

    Parameters
    ----------
    data : numpy.ndarray, shape (height, width)
        As it is in the file, which may be mapped into memory.
    factor : float
        Jy/beam of its unit.
    zeros : bool
        Whether zero means that a pixel was not observed.
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, data: np.ndarray, factor: float, zeros: bool):
        """Keep where the pixels are."""
        self._data, self._factor, self._zeros = data, np.float32(factor), zeros
        self.shape, self.size = data.shape, data.size

    def __getitem__(self, place) -> np.ndarray:
        """Return some of the pixels."""
        part = np.array(self._data[place], np.float32)
        part[~np.isfinite(part)] = np.nan
        if self._zeros:
            part[part == 0] = np.nan
        return part * self._factor

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Return all pixels."""
        return self[:].astype(dtype or self.dtype, copy=False)


@dataclass(frozen=True)
class RadioFile:
    """A radio image in a file.

    Attributes
    ----------
    field : RadioField
        Its image is a `Plane`.
    wcs : astropy.wcs.WCS
        Celestial, two axes.
    target : str
        Name of what was observed.
    cluster : str
        Name of the cluster in the list; empty if it is from the header, or there is none.
    data_sha256 : str
        Of the pixels.
    flags : tuple of str
        ``unit_assumed`` (the header gives none, so it is taken for Jy/beam).
    """

    field: RadioField
    wcs: WCS
    target: str
    cluster: str
    data_sha256: str
    flags: tuple[str, ...]


def read_field(path: str | Path, clusters: Table | None = None) -> RadioFile:
    """Read a radio image: the first image of a FITS file, which may be compressed and have axes of length one.

    Parameters
    ----------
    path : path
    clusters : astropy.table.Table, optional
        Of `skyloom.sky.cluster_lists.read_clusters`: the one in the image that is nearest to its middle is taken,
        or the nearest of those whose R500 reaches into it, unless the header tells of a cluster (`CLUSTER`).

    Raises
    ------
    UnusableImage
        If the file is no FITS, is broken or empty, holds a table or a cube, or lacks WCS, beam or a usable unit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        data, header, beams = _opened(Path(path))
        wcs, data = _plane(header, data)
        pixel = _pixel_scale(wcs)
        beam = _beam(header, beams)
        frequency = _frequency(header)
        factor, assumed = _jansky_per_beam(header, beam.area(pixel))
    if beam.minor < pixel:
        raise UnusableImage("The beam is smaller than a pixel.")
    if min(data.shape) < SMALLEST_SIDE:
        raise UnusableImage(
            f"The image has {data.shape[1]} x {data.shape[0]} pixels, fewer than {SMALLEST_SIDE} a side."
        )
    digest, zeros, seen = _looked_through(data)
    if not seen:
        raise UnusableImage("No pixel holds a value: all are NaN or zero.")
    name, cluster = _cluster_of(header, wcs, data.shape, pixel, clusters)
    field = RadioField(
        image=Plane(data, factor, zeros),
        pixel=pixel,
        beam=(beam.major, beam.minor, beam.pa),
        frequency=frequency,
        cluster=cluster,
    )
    target = str(header.get("OBJECT", "")).strip()
    return RadioFile(field, wcs, target, name, digest, ("unit_assumed",) if assumed else ())


def _opened(path: Path) -> tuple[np.ndarray, fits.Header, np.ndarray | None]:
    """Return the first image, mapped into memory where the file allows it, its header, and its table of beams."""
    if path.stat().st_size == 0:
        raise UnusableImage("The file is empty.")
    try:
        with fits.open(path, memmap=True) as hdus:
            images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) > 0]
            if not images:
                tables = any(isinstance(hdu, fits.BinTableHDU | fits.TableHDU) for hdu in hdus)
                raise UnusableImage(f"The file holds {'a table' if tables else 'nothing'}, no image.")
            beams = next((np.array(hdu.data) for hdu in hdus if hdu.name == "BEAMS"), None)
            data, header = images[0].data, images[0].header
    except (OSError, TypeError, ValueError, VerifyError, KeyError, EOFError) as error:
        raise UnusableImage("The file is broken or truncated: it cannot be read as FITS.") from error
    if data is None or data.size == 0:
        raise UnusableImage("The image has no pixels.")
    return data, header, beams


def _plane(header: fits.Header, data: np.ndarray) -> tuple[WCS, np.ndarray]:
    """Return the celestial WCS and the pixels of Stokes I, declination along the first axis."""
    try:
        full = WCS(header)
        celestial = full.celestial
    except Exception as error:  # wcslib has a dozen of its own, some of which are plain ValueErrors
        raise UnusableImage("The celestial WCS is broken, or the pixel scale is zero.") from error
    if not full.has_celestial:
        raise UnusableImage("The image has no celestial WCS.")
    lng, lat, axes = full.wcs.lng, full.wcs.lat, data.ndim
    # What was cut out of a cube may still tell of the axes that it has no more.
    if max(lng, lat) >= axes:
        raise UnusableImage(f"The image has {axes} axes, and its celestial ones are not among them.")
    shape = " x ".join(str(length) for length in data.shape[::-1])
    for number, kind in enumerate(list(full.wcs.ctype)[:axes]):
        axis = axes - 1 - number
        if kind.upper().startswith("STOKES") and data.shape[axis] > 1:
            first = full.wcs.crval[number] + (1 - full.wcs.crpix[number]) * full.wcs.cdelt[number]
            if not np.isclose(first, 1):  # FITS Standard 4.0, section 8.5
                raise UnusableImage("The first of its Stokes planes is not Stokes I.")
            data = data[(slice(None),) * axis + (slice(0, 1),)]
    data = np.moveaxis(data, (axes - 1 - lat, axes - 1 - lng), (-2, -1))
    if any(length != 1 for length in data.shape[:-2]):
        raise UnusableImage(f"The file holds a cube of {shape} pixels, not one continuum image.")
    plane = data[(0,) * (data.ndim - 2)]
    # The celestial WCS has longitude first, as the pixels have it now.
    return celestial if lng < lat else celestial.sub(["longitude", "latitude"]), plane


def _frequency(header: fits.Header) -> float:
    """Return the frequency [MHz], NaN if the header tells none that makes sense."""
    axes = [axis for axis in range(1, 10) if str(header.get(f"CTYPE{axis}", "")).startswith("FREQ")]
    for name in (*(f"CRVAL{axis}" for axis in axes), *FREQUENCIES):
        value = header.get(name)
        if isinstance(value, int | float) and np.isfinite(value) and value > LOWEST:
            return float(value) / 1e6
    return float("nan")


def _jansky_per_beam(header: fits.Header, beam_area: float) -> tuple[float, bool]:
    """Return what the image's unit is in Jy/beam, and whether that was assumed."""
    text = str(header.get("BUNIT", "")).strip()
    if not text:
        return 1.0, True
    spelled = text
    for word in ("Jy", "beam", "pixel"):
        spelled = re.sub(word, word, spelled, flags=re.IGNORECASE)
    try:
        unit = units.Unit(spelled)
        for wanted, factor in ((units.Jy / units.beam, 1.0), (units.Jy / units.pixel, beam_area)):
            if unit.is_equivalent(wanted):
                return unit.to(wanted) * factor, False
    except (ValueError, TypeError) as error:
        raise UnusableImage(f"The unit is {text}, neither Jy/beam nor Jy/pixel.") from error
    raise UnusableImage(f"The unit is {text}, neither Jy/beam nor Jy/pixel.")


def _looked_through(data: np.ndarray) -> tuple[str, bool, bool]:
    """Return the hash of the pixels, whether zero means not observed, and whether any was, some rows at a time."""
    digest = hashlib.sha256(f"{data.shape}".encode())
    zeros = seen = 0
    for start in range(0, data.shape[0], ROWS):
        part = np.array(data[start : start + ROWS], dtype="<f4")
        part[~np.isfinite(part)] = np.nan
        digest.update(part.tobytes())
        zeros += int((part == 0).sum())
        seen += int(np.isfinite(part).sum())
    blank = zeros > _PLAIN_ZEROS * data.size
    return digest.hexdigest(), blank, seen - blank * zeros > 0


def _cluster_of(
    header: fits.Header, wcs: WCS, shape: tuple[int, int], pixel: float, clusters: Table | None
) -> tuple[str, Cluster | None]:
    """Return name and place of the cluster that the header tells of, or of the nearest to the middle in the list."""
    height, width = shape

    def placed(ra, dec, r500, redshift, reach=0.5) -> Cluster | None:
        x, y = (float(value) for value in wcs.world_to_pixel(SkyCoord(float(ra), float(dec), unit="deg")))
        inside = -reach <= x <= width - 1 + reach and -reach <= y <= height - 1 + reach
        return Cluster(x, y, float(r500) * 60 / pixel, float(redshift)) if inside else None

    told = [header.get(name, np.nan) for name in CLUSTER]
    if all(isinstance(value, int | float) and np.isfinite(value) for value in told[:3]) and told[2] > 0:
        return "", placed(*told)
    if clusters is None or not len(clusters):
        return "", None
    middle = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
    apart = middle.separation(SkyCoord(clusters["ra"], clusters["dec"], unit="deg")).arcsec
    reach = np.asarray(clusters["r500"]) * 60
    near = [
        int(one)
        for one in np.argsort(apart, kind="stable")
        if apart[one] < np.hypot(height, width) * pixel + reach[one]
    ]
    # First those whose centre is in the image, then those that reach into it.
    for share in (0.0, 1.0):
        for number in near:
            row = clusters[number]
            values = (row[name] for name in ("ra", "dec", "r500", "redshift"))
            found = placed(*values, reach=max(0.5, share * reach[number] / pixel))
            if found:
                return str(row["name"]), found
    return "", None
