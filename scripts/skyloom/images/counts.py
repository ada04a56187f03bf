"""A counts map in memory, as every step of the search for gamma-ray sources takes it."""

from dataclasses import dataclass

import numpy as np

BINNING = 2
"""Pixels of the map that are one of the networks', along each axis."""


@dataclass(frozen=True)
class CountsMap:
    """A counts map with what a search may know of it: neither response nor background nor target.

    Attributes
    ----------
    counts : numpy.ndarray, shape (height, width)
        Events in each pixel.
    pixel : float
        Side of a pixel [deg].
    source_counts : numpy.ndarray, shape (height, width), optional
        Of these, the photons of sources, where this is known.
    """

    counts: np.ndarray
    pixel: float
    source_counts: np.ndarray | None = None


def binned(counts: np.ndarray, binning: int = BINNING) -> np.ndarray:
    """Return counts in larger pixels, float32; what does not fill a whole one at the far edges is left out."""
    height, width = (side // binning for side in counts.shape)
    part = np.asarray(counts[: height * binning, : width * binning], dtype=np.float32)
    return part.reshape(height, binning, width, binning).sum(axis=(1, 3))
