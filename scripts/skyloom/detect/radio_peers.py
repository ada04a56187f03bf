"""Other finders of diffuse emission in radio images, run on the same fields as the networks to compare them.

Each takes an image, its noise and its beam, and returns where it says that diffuse emission is. What they find is then
measured, and their thresholds are chosen, in the same way as the networks' (`skyloom.learn.field_peers`).
"""

import contextlib
import io
import math
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy import ndimage

from .noise import robust_rms
from .peers import import_bdsf, running_bdsf

FWHM = math.sqrt(8 * math.log(2))
WIDTH = 3.0
"""FWHM of the kernel that images are convolved with [beam]."""
THRESHOLD = 3.0
"""Where diffuse emission begins, in units of the noise of the convolved image."""
WIDE = 2.0
"""A Gaussian, or a segment, that is this many times as wide as the beam is diffuse."""
CLIP = 3.0
LARGEST = 5
"""Wavelets that PyBDSF takes: the largest has a scale of some 2 ** 5 pixels, a megaparsec of most clusters."""


@dataclass(frozen=True)
class RadioImage:
    """A radio image for other finders.

    Attributes
    ----------
    image : numpy.ndarray, shape (height, width), float32
        Jy/beam, NaN where not observed.
    noise : numpy.ndarray, shape (height, width), float32
        Local noise [Jy/beam].
    residual : numpy.ndarray, shape (height, width), float32
        The image without its compact sources [Jy/beam].
    beam : tuple of float
        FWHM of the major and minor axis [pixel], position angle [deg].
    pixel : float
        Side of a pixel [arcsec].
    frequency : float
        MHz.
    """

    image: np.ndarray
    noise: np.ndarray
    residual: np.ndarray
    beam: tuple[float, float, float]
    pixel: float
    frequency: float

    @property
    def width(self) -> float:
        """FWHM of a round beam of the same area [pixel]."""
        return math.sqrt(self.beam[0] * self.beam[1])


def smoothed_residual(seen: RadioImage) -> np.ndarray:
    """Return where the image without compact sources, convolved to `WIDTH` beams, exceeds `THRESHOLD` times its noise.

    So diffuse emission is looked for by hand: compact sources are subtracted, and what is left is seen with a larger
    beam (as by Botteon et al. 2022, A&A 660, A78).

    Returns
    -------
    numpy.ndarray, shape (height, width), bool
    """
    smooth = _convolved(seen.residual / seen.noise, WIDTH * seen.width)
    return np.nan_to_num(smooth) >= _limit(smooth)


