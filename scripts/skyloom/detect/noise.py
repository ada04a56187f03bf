"""The noise of an image, pixel by pixel, where sources, missing pixels and a primary beam are in the way."""

import numpy as np
from astropy.stats import SigmaClip
from photutils.background import Background2D, MADStdBackgroundRMS, MedianBackground
from scipy import ndimage

_GAUSSIAN_MAD = 1.482602218505602
_ANNULI = 16
_SAMPLE = 200_000
"""Pixels that the radial profile is made from at most; medians of more would cost time and tell the same."""


def noise_map(data: np.ndarray, beam_area: float) -> np.ndarray:
    """Return the rms of each pixel.

    In an image corrected for the primary beam the noise grows outward as its inverse, steeply at the rim where boxes
    hold few pixels. So a Gaussian primary beam (ALMA Technical Handbook, section 3.2) is fitted to the noise in
    annuli first, and what is left is followed in boxes of some 100 beams, larger than most
    sources. Sources are masked in a second pass.

    Parameters
    ----------
    data : numpy.ndarray, shape (height, width)
        Image, NaN where not observed.
    beam_area : float
        Solid angle of the beam [pixel].

    Returns
    -------
    numpy.ndarray, shape (height, width), float32
        In the image's unit, NaN where not observed.

    Raises
    ------
    ValueError
        If the image has no noise: it is constant, or holds too few values.
    """
    observed = np.isfinite(data)
    radius2 = _squared_radius(observed)
    rms = _local(data, radius2, observed, beam_area)
    sources = data > 3 * rms
    sources = ndimage.binary_opening(sources, iterations=max(1, round(np.sqrt(beam_area) / 6)))
    sources = ndimage.binary_dilation(sources, iterations=max(1, round(np.sqrt(beam_area) / 2)))
    free = observed & ~sources
    if free.sum() > 0.2 * observed.sum():
        rms = _local(data, radius2, free, beam_area)
    return np.where(observed, rms, np.nan).astype(np.float32)


def robust_rms(values: np.ndarray) -> float:
    """Return the standard deviation of normal noise that has outliers, by the median absolute deviation."""
    return float(_GAUSSIAN_MAD * np.median(np.abs(values - np.median(values)))) if len(values) else np.nan


def _squared_radius(observed: np.ndarray) -> np.ndarray:
    """Squared distance from the middle of the observed region, in units of its largest value there."""
    y, x = np.nonzero(observed)
    rows, columns = np.ogrid[: observed.shape[0], : observed.shape[1]]
    radius2 = (rows - (y.min() + y.max()) / 2) ** 2 + (columns - (x.min() + x.max()) / 2) ** 2
    return radius2 / max(radius2[observed].max(), 1)


def _local(data: np.ndarray, radius2: np.ndarray, free: np.ndarray, beam_area: float) -> np.ndarray:
    level = _primary_beam_noise(data, radius2, free)
    flat = data / level
    box = int(np.clip(10 * np.sqrt(beam_area), 32, max(16, min(data.shape) // 4)))
    boxes = Background2D(
        np.where(free, flat, 0.0),
        box,
        mask=~free,
        filter_size=3,
        exclude_percentile=80,
        sigma_clip=SigmaClip(3, maxiters=5),
        bkg_estimator=MedianBackground(),
        bkg_rms_estimator=MADStdBackgroundRMS(),
    )
    # A box that a source fills has too high an rms; a masked corner can have nearly none.
    ratio = np.clip(boxes.background_rms, 0.5, 2.0)
    return level * ratio


def _primary_beam_noise(data: np.ndarray, radius2: np.ndarray, free: np.ndarray) -> np.ndarray:
    values, position = data[free], radius2[free]
    step = max(1, len(values) // _SAMPLE)
    values, position = values[::step], position[::step]
    order = np.argsort(position, kind="stable")
    annuli = np.array_split(order, _ANNULI) if len(order) >= 20 * _ANNULI else [order]
    sigma = np.array([robust_rms(values[annulus]) for annulus in annuli])
    where = np.array([position[annulus].mean() for annulus in annuli])
    if not np.all(sigma > 0):
        raise ValueError("the image has no noise")
    if len(sigma) == 1:
        return np.full(data.shape, sigma[0])
    # Median of pairwise slopes (Theil-Sen): one annulus with a source in it does not matter.
    first, second = np.triu_indices(len(sigma), 1)
    log_sigma = np.log(sigma)
    slope = max(0.0, np.median((log_sigma[second] - log_sigma[first]) / (where[second] - where[first])))
    return np.exp(np.median(log_sigma - slope * where) + slope * radius2)
