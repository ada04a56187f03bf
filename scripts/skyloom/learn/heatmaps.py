"""The published way to a source: a smoothed map from 0 to 1, a cleaner, and a regressor that reads its place off it."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
from scipy.ndimage import gaussian_filter

from ..images.counts import CountsMap
from .predict import outputs

SMOOTHED = 5.0
"""Standard deviation of the Gaussian that smooths a map [pixel], as in astroAI."""


def heatmap(counts: np.ndarray) -> np.ndarray:
    """Return a map smoothed and scaled from its least to its largest value, from 0 to 1; (height, width, 1)."""
    smooth = gaussian_filter(np.asarray(counts, np.float32), SMOOTHED)
    least, most = smooth.min(), smooth.max()
    return ((smooth - least) / (most - least if most > least else 1.0))[..., None]


def cleaned(observed: CountsMap, truth: list[dict]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the heat map of a map and that of its photons of sources."""
    return [(heatmap(observed.counts), heatmap(observed.source_counts))]


def placed(networks: Mapping[str, keras.Model]) -> Callable:
    """Return a function that gives what the cleaner makes of a map, and where its source is, along x and along y.

    y is the x of the transposed map, so that one network with one number serves for both; it is in units of the
    map's side, from 0 to 1.
    """

    def examples(observed: CountsMap, truth: list[dict]) -> list[tuple[np.ndarray, np.ndarray]]:
        found = _cleaned(observed, networks)
        return [
            (found if axis == "x" else found.swapaxes(0, 1), np.array([(one[axis] + 0.5) / len(found)], np.float32))
            for one in truth[:1]
            for axis in "xy"
        ]

    return examples


def locate(observed: CountsMap, networks: Mapping[str, keras.Model]) -> tuple[float, float]:
    """Return x and y [pixel] of the one source that a map is taken to have.

    Parameters
    ----------
    observed : CountsMap
        Square.
    networks : mapping of str to keras.Model
        With the roles ``heatmap`` and ``place``.
    """
    found = _cleaned(observed, networks)
    place = outputs(networks["place"], np.stack([found, found.swapaxes(0, 1)]), 2)[:, 0]
    x, y = place * len(found) - 0.5
    return float(x), float(y)


def _cleaned(observed: CountsMap, networks: Mapping[str, keras.Model]) -> np.ndarray:
    return outputs(networks["heatmap"], heatmap(observed.counts)[None], 1)[0]
