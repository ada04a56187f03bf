"""Cut an object out of its image: at the archive's own pixels, and scaled by the object's own size."""

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.nddata import Cutout2D
from astropy.wcs import WCS, FITSFixedWarning
from scipy import ndimage

FINEST = 3.0
"""FWHM [pixel] of the finest that a scaled cutout shows; sharper detail is averaged, and its noise with it.

It is chosen so that discs a few pixels wide keep their walls apart from the core.
"""

OBSERVED = 0.2
"""Least share of the smoothing kernel that must lie on observed pixels; in the corner of an image it is a quarter."""

_FWHM = 2 * np.sqrt(2 * np.log(2))
_ENOUGH = 30
"""Noise is measured where at least this many independent kernels are free of sources."""


@dataclass(frozen=True)
class Cutout:
    """A square image with its WCS and beam: FWHM major, minor [pixel], position angle [deg]."""

    data: np.ndarray
    wcs: WCS
    beam: tuple[float, float, float]

    @property
    def header(self) -> str:
        """The WCS as text of a FITS header."""
        return self.wcs.to_header().tostring(sep="\n")


def native_cutout(
    data: np.ndarray, wcs: WCS, beam: tuple[float, float, float], x: float, y: float, side: int
) -> Cutout:
    """Return `side` pixels square around (x, y), with NaN beyond the image; values are not touched.

    The object lands within half a pixel of the centre, ((side - 1) / 2, (side - 1) / 2).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        cut = Cutout2D(data, (x, y), side, wcs=wcs, mode="partial", fill_value=np.nan, copy=True)
    return Cutout(cut.data.astype(np.float32), cut.wcs, beam)


def kernel_width(step: float, beam: tuple[float, float, float]) -> float:
    """Return the FWHM [pixel] of the Gaussian that an image is smoothed with for pixels `step` times as wide.

    Together with the beam it makes `FINEST` of the new pixels, so that they are sampled well. It is rounded to a
    quarter of an octave, so that the objects of an image can share the smoothed image. 0 means that the beam is wide
    enough.
    """
    missing = (FINEST * step) ** 2 - beam[0] * beam[1]
    return float(2 ** (np.ceil(4 * np.log2(np.sqrt(missing))) / 4)) if missing > 1 else 0.0


def smoothed_snr(snr: np.ndarray, free: np.ndarray, beam: tuple[float, float, float], kernel: float) -> np.ndarray:
    """Return an image smoothed by a Gaussian, in units of the noise that it has then.

    Walls of a few rms a beam, spread over many beams, stand out after it as they do to the eye. The noise is measured
    again outside the sources: in real images what is left of large-scale emission and of calibration errors makes it
    up to three times what theory says. Where too little is free of sources, theory serves (`smoothed_noise`).

    Parameters
    ----------
    snr : numpy.ndarray, shape (height, width)
        Image divided by its noise, NaN where not observed.
    free : numpy.ndarray of bool, shape (height, width)
        Where no source is.
    beam : tuple of float
        FWHM major, minor [pixel], position angle.
    kernel : float
        FWHM of the Gaussian [pixel], 0 for none.

    Returns
    -------
    numpy.ndarray, shape (height, width)
        NaN where less than `OBSERVED` of the kernel's weight is on observed pixels.
    """
    smooth = _smoothed(snr, kernel / _FWHM)
    known = smooth[free & np.isfinite(smooth)]
    if len(known) < _ENOUGH * (beam[0] * beam[1] + kernel**2):
        return smooth / smoothed_noise(beam, kernel)
    known = known[:: max(1, len(known) // 200_000)]
    noise = 1.4826 * np.median(np.abs(known - np.median(known)))
    return smooth / noise


def smoothed_noise(beam: tuple[float, float, float], kernel: float) -> float:
    """Return by which factor a Gaussian of FWHM `kernel` lowers the thermal noise of an image with this beam.

    That noise has the power spectrum of the beam itself, since both are the Fourier transform of the visibilities'
    weights (Thompson, Moran & Swenson 2017, section 6.2). A Gaussian kernel acts on the power twice, so each axis
    b of a Gaussian beam gives sqrt(b / sqrt(b^2 + 2 k^2)).
    """
    return float(np.prod([(1 + 2 * (kernel / axis) ** 2) ** -0.25 for axis in beam[:2]]))


def scaled_cutout(
    smooth: np.ndarray,
    wcs: WCS,
    beam: tuple[float, float, float],
    kernel: float,
    x: float,
    y: float,
    step: float,
    side: int,
) -> Cutout:
    """Return the part of a smoothed image around an object in pixels `step` times as wide.

    Parameters
    ----------
    smooth : numpy.ndarray, shape (height, width)
        From `smoothed_snr`, with `kernel_width(step, beam)`.
    wcs : astropy.wcs.WCS
        Of the image.
    beam : tuple of float
        Of the image before smoothing: FWHM major, minor [pixel], position angle [deg].
    kernel : float
        FWHM of the smoothing [pixel].
    x, y : float
        The object [pixel]; it lands at the centre, ((side - 1) / 2, (side - 1) / 2).
    step : float
        Width of the new pixels in old ones.
    side : int
        Width of the cutout in new pixels.

    Returns
    -------
    Cutout
        float32, bilinear between observed pixels, NaN elsewhere.
    """
    at = (np.arange(side) - (side - 1) / 2) * step
    data = _interpolated(smooth, at + y, at + x).astype(np.float32)
    wide = (np.hypot(beam[0], kernel) / step, np.hypot(beam[1], kernel) / step, beam[2])
    return Cutout(data, scaled_wcs(wcs, x, y, step, side), wide)


def scaled_wcs(wcs: WCS, x: float, y: float, step: float, side: int) -> WCS:
    """Return the WCS of a cutout of `side` pixels, each `step` of the old ones wide, centred on the old (x, y)."""
    new = wcs.deepcopy()
    new.wcs.crpix = (wcs.wcs.crpix - 1 - (x, y)) / step + (side - 1) / 2 + 1
    if new.wcs.has_cd():
        new.wcs.cd = wcs.wcs.cd * step
    else:
        new.wcs.cdelt = wcs.wcs.cdelt * step
    new.wcs.set()
    new.pixel_shape = (side, side)
    return new


def _smoothed(data: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian average over the observed pixels; NaN where they hold less than `OBSERVED` of the kernel's weight."""
    if sigma == 0:
        return data
    observed = np.isfinite(data)
    total = ndimage.gaussian_filter(np.where(observed, data, np.float32(0)), sigma, mode="constant", truncate=3)
    weight = ndimage.gaussian_filter(observed.astype(np.float32), sigma, mode="constant", truncate=3)
    return np.where(weight >= OBSERVED, total / np.maximum(weight, OBSERVED), np.nan)


def _interpolated(data: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear interpolation on a grid; NaN where less than half of the weight is on observed pixels."""
    first = (max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1))
    window = data[first[0] : max(0, int(rows[-1]) + 3), first[1] : max(0, int(columns[-1]) + 3)]
    at = np.stack(np.meshgrid(rows - first[0], columns - first[1], indexing="ij"))
    observed = np.isfinite(window)
    weight = ndimage.map_coordinates(observed.astype(np.float32), at, order=1, mode="constant", cval=0)
    total = ndimage.map_coordinates(
        np.where(observed, window, np.float32(0)).astype(np.float32), at, order=1, mode="constant", cval=0
    )
    return np.where(weight >= 0.5, total / np.maximum(weight, 0.5), np.nan)
