"""Radio images around galaxy clusters, and masks of the diffuse emission in them."""

from dataclasses import dataclass

import numpy as np

FAINTEST, STEPS = 2.0**-6, 16
"""Surface brightness of the mask's first level in units of the rms, and levels in a factor of two."""


@dataclass(frozen=True)
class Cluster:
    """Where a cluster of galaxies is in an image, and how large.

    Attributes
    ----------
    x, y : float
        Centre [pixel].
    r500 : float
        Radius within which its mean density is 500 times the critical one [pixel].
    redshift : float
        NaN where it is not known.
    """

    x: float
    y: float
    r500: float
    redshift: float = float("nan")


@dataclass(frozen=True)
class RadioField:
    """A radio image with what a search may know of it, and, where it is simulated, a mask of what is there.

    Pixels count from 0: x along the last axis (West), y along the first (North).

    Attributes
    ----------
    image : numpy.ndarray, shape (height, width), float32
        Jy/beam, NaN where not observed.
    pixel : float
        Side of a pixel [arcsec].
    beam : tuple of float
        FWHM of the major and minor axis [arcsec], position angle [deg, North to East].
    frequency : float
        MHz.
    cluster : Cluster, optional
        The cluster that was observed; None if there is none in any list.
    mask : numpy.ndarray, shape (height, width), uint8, optional
        Where there is diffuse emission, and how bright (`as_mask`). For training and scores alone: no search reads it.
    """

    image: np.ndarray
    pixel: float
    beam: tuple[float, float, float]
    frequency: float
    cluster: Cluster | None = None
    mask: np.ndarray | None = None

    @property
    def beam_area(self) -> float:
        """Solid angle of the beam [pixel]."""
        return float(np.pi * self.beam[0] * self.beam[1] / (4 * np.log(2) * self.pixel**2))


def as_mask(brightness: np.ndarray, rms: np.ndarray | float, least: float = 0.0) -> np.ndarray:
    """Return where there is diffuse emission, and how bright.

    Parameters
    ----------
    brightness : numpy.ndarray, shape (height, width)
        Diffuse emission as the beam sees it, without noise or anything else [Jy/beam].
    rms : numpy.ndarray or float
        Noise [Jy/beam].
    least : float
        What is fainter does not count [Jy/beam].

    Returns
    -------
    numpy.ndarray, shape (height, width), uint8
        0 where there is none. Elsewhere, level v stands for a surface brightness of
        ``FAINTEST * 2 ** ((v - 1) / STEPS)`` times the rms; the first and the last level also hold what is beyond them.
    """
    brightness = np.asarray(brightness)
    there = (brightness > 0) & (brightness >= least)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 1 + STEPS * np.log2(brightness / rms / FAINTEST)
    return np.where(there, np.clip(np.rint(np.where(there, level, 1)), 1, 255), 0).astype(np.uint8)


def level_of(snr: float) -> int:
    """Return the mask's level of a surface brightness in units of the rms: ``mask >= level_of(1)`` is above the rms."""
    return int(as_mask(np.array([[snr]]), 1.0)[0, 0])


def brightness_of(mask: np.ndarray) -> np.ndarray:
    """Return the surface brightness that a mask stands for in units of the rms, float32; 0 where there is none."""
    table = np.r_[0, FAINTEST * 2.0 ** (np.arange(255) / STEPS)].astype(np.float32)
    return table[mask]


def binned(image: np.ndarray, binning: int) -> np.ndarray:
    """Return the means of `binning` x `binning` pixels, of those that are numbers; what is left over is left out."""
    if binning == 1:
        return np.asarray(image, np.float32)
    height, width = (side // binning for side in image.shape)
    result = np.empty((height, width), np.float32)
    for start in range(0, height, 256):
        rows = np.asarray(image[start * binning : min(start + 256, height) * binning, : width * binning], np.float32)
        parts = rows.reshape(-1, binning, width, binning)
        seen = np.isfinite(parts)
        if seen.all():
            result[start : start + 256] = parts.mean(axis=(1, 3))
            continue
        count = seen.sum(axis=(1, 3))
        total = np.where(seen, parts, 0).sum(axis=(1, 3))
        result[start : start + 256] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result
