"""A counts map in memory, as every step of the search for gamma-ray sources takes it."""

from dataclasses import dataclass

import numpy as np


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
