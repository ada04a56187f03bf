"""The search for point sources in a counts map: clean it, find peaks, and measure each."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from astropy.table import Column, Table
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from ..images.counts import BINNING, CountsMap, binned
from .predict import outputs
from .running import Stages, of_size
from .runtimes import Runner

CROP = 32
"""Side of the part that a position is measured in [networks' pixel]."""
PEAK, APART, INSIDE, NEAR, BROAD = 1.6, 4, 12.0, 3.0, 10.0
"""In networks' pixels: the Gaussian that peaks are looked for with, their least distance, the radii within which
photons are counted and the significance is taken, and the Gaussian that smooths the background."""
LARGEST = 2.5
"""A position is at most this far from its peak along each axis [networks' pixel]."""
_LINE = np.arange(CROP) - CROP // 2
_DISTANCE = _LINE[:, None] ** 2 + _LINE**2
"""Squared distance from the middle of the part around a peak."""
UNITS = {
    "x": "pix",
    "y": "pix",
    "x_error": "pix",
    "y_error": "pix",
    "photons": "ct",
    "photons_error": "ct",
    "background": "ct",
}
COLUMNS = ("cube", "x", "y", "x_error", "y_error", "photons", "photons_error", "background", "score", "snr")


@dataclass
class Candidate:
    """A peak of a cleaned map, in networks' pixels.

    Attributes
    ----------
    x, y : int
        Pixel of the peak.
    photons, background : float
        Counts within `INSIDE` that are nearest to this peak: those of sources, and what the background is expected to
        be.
    photons_error : float
        Of which events are photons, by their shares.
    score : float
        Significance of the photons when each event counts as much as it is likely to be one.
    snr : float
        Significance of the excess within `NEAR` (Li & Ma 1983, ApJ 272, 317, eq. 17).
    width : float
        Root mean square distance of the photons from the peak.
    image : numpy.ndarray, shape (CROP, CROP)
        Counts less the background, in units of the noise of what is counted.
    """

    x: int
    y: int
    photons: float
    photons_error: float
    background: float
    score: float
    snr: float
    width: float
    image: np.ndarray = field(repr=False)


def clean(counts: np.ndarray, network: keras.Model | Runner) -> np.ndarray:
    """Return how many of the counts in each pixel are photons of sources.

    Parameters
    ----------
    counts : numpy.ndarray, shape (..., height, width)
        One map or several, in networks' pixels (`binned`); of any size.
    network : keras.Model or skyloom.learn.runtimes.Runner
        With the role ``map``.
    """
    height, width = counts.shape[-2:]
    images = padded(counts.reshape(-1, height, width))
    given = outputs(of_size(network, images.shape[1:]), images, batch_size=1)
    return given[:, :height, :width, 0].reshape(counts.shape)


def padded(counts: np.ndarray) -> np.ndarray:
    """Return maps (n, height, width) as networks take them: (n, height, width, 1), the sides multiples of 4."""
    _, height, width = counts.shape
    return np.pad(counts, ((0, 0), (0, -height % 4), (0, -width % 4)))[..., None]


def find_peaks(counts: np.ndarray, photons: np.ndarray, lowest: float) -> list[Candidate]:
    """Return the peaks of a cleaned map.

    Parameters
    ----------
    counts, photons : numpy.ndarray, shape (height, width)
        The map, and what of it is photons (`clean`).
    lowest : float
        Least score of a peak.
    """
    smooth = gaussian_filter(photons, PEAK, mode="constant")
    peaks = peak_local_max(smooth, min_distance=APART, threshold_abs=1e-6, exclude_border=False)
    # n events with the share f sum up to n f photons, and their weighted sum has the variance n f**2.
    squared = photons**2 / np.maximum(counts, 1)
    place, within = _around(peaks, counts.shape)
    own = within & (_nearest(peaks, counts.shape)[place] >= _DISTANCE)
    inside = own & (_DISTANCE <= INSIDE**2)
    given = _sums(squared[place], inside)
    kept = np.sqrt(given) >= lowest
    if not kept.any():
        return []
    peaks, within, own, inside, given = (values[kept] for values in (peaks, within, own, inside, given))
    place = tuple(index[kept] for index in place)
    level = gaussian_filter(counts - photons, BROAD, mode="constant") / _edges(counts.shape)
    shares, levels, events = photons[place], level[place], counts[place]
    some, rest = _sums(shares, inside), _sums(levels, inside)
    near = within & (_DISTANCE <= NEAR**2)
    on, expected = _sums(events, near), _sums(levels, near)
    width = np.sqrt(_sums(shares * _DISTANCE, inside) / np.maximum(some, 1e-6))
    noise = np.sqrt(some + _sums(levels, within & (_DISTANCE <= (INSIDE / 2) ** 2)) + 1)
    images = np.where(own, events - levels, 0) / noise[:, None, None]
    return [
        Candidate(
            x=int(column),
            y=int(row),
            photons=float(some[number]),
            photons_error=float(np.sqrt(max(some[number] - given[number], 0.0) + 1)),
            background=float(rest[number]),
            score=float(np.sqrt(given[number])),
            snr=_significance(float(on[number]), float(expected[number]), int(near[number].sum())),
            width=float(width[number]),
            image=images[number].astype(np.float32),
        )
        for number, (row, column) in enumerate(peaks)
    ]


@functools.cache
def _edges(shape: tuple[int, int]) -> np.ndarray:
    """Return how much of the broad Gaussian around each pixel lies within the map."""
    return gaussian_filter(np.ones(shape, np.float32), BROAD, mode="constant")


def _nearest(peaks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the squared distance of every pixel from the peak that is nearest to it."""
    nearest = np.full(shape, np.iinfo(np.int32).max, np.int32)
    y, x = (np.arange(side, dtype=np.int32) for side in shape)
    for row, column in peaks.astype(np.int32):
        np.minimum(nearest, ((y - row) ** 2)[:, None] + (x - column) ** 2, out=nearest)
    return nearest


def _around(peaks: np.ndarray, shape: tuple[int, int]) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return where the pixels around each peak are, and which of them lie within the map.

    The former are indices of rows and columns, for parts of shape (peaks, CROP, CROP) in which the peak is at
    (CROP // 2, CROP // 2).
    """
    wanted = [peaks[:, axis, None] + _LINE for axis in (0, 1)]
    rows, columns = (np.clip(index, 0, side - 1) for index, side in zip(wanted, shape, strict=True))
    y, x = (index == given for index, given in zip(wanted, (rows, columns), strict=True))
    return (rows[:, :, None], columns[:, None]), y[:, :, None] & x[:, None]


def _sums(parts: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the sums of what is inside, one a part."""
    return np.where(inside, parts, 0).sum(axis=(1, 2), dtype=float)


def _significance(on: float, expected: float, pixels: int) -> float:
    """Return the significance of the events in so many pixels, the background as well known as the smoothing allows."""
    alpha = pixels / (4 * np.pi * BROAD**2)
    off = expected / alpha
    if expected <= 0 or on <= expected:
        return 0.0
    total = on + off
    first = on * np.log((1 + alpha) / alpha * on / total)
    return float(np.sqrt(max(2 * (first + off * np.log((1 + alpha) * off / total)), 0.0)))


def position_input(one: Candidate, along_y: bool) -> np.ndarray:
    """Return what the network of positions is given to measure x, or y; shape (CROP, CROP, 5).

    A response that looks alike in x and y needs one network only: y is the x of the transposed image.
    """
    share = one.score**2 / (one.photons + 1)
    given = np.empty((CROP, CROP, 5), np.float32)
    given[..., 0] = one.image.T if along_y else one.image
    given[..., 1:] = np.log(one.score + 0.1), np.log(one.photons + 1) / 4, share, one.width / INSIDE
    return given


def search_map(observed: CountsMap, networks: dict[str, keras.Model | Runner], settings, stages: Stages) -> list[dict]:
    """Return one row a candidate of a counts map.

    Parameters
    ----------
    observed : CountsMap
    networks : dict of str to keras.Model or skyloom.learn.runtimes.Runner
        ``map``, and ``position`` if positions finer than a pixel are wanted.
    settings : skyloom.cases.cherenkov.Search
    stages : Stages
        Counts the seconds.

    Returns
    -------
    list of dict
        x, y and their errors [pixel of the map], photons with their error and background within the radius `INSIDE`
        [ct], score and snr, both significances (`Candidate`).
    """
    return search_maps([observed], networks, settings, stages)[0]


def search_maps(
    observed: Sequence[CountsMap], networks: dict[str, keras.Model | Runner], settings, stages: Stages
) -> list[list[dict]]:
    """Return one row a candidate of each of several counts maps of one size, which go through the networks together.

    Parameters and what is returned are those of `search_map`, for each map.
    """
    now = time.perf_counter()
    counts = np.stack([binned(one.counts) for one in observed])
    photons = clean(counts, networks["map"])
    now = stages.add("clean", now)
    found = [find_peaks(*both, settings.lowest_score) for both in zip(counts, photons, strict=True)]
    now = stages.add("peaks", now)
    offsets, errors = positions([one for some in found for one in some], networks.get("position"))
    places = iter(zip(offsets, errors, strict=True))
    rows = [[_row(one, *next(places)) for one in some] for some in found]
    stages.add("positions", now)
    return rows


def _row(one: Candidate, offset: np.ndarray, error: np.ndarray) -> dict:
    """Return a candidate in pixels of the map; offset and error are x and y [networks' pixel]."""
    shift = (BINNING - 1) / 2
    return {
        "x": float((one.x + offset[0]) * BINNING + shift),
        "y": float((one.y + offset[1]) * BINNING + shift),
        "x_error": float(error[0] * BINNING),
        "y_error": float(error[1] * BINNING),
        "photons": one.photons,
        "photons_error": one.photons_error,
        "background": one.background,
        "score": one.score,
        "snr": one.snr,
    }


def positions(candidates: list[Candidate], network: keras.Model | Runner | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of sources from their peaks and the errors of these, both (n, 2): x, y [networks' pixel]."""
    count = len(candidates)
    if network is None or not count:
        return np.zeros((count, 2)), np.full((count, 2), 0.5)
    given = outputs(network, np.stack([position_input(one, along) for along in (False, True) for one in candidates]))
    offset = np.clip(given[:, 0], -LARGEST, LARGEST).reshape(2, count).T
    return offset, np.exp(0.5 * np.clip(given[:, 1], -12, 4)).reshape(2, count).T


def detection_table(rows: list[dict]) -> Table:
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    kinds = {"cube": int}
    return Table(
        {
            name: Column([row[name] for row in rows], dtype=kinds.get(name, float), unit=UNITS.get(name))
            for name in COLUMNS
        }
    )
