"""The search for point sources in a counts map: clean it, find peaks, and measure each."""

import time
from dataclasses import dataclass, field

import keras
import numpy as np
from astropy.table import Column, Table
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from ..images.counts import BINNING, CountsMap, binned
from .predict import outputs
from .running import Stages, of_size

CROP = 32
"""Side of the part that a position is measured in [networks' pixel]."""
PEAK, APART, INSIDE, NEAR, BROAD = 1.6, 4, 12.0, 3.0, 10.0
"""In networks' pixels: the Gaussian that peaks are looked for with, their least distance, the radii within which
photons are counted and the significance is taken, and the Gaussian that smooths the background."""
LARGEST = 2.5
"""A position is at most this far from its peak along each axis [networks' pixel]."""
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


def clean(counts: np.ndarray, network: keras.Model) -> np.ndarray:
    """Return how many of the counts in each pixel are photons of sources.

    Parameters
    ----------
    counts : numpy.ndarray, shape (height, width)
        In networks' pixels (`binned`); of any size.
    network : keras.Model
        With the role ``map``.
    """
    height, width = counts.shape
    padded = np.pad(counts, ((0, -height % 8), (0, -width % 8)))
    given = outputs(of_size(network, (*padded.shape, 1)), padded[None, ..., None], batch_size=1)
    return given[0, :height, :width, 0]


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
    y, x = np.indices(counts.shape)
    ones = gaussian_filter(np.ones_like(counts), BROAD, mode="constant")
    level = gaussian_filter(counts - photons, BROAD, mode="constant") / ones
    # n events with the share f sum up to n f photons, and their weighted sum has the variance n f**2.
    squared = photons**2 / np.maximum(counts, 1)
    distance = np.stack([(x - column) ** 2 + (y - row) ** 2 for row, column in peaks]) if len(peaks) else np.zeros((0,))
    candidates = []
    for number, (row, column) in enumerate(peaks):
        own = distance[number] <= distance.min(axis=0)
        inside = own & (distance[number] <= INSIDE**2)
        some, rest, given = (float(values[inside].sum()) for values in (photons, level, squared))
        if np.sqrt(given) < lowest:
            continue
        noise = np.sqrt(some + level[distance[number] <= (INSIDE / 2) ** 2].sum() + 1)
        candidates.append(
            Candidate(
                x=int(column),
                y=int(row),
                photons=some,
                photons_error=float(np.sqrt(max(some - given, 0.0) + 1)),
                background=rest,
                score=float(np.sqrt(given)),
                snr=_significance(counts, level, distance[number] <= NEAR**2),
                width=float(np.sqrt((photons[inside] * distance[number][inside]).sum() / max(some, 1e-6))),
                image=_cut((np.where(own, counts - level, 0) / noise).astype(np.float32), row, column),
            )
        )
    return candidates


def _significance(counts: np.ndarray, level: np.ndarray, inside: np.ndarray) -> float:
    """Return the significance of what is counted inside, the background being as well known as the smoothing allows."""
    on, expected = float(counts[inside].sum()), float(level[inside].sum())
    alpha = inside.sum() / (4 * np.pi * BROAD**2)
    off = expected / alpha
    if expected <= 0 or on <= expected:
        return 0.0
    total = on + off
    first = on * np.log((1 + alpha) / alpha * on / total)
    return float(np.sqrt(max(2 * (first + off * np.log((1 + alpha) * off / total)), 0.0)))


def _cut(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return the part of an image around a pixel, which comes to (CROP // 2, CROP // 2); zero beyond the edges."""
    half = CROP // 2
    padded = np.pad(image, half)
    return padded[row : row + CROP, column : column + CROP]


def position_input(one: Candidate, along_y: bool) -> np.ndarray:
    """Return what the network of positions is given to measure x, or y; shape (CROP, CROP, 4).

    A response that looks alike in x and y needs one network only: y is the x of the transposed image.
    """
    image = one.image.T if along_y else one.image
    share = one.score**2 / (one.photons + 1)
    values = [np.log(one.score + 0.1), np.log(one.photons + 1) / 4, share, one.width / INSIDE]
    planes = [np.full_like(image, value) for value in values]
    return np.stack([image, *planes], axis=-1)


def search_map(observed: CountsMap, networks: dict[str, keras.Model], settings, stages: Stages) -> list[dict]:
    """Return one row a candidate of a counts map.

    Parameters
    ----------
    observed : CountsMap
    networks : dict of str to keras.Model
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
    now = time.perf_counter()
    counts = binned(observed.counts)
    photons = clean(counts, networks["map"])
    now = stages.add("clean", now)
    candidates = find_peaks(counts, photons, settings.lowest_score)
    now = stages.add("peaks", now)
    offsets, errors = positions(candidates, networks.get("position"))
    stages.add("positions", now)
    scale, shift = BINNING, (BINNING - 1) / 2
    return [
        {
            "x": float((one.x + dx) * scale + shift),
            "y": float((one.y + dy) * scale + shift),
            "x_error": float(x_error * scale),
            "y_error": float(y_error * scale),
            "photons": one.photons,
            "photons_error": one.photons_error,
            "background": one.background,
            "score": one.score,
            "snr": one.snr,
        }
        for one, (dx, dy), (x_error, y_error) in zip(candidates, offsets, errors, strict=True)
    ]


def positions(candidates: list[Candidate], network: keras.Model | None) -> tuple[np.ndarray, np.ndarray]:
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
