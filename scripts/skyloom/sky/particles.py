"""Irregular structure as clouds of particles, drawn once and put onto any grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Particles:
    """Particles on the sky: offsets to the east and north and their weights, each (n,); `blur` is the sigma of each."""

    east: NDArray
    north: NDArray
    weight: NDArray
    blur: float

    def __call__(self, x: NDArray, y: NDArray) -> NDArray:
        """Return the brightness on a regular grid of offsets, x (1, n) falling and y (n, 1) rising (cloud in cell)."""
        n, pixel = x.shape[1], float(y[1, 0] - y[0, 0])
        column, row = (float(x[0, 0]) - self.east) / pixel, (self.north - float(y[0, 0])) / pixel
        inside = (column > 0) & (column < n - 1) & (row > 0) & (row < n - 1)
        column, row, weight = column[inside], row[inside], self.weight[inside]
        left, low = column.astype(int), row.astype(int)
        right, up = column - left, row - low
        first = low * n + left
        image = np.zeros(n * n)
        for step, share in (
            (0, (1 - right) * (1 - up)),
            (1, right * (1 - up)),
            (n, (1 - right) * up),
            (n + 1, right * up),
        ):
            image += np.bincount(first + step, share * weight, n * n)
        return ndimage.gaussian_filter(image.reshape(n, n).astype(np.float32), self.blur / pixel, mode="constant")


def joined(clouds: list[Particles], weights: list[float], blur: float) -> Particles:
    """Return several clouds as one, each with the total weight given."""
    return Particles(
        np.concatenate([cloud.east for cloud in clouds]),
        np.concatenate([cloud.north for cloud in clouds]),
        np.concatenate([cloud.weight * (w / cloud.weight.sum()) for cloud, w in zip(clouds, weights, strict=True)]),
        blur,
    )


def clumpiness(rng: np.random.Generator, coordinates: NDArray, contrast: float, modes: int = 12) -> NDArray:
    """Return positive weights that vary smoothly and at random over space (a lognormal field of random waves).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the waves.
    coordinates : (d, n) array
        Positions in units of the typical clump.
    contrast : float
        rms of the logarithm.
    modes : int
        Number of waves.
    """
    waves = rng.normal(size=(modes, len(coordinates))) * 2
    phases = rng.uniform(0, 2 * np.pi, (modes, 1))
    return np.exp(contrast * np.sqrt(2 / modes) * np.cos(waves @ coordinates + phases).sum(axis=0))
