"""What an object is like: position, fluxes, shape and size, each with its error where it has one."""

import warnings
from dataclasses import dataclass

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from photutils.centroids import centroid_quadratic
from scipy import ndimage
from skimage.measure import regionprops

from ..images.fits import Image

POSITION_FLOOR = 0.1
"""Error of a sub-pixel peak position that no signal removes [pixel]: interpolation between pixels."""

_FINE = 4
"""Half-maximum ellipses are measured on an image interpolated this many times finer."""


@dataclass(frozen=True)
class Measurement:
    """One object; pixels count from 0 at the centre of the first one, angles are in arcsec but for `pa` [deg]."""

    x: float
    y: float
    ra: float
    dec: float
    pos_error: float
    peak_flux: float
    peak_flux_error: float
    flux: float
    flux_error: float
    fwhm_major: float
    fwhm_minor: float
    pa: float
    size: float
    rms: float
    snr: float
    edge: bool


def measure(image: Image, rms: np.ndarray, segments: np.ndarray, label: int) -> Measurement:
    """Measure one object of an image.

    The peak flux is that of the brightest pixel; its position is refined by a parabola through the pixels around it.
    The integrated flux is the sum over the segment divided by the beam's solid angle; its error counts the
    independent beams in the segment, and holds no error of the flux scale. The widths are those of the half-maximum
    contour, which for a Gaussian are its FWHM. The size is the diameter of the circle with that contour's area:
    it is that of the bright disc, and the faint arms and walls of a wind do not change it, however far they reach.

    Parameters
    ----------
    image : Image
    rms : numpy.ndarray, shape (height, width)
        Noise [Jy/beam].
    segments : numpy.ndarray of int, shape (height, width)
        Segments grown to hold all flux (`skyloom.detect.segments.grown`).
    label : int
        Which of them.

    Returns
    -------
    Measurement
        Fluxes in Jy/beam (peak) and Jy. The position error is per axis, beam / (2 S/N) (Condon 1997, PASP 109, 166,
        equation 21, for the geometric mean of the beam's axes), and `POSITION_FLOOR`, added in squares.
    """
    box = ndimage.find_objects(segments, max_label=label)[label - 1]
    inside = segments[box] == label
    data = np.where(inside, np.nan_to_num(image.data[box]), 0.0).astype(float)
    row, column = np.unravel_index(np.argmax(np.where(inside, data, -np.inf)), data.shape)
    peak = data[row, column]
    y0, x0 = box[0].start + row, box[1].start + column
    noise = float(rms[y0, x0])
    x, y = _peak_position(image.data, x0, y0)
    sky = image.wcs.pixel_to_world(x, y).icrs
    beams = max(1.0, inside.sum() / image.beam_area)
    mean_rms = float(np.sqrt(np.nanmean(rms[box][inside] ** 2)))
    major, minor, angle = _half_maximum_ellipse(data, row, column)
    scale = image.pixel_scale
    beam = np.sqrt(image.beam.major * image.beam.minor)
    return Measurement(
        x=x,
        y=y,
        ra=float(sky.ra.deg),
        dec=float(sky.dec.deg),
        pos_error=float(np.hypot(beam / (2 * peak / noise), POSITION_FLOOR * scale)),
        peak_flux=float(peak),
        peak_flux_error=noise,
        flux=float(data.sum() / image.beam_area),
        flux_error=mean_rms * float(np.sqrt(beams)),
        fwhm_major=major * scale,
        fwhm_minor=minor * scale,
        pa=position_angle(image.wcs, x, y, angle),
        size=float(np.sqrt(major * minor)) * scale,
        rms=noise,
        snr=float(peak / noise),
        edge=_at_edge(image.data, box, inside),
    )


def position_angle(wcs: WCS, x: float, y: float, angle: float) -> float:
    """Return the position angle on the sky [deg, North to East, 0 to 180] of a direction in the image.

    `angle` is in rad, counted from the x axis to the y axis.
    """
    here = wcs.pixel_to_world(x, y)
    there = wcs.pixel_to_world(x + np.cos(angle), y + np.sin(angle))
    return float(here.icrs.position_angle(there.icrs).deg % 180)


def _peak_position(data: np.ndarray, x0: int, y0: int) -> tuple[float, float]:
    rows, columns = (slice(max(0, at - 1), at + 2) for at in (y0, x0))
    stamp = data[rows, columns]
    if stamp.shape != (3, 3) or not np.isfinite(stamp).all():
        return float(x0), float(y0)
    with warnings.catch_warnings():  # that a ridge has no peak is answered below
        warnings.simplefilter("ignore", AstropyUserWarning)
        dx, dy = centroid_quadratic(stamp.astype(float), fit_boxsize=3) - 1
    if not (abs(dx) <= 1 and abs(dy) <= 1):
        return float(x0), float(y0)
    return float(x0 + dx), float(y0 + dy)


def _half_maximum_ellipse(data: np.ndarray, row: int, column: int) -> tuple[float, float, float]:
    """Full axes [pixel] and angle [rad, x to y] of the ellipse with the moments of the region above half the peak."""
    fine = ndimage.zoom(np.pad(data, 1), _FINE, order=1, grid_mode=True, mode="nearest")
    parts, _ = ndimage.label(fine >= data[row, column] / 2)
    at = parts[round((row + 1.5) * _FINE - 0.5), round((column + 1.5) * _FINE - 0.5)]
    region = regionprops(ndimage.binary_fill_holes(parts == at).astype(np.uint8))[0]
    # scikit-image counts the orientation from the row axis; x is the column axis.
    return (
        region.axis_major_length / _FINE,
        region.axis_minor_length / _FINE,
        float(np.pi / 2 - region.orientation),
    )


def _at_edge(data: np.ndarray, box: tuple[slice, slice], inside: np.ndarray) -> bool:
    height, width = data.shape
    if box[0].start == 0 or box[1].start == 0 or box[0].stop == height or box[1].stop == width:
        return True
    around = tuple(slice(axis.start - 1, axis.stop + 1) for axis in box)
    rim = ndimage.binary_dilation(np.pad(inside, 1))
    return bool(np.isnan(data[around][rim]).any())
