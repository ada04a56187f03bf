"""The noise of a large image on a coarse grid, box by box, so that no second image is needed in memory."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CLIP = 3.0
"""What is farther from a box's median, in units of its noise, is a source."""
RANGE = (0.5, 4.0)
"""Least and greatest noise of a box over that of the whole image: a source may fill one, and a corner hold little."""
_SIGMA_PER_DEVIATION = 1.4826
"""A Gaussian's standard deviation over its median absolute deviation."""
_LEAST = 0.2
"""Share of a box that must have been observed."""


@dataclass(frozen=True)
class LocalNoise:
    """Noise on a grid of boxes; between their centres it is interpolated, beyond them it goes on as it is.

    Attributes
    ----------
    grid : numpy.ndarray, shape (rows, columns), float32
        Noise of each box, in the image's unit.
    edges : tuple of numpy.ndarray
        Where boxes begin and end along y and x [pixel].
    """

    grid: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]

    @property
    def typical(self) -> float:
        """Median over the boxes."""
        return float(np.median(self.grid))

    def of(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the noise of the pixels in some rows and columns, float32."""
        y, x = (
            np.interp(
                np.arange(part.start, part.stop) + 0.5,
                (edge[:-1] + edge[1:]) / 2,
                np.arange(len(edge) - 1, dtype=float),
            )
            for part, edge in zip((rows, columns), self.edges, strict=True)
        )
        first, share = y.astype(int), (y - y.astype(int))[:, None]
        second = np.minimum(first + 1, len(self.grid) - 1)
        along_y = self.grid[first] * (1 - share) + self.grid[second] * share
        left, share = x.astype(int), x - x.astype(int)
        right = np.minimum(left + 1, self.grid.shape[1] - 1)
        return (along_y[:, left] * (1 - share) + along_y[:, right] * share).astype(np.float32)


def local_noise(image: np.ndarray, box: int = 64) -> LocalNoise:
    """Return the noise of an image (height, width) that has sources, NaN where it was not observed.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width)
    box : int
        About the side of a box [pixel].

    Raises
    ------
    ValueError
        If the image has no noise: it is constant, or holds too few values.
    """
    edges = tuple(np.linspace(0, side, max(1, round(side / box)) + 1).round().astype(int) for side in image.shape)
    grid = np.full([len(edge) - 1 for edge in edges], np.nan)
    for i, j in np.ndindex(*grid.shape):
        part = image[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]]
        seen = part[np.isfinite(part)]
        if seen.size >= _LEAST * part.size:
            grid[i, j] = _clipped(seen)
    known = np.isfinite(grid) & (grid > 0)
    if not known.any():
        raise ValueError("the image has no noise")
    typical = np.median(grid[known])
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    grid = ndimage.median_filter(grid[tuple(nearest)], 3, mode="nearest")
    return LocalNoise(np.clip(grid, RANGE[0] * typical, RANGE[1] * typical).astype(np.float32), edges)


def _clipped(values: np.ndarray) -> float:
    """Return the noise of values that have outliers."""
    for _ in range(3):
        from_median = np.abs(values - np.median(values))
        rms = _SIGMA_PER_DEVIATION * float(np.median(from_median))
        values = values[from_median <= CLIP * rms]
    return rms