def photutils_segments(seen: RadioImage) -> np.ndarray:
    """Return the segments of the convolved image that are wide, by the image segmentation of photutils.

    No compact source is removed beforehand; their segments are those no wider than the kernel makes them.

    Returns
    -------
    numpy.ndarray, shape (height, width), bool
    """
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    kernel = WIDTH * seen.width
    smooth = _convolved(seen.image / seen.noise, kernel)
    filled, blank = np.nan_to_num(smooth), ~np.isfinite(smooth)
    pixels = max(5, round(math.pi / 4 / math.log(2) * kernel**2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        segments = detect_sources(filled, _limit(smooth), pixels, mask=blank)
    if segments is None:
        return np.zeros(filled.shape, bool)
    with warnings.catch_warnings():
        # A segment that is negative somewhere has levels that are evenly spaced.
        warnings.filterwarnings("ignore", "The deblending mode")
        segments = deblend_sources(filled, segments, pixels, n_levels=16, contrast=0.05, progress_bar=False)
    catalog = SourceCatalog(filled, segments)
    width = np.atleast_1d(getattr(catalog.semimajor_axis, "value", catalog.semimajor_axis)) * FWHM
    point = math.hypot(kernel, seen.width)
    kept = np.atleast_1d(catalog.labels)[width >= WIDE * point]
    return np.isin(segments.data, kept)


def pybdsf_wavelets(seen: RadioImage, thresh_pix: float = 4.0, thresh_isl: float = 3.0) -> np.ndarray:
    """Return where the wide Gaussians of PyBDSF, with its wavelet option, are brighter than the noise.

    PyBDSF fits Gaussians to islands, then to what is left of the image, decomposed in wavelets of growing scale
    (its option ``atrous_do``), which is its way to extended emission. It takes the better part of a minute a field.
    Parameters
    ----------
    seen : RadioImage
    thresh_pix, thresh_isl : float
        Lowest peak of an island and its boundary, in units of PyBDSF's noise.

    Returns
    -------
    numpy.ndarray, shape (height, width), bool

    Raises
    ------
    UserError
        If PyBDSF is not installed.
    """
    found = np.zeros(seen.image.shape, np.float32)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bdsf = import_bdsf()
        path = Path(folder) / "field.fits"
        fits.writeto(path, seen.image[None, None], _header(seen))
        options = {
            "outdir": folder,
            "quiet": True,
            "ncores": 1,
            "thresh": "hard",
            "thresh_pix": thresh_pix,
            "thresh_isl": thresh_isl,
            "frequency": seen.frequency * 1e6 if math.isfinite(seen.frequency) else 1.5e8,
        }
        with running_bdsf():
            try:
                try:
                    result = bdsf.process_image(str(path), atrous_do=True, atrous_jmax=LARGEST, **options)
                except ValueError:  # the moments of some island of a wavelet's image are beyond its arithmetic
                    result = bdsf.process_image(str(path), **options)
                gaussians = [(g.centre_pix, g.size_pix, float(g.peak_flux)) for g in result.gaussians]
            except RuntimeError:  # it finds nothing at all
                gaussians = []
    for (x, y), (major, minor, pa), peak in gaussians:
        if major >= WIDE * seen.width and math.isfinite(major * minor * pa * peak):
            _add_gaussian(found, x, y, max(major, 1.0), max(minor, 1.0), pa, peak)
    return found >= seen.noise


def _add_gaussian(image: np.ndarray, x: float, y: float, major: float, minor: float, pa: float, peak: float) -> None:
    """Add a Gaussian with FWHM [pixel] and position angle [deg, from y to decreasing x]."""
    reach = 2.5 * major
    rows, columns = (
        slice(max(0, int(middle - reach)), min(side, int(middle + reach) + 1))
        for middle, side in ((y, image.shape[0]), (x, image.shape[1]))
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    up, right = np.mgrid[rows, columns].astype(np.float32)
    up, right = up - y, right - x
    angle = math.radians(pa)
    along, across = (
        up * math.cos(angle) - right * math.sin(angle),
        up * math.sin(angle) + right * math.cos(angle),
    )
    image[rows, columns] += peak * np.exp(-4 * math.log(2) * ((along / major) ** 2 + (across / minor) ** 2))


def _convolved(image: np.ndarray, width: float) -> np.ndarray:
    """Return an image convolved with a round Gaussian of this FWHM [pixel], NaN where not observed."""
    known = np.isfinite(image)
    total = ndimage.gaussian_filter(np.where(known, image, 0).astype(np.float32), width / FWHM, mode="constant")
    share = ndimage.gaussian_filter(known.astype(np.float32), width / FWHM, mode="constant")
    return np.where(known, total / np.maximum(share, 1e-3), np.nan)


def _limit(image: np.ndarray) -> float:
    """Return `THRESHOLD` times the noise of an image that has sources, above its background."""
    values = image[np.isfinite(image)]
    for _ in range(3):
        level, rms = np.median(values), robust_rms(values)
        values = values[np.abs(values - level) <= CLIP * rms]
    return float(level + THRESHOLD * rms) or 1e-30


def _header(seen: RadioImage) -> fits.Header:
    """Return a header for another program; it gives back pixels, so any place on the sky would do."""
    header, side = fits.Header(), seen.pixel / 3600
    height, width = seen.image.shape
    axes = (
        ("RA---SIN", 180.0, -side, (width + 1) / 2),
        ("DEC--SIN", 0.0, side, (height + 1) / 2),
        ("FREQ", seen.frequency * 1e6 if math.isfinite(seen.frequency) else 1.5e8, 1e6, 1.0),
        ("STOKES", 1.0, 1.0, 1.0),
    )
    for number, (kind, value, step, reference) in enumerate(axes, 1):
        header[f"CTYPE{number}"], header[f"CRVAL{number}"] = kind, value
        header[f"CDELT{number}"], header[f"CRPIX{number}"] = step, reference
    header["BMAJ"], header["BMIN"], header["BPA"] = seen.beam[0] * side, seen.beam[1] * side, seen.beam[2]
    header["BUNIT"] = "JY/BEAM"
    return header


FINDERS = {"pybdsf": pybdsf_wavelets, "smoothed_residual": smoothed_residual, "photutils": photutils_segments}
"""The finders by name."""
