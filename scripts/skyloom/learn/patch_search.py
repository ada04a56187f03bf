"""The search for point sources in a patch of the gamma-ray sky: a map of sources, its peaks, and what each is."""

import time
from dataclasses import dataclass, replace

import keras
import numpy as np
from astropy.table import Column, Table
from scipy.ndimage import gaussian_filter, gaussian_laplace, map_coordinates
from skimage.feature import peak_local_max

from ..images.patches import Patch, on_grid, packed, patch_wcs
from ..sky.gamma_sources import KINDS
from .chains import members
from .predict import outputs
from .running import Stages
from .runtimes import Runner

SIGMA = 1.5
"""Standard deviation of a source in the map that the network gives, and of the Laplacian of Gaussian that finds it
[pixel of the reference grid]."""
REACH = 3.0
"""A source is at most this far from its peak along each axis [pixel of the reference grid]."""
UNIT = 1e-9
"""Fluxes are told by their logarithm in this unit [1/(cm2 s)]."""
SCALES = ((0.5, 4), (1.0, 4), (2.5, 2))
"""Standard deviations of the Gaussians that a candidate's counts are weighted with, in radii that hold 68 % of the
point spread function, and the highest power of the coordinates at each."""
_LEAST = 0.8
"""The smallest of these Gaussians [pixel of the band]."""
_FLOOR = 0.05
"""Variance that is added to what is expected of the counts."""
_EXPOSURE = 3e11
"""Of ten years, about [cm2 s]."""
UNITS = {
    **dict.fromkeys(("x", "y", "x_error", "y_error"), "pix"),
    **dict.fromkeys(("lon", "lat"), "deg"),
    **dict.fromkeys(("flux", "flux_error"), "1 / (cm2 s)"),
    "counts": "ct",
}
COLUMNS = (
    *("cube", "x", "y", "x_error", "y_error", "xy_correlation", "lon", "lat", "score", "real"),
    *(f"p_{kind}" for kind in KINDS),
    *("flux", "flux_error", "snr", "counts"),
)


@dataclass(frozen=True)
class Candidates:
    """Peaks of a patch's map of sources, and what is around them.

    Attributes
    ----------
    x, y : numpy.ndarray, shape (n,)
        [pixel of the reference grid].
    score : numpy.ndarray, shape (n,)
        How much the map looks like a source there, 1 for a sure one.
    moments : tuple of numpy.ndarray, shape (n, bands, order + 1, order + 1)
        For each of `SCALES`, products of the cutout of each band with Gauss-Hermite functions of y and x around the
        peak, less those of an even background, in units of their noise.
    values : numpy.ndarray, shape (n, numbers)
        What has no direction: levels, exposures, scores, and the distance of other candidates.
    snr, counts : numpy.ndarray, shape (n,)
        Significance of the excess of all bands together, and the excess itself.
    """

    x: np.ndarray
    y: np.ndarray
    score: np.ndarray
    moments: tuple[np.ndarray, ...]
    values: np.ndarray
    snr: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Candidates":
        """Return some of the candidates."""
        one = {name: getattr(self, name)[rows] for name in ("x", "y", "score", "values", "snr", "counts")}
        return replace(self, moments=tuple(some[rows] for some in self.moments), **one)

    def inputs(self, along_y: bool = False, mirrored: np.ndarray | None = None) -> np.ndarray:
        """Return what networks are given, shape (n, numbers), float32.

        Parameters
        ----------
        along_y : bool
            The patch is transposed, so that what is measured along x is along y.
        mirrored : numpy.ndarray of bool, shape (n, 2), optional
            Which candidates are mirrored along x and y (once transposed).
        """
        parts = []
        for one in self.moments:
            if along_y:
                one = one.swapaxes(2, 3)
            order = one.shape[-1] - 1
            if mirrored is not None:
                odd = (-1.0) ** np.arange(order + 1)
                signs = [np.where(mirrored[:, axis, None], odd, 1.0) for axis in (0, 1)]
                one = one * signs[1][:, None, :, None] * signs[0][:, None, None, :]
            total = np.add.outer(np.arange(order + 1), np.arange(order + 1))
            parts.append(one[:, :, total <= order].reshape(len(one), -1))
        return np.concatenate([*parts, self.values], axis=1).astype(np.float32)


def source_map(patch: Patch, network: keras.Model | Runner) -> np.ndarray:
    """Return the map of sources that the network with the role ``map`` gives; shape (SIDE, SIDE)."""
    return outputs(network, packed(patch.counts)[None], batch_size=1)[0, ..., 0]


def find_peaks(sources: np.ndarray, lowest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the peaks of a map of sources: x, y [pixel] and score, the best first.

    Parameters
    ----------
    sources : numpy.ndarray, shape (SIDE, SIDE)
    lowest : float
        Least score.

    Notes
    -----
    The negative Laplacian of a Gaussian, scaled by twice its variance, is 1 in the middle of a Gaussian source of the
    same width and height 1. Places between pixels are those of the parabolas through a peak and its neighbours.
    """
    blobs = -2 * SIGMA**2 * gaussian_laplace(sources.astype(np.float64), SIGMA, mode="nearest")
    peaks = peak_local_max(blobs, min_distance=2, threshold_abs=lowest, exclude_border=False)
    around = np.pad(blobs, 1, mode="edge")
    row, column = peaks.T + 1
    place = []
    for before, after in (
        (around[row, column - 1], around[row, column + 1]),
        (around[row - 1, column], around[row + 1, column]),
    ):
        bend = before - 2 * around[row, column] + after
        place.append(np.clip(0.5 * (before - after) / np.minimum(bend, -1e-12), -0.5, 0.5))
    return column - 1 + place[0], row - 1 + place[1], blobs[peaks[:, 0], peaks[:, 1]]


def psf_radius(lowest: float, highest: float) -> float:
    """Return about the radius that holds 68 % of a source's photons in a band [GeV], in degrees.

    Both event types together: 0.8 deg at 1 GeV, falling as a power law to 0.1 deg (Atwood et al. 2009, ApJ 697, 1071,
    for the form; the numbers are those of P8R3_SOURCE_V3). It only sets the scales at which networks look.
    """
    energy = lowest**0.65 * highest**0.35
    return float(np.hypot(0.8 * energy**-0.8, 0.1))


def measure(patch: Patch, sources: np.ndarray, x: np.ndarray, y: np.ndarray, score: np.ndarray) -> Candidates:
    """Return what is around the peaks of a patch's map of sources.

    Parameters
    ----------
    patch : Patch
    sources : numpy.ndarray, shape (SIDE, SIDE)
    x, y : numpy.ndarray, shape (n,)
        [pixel of the reference grid].
    score : numpy.ndarray, shape (n,)
    """
    bands = [
        _band(counts, patch.width, x, y, *energies) for counts, energies in zip(patch.counts, patch.bands, strict=True)
    ]
    moments = tuple(np.stack([band[0][number] for band in bands], axis=1) for number in range(len(SCALES)))
    level, excess, noise = (np.stack([band[part] for band in bands], axis=1) for part in (1, 2, 3))
    values = [
        0.5 * np.log(level + 1e-3),
        np.arcsinh(excess),
        np.broadcast_to(np.log(np.asarray(patch.exposure) / _EXPOSURE), level.shape),
        _surroundings(sources, x, y, score),
    ]
    significance = np.maximum(excess, 0) / np.sqrt(np.maximum(excess, 0) + noise**2)
    return Candidates(
        x=x,
        y=y,
        score=score,
        moments=moments,
        values=np.concatenate(values, axis=1),
        snr=np.sqrt((significance**2).sum(axis=1)),
        counts=np.maximum(excess, 0).sum(axis=1),
    )


def _band(
    counts: np.ndarray, width: float, x: np.ndarray, y: np.ndarray, lowest: float, highest: float
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return moments of a band's counts at each scale, the level [per pixel], and photons of a source with their noise.

    The photons are those of a Gaussian source as wide as the smallest scale that fits what is seen best.
    """
    side = len(counts)
    radius = psf_radius(lowest, highest) * side / width
    column, row = on_grid(x, side), on_grid(y, side)
    sigmas = [max(scale * radius, _LEAST * 2**number) for number, (scale, _) in enumerate(SCALES)]
    lines = [
        [_hermite(place, side, sigma, order) for place in (row, column)]
        for sigma, (_, order) in zip(sigmas, SCALES, strict=True)
    ]
    first = [both[0][:, :1] for both in lines], [both[1][:, :1] for both in lines]
    near = _products(counts, first[0][-1], first[1][-1])[:, 0, 0]
    level = near / _products(None, first[0][-1], first[1][-1])[:, 0, 0]
    moments = []
    for along_y, along_x in lines:
        seen = _products(counts, along_y, along_x) - level[:, None, None] * _products(None, along_y, along_x)
        noise = level[:, None, None] * _products(None, along_y**2, along_x**2)
        moments.append(np.arcsinh(seen / np.sqrt(noise + _FLOOR)))
    weights = lines[0][0][:, :1], lines[0][1][:, :1]
    excess = (_products(counts, *weights) - level[:, None, None] * _products(None, *weights))[:, 0, 0]
    squared = np.maximum(_products(None, weights[0] ** 2, weights[1] ** 2)[:, 0, 0], 1e-6)
    # A Gaussian of one photon has the height 1 / (2 pi sigma**2), and the weights are one of (pi sigma**2)**-0.5.
    scale = 2 * np.sqrt(np.pi) * sigmas[0]
    return moments, level, scale * excess, scale * np.sqrt(level * squared + _FLOOR)


def _hermite(place: np.ndarray, side: int, sigma: float, order: int) -> np.ndarray:
    """Return Gauss-Hermite functions around places, of unit norm over sigma's unit; shape (n, order + 1, side)."""
    t = (np.arange(side) - place[:, None]) / sigma
    found = [np.pi**-0.25 / np.sqrt(sigma) * np.exp(-0.5 * t**2)]
    for n in range(order):
        before = found[n - 1] * np.sqrt(n / (n + 1)) if n else 0
        found.append(np.sqrt(2 / (n + 1)) * t * found[n] - before)
    return np.stack(found, axis=1)


def _products(image: np.ndarray | None, along_y: np.ndarray, along_x: np.ndarray) -> np.ndarray:
    """Return the products of an image, or of one that is 1, with functions of y times functions of x; (n, y, x)."""
    if image is None:
        return along_y.sum(axis=2)[:, :, None] * along_x.sum(axis=2)[:, None]
    return np.matmul(np.matmul(along_y, image), along_x.swapaxes(1, 2))


def _surroundings(sources: np.ndarray, x: np.ndarray, y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return what the map and the other candidates say of each, shape (n, 9)."""
    place = np.stack([y, x])
    value = [map_coordinates(one, place, order=1, mode="nearest") for one in (sources, _wide(sources))]
    given = [np.log(np.maximum(score, 1e-4)), *(np.log(np.maximum(one, 1e-4)) for one in value)]
    away = np.hypot(x[:, None] - x, y[:, None] - y) + np.where(np.eye(len(x), dtype=bool), 1e6, 0)
    for share in (0.5, 2.0, 0.0):
        # The nearest one that is about as good, the nearest much better one, and the nearest of all.
        other = np.where(score > share * score[:, None], away, 1e6)
        nearest = np.argmin(other, axis=1) if len(x) else np.zeros(0, int)
        distance = np.minimum(other[np.arange(len(x)), nearest], 40.0)
        given += [np.log(distance), np.where(distance < 40, np.log(np.maximum(score[nearest], 1e-4)), -5.0)]
    return np.stack(given, axis=1)


def _wide(sources: np.ndarray) -> np.ndarray:
    return gaussian_filter(sources.astype(np.float64), 2 * SIGMA, mode="nearest")


def search_patch(
    patch: Patch, networks: dict[str, keras.Model | Runner], settings, stages: Stages | None = None
) -> list[dict]:
    """Return one row a candidate of a patch.

    Parameters
    ----------
    patch : Patch
    networks : dict of str to keras.Model or skyloom.learn.runtimes.Runner
        ``map``; and ``real``, ``kind``, ``flux`` and ``position`` (or an ensemble: ``position.1``, ...) if that is
        wanted, too.
    settings : skyloom.cases.fermi_sources.Search
        `lowest_score` is used.
    stages : Stages, optional
        Counts the seconds.

    Returns
    -------
    list of dict
        x, y with errors [pixel of the reference grid] and the correlation of these; lon, lat [deg]; score of the map;
        real, the logit of being a source; p_agn, p_pulsar, p_other; flux and its error [1/(cm2 s)]; snr and counts of
        the excess.
    """
    stages = stages or Stages({})
    now = time.perf_counter()
    sources = source_map(patch, networks["map"])
    now = stages.add("map", now)
    found = measure(patch, sources, *find_peaks(sources, settings.lowest_score))
    now = stages.add("candidates", now)
    rows = told(patch, found, networks)
    stages.add("networks", now)
    return rows


def told(patch: Patch, found: Candidates, networks: dict[str, keras.Model | Runner]) -> list[dict]:
    """Return what the networks tell of candidates, one row each (`search_patch`)."""
    count = len(found)
    if not count:
        return []
    given = found.inputs()
    real = _first(networks, "real", given, np.log(np.maximum(found.score, 1e-4))[:, None])[:, 0]
    kind = _first(networks, "kind", given, np.zeros((count, len(KINDS))))
    kind = np.exp(kind - kind.max(axis=1, keepdims=True))
    kind /= kind.sum(axis=1, keepdims=True)
    flux = _first(networks, "flux", given, np.full((count, 2), np.nan))
    (dx, dy), (x_error, y_error), correlation = offsets(found, members(networks, "position"))
    x, y = found.x + dx, found.y + dy
    lon, lat = _sky(patch, x, y)
    columns = {
        "x": x,
        "y": y,
        "x_error": x_error,
        "y_error": y_error,
        "xy_correlation": correlation,
        "lon": lon,
        "lat": lat,
        "score": found.score,
        "real": real,
        **{f"p_{name}": kind[:, number] for number, name in enumerate(KINDS)},
        "flux": UNIT * np.exp(flux[:, 0]),
        "flux_error": UNIT * np.exp(flux[:, 0] + 0.5 * np.clip(flux[:, 1], -12, 4)),
        "snr": found.snr,
        "counts": found.counts,
    }
    return [{name: float(values[number]) for name, values in columns.items()} for number in range(count)]


def _first(networks: dict, role: str, given: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return the mean of what the members of an ensemble give, or something else if there is none."""
    every = members(networks, role)
    return np.mean([outputs(one, given) for one in every], axis=0) if every else otherwise


def _sky(patch: Patch, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return patch_wcs(patch).all_pix2world(x, y, 0)


def offsets(found: Candidates, ensemble: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the offsets of sources from their peaks, and the errors, both (2, n): x, y [pixel]; and their correlation.

    Each member of the ensemble gives an offset and its error, of which the mean and the variance of the mixture are
    taken (Lakshminarayanan et al. 2017, arXiv:1612.01474). The photons of a round point spread function err along
    each axis alike and by themselves; a direction comes in by where the members differ.
    """
    count = len(found)
    if not ensemble or not count:
        return np.zeros((2, count)), np.full((2, count), 1.0), np.zeros(count)
    given = np.concatenate([found.inputs(along_y) for along_y in (False, True)])
    every = np.stack([outputs(one, given) for one in ensemble]).reshape(len(ensemble), 2, count, 2)
    middle = np.clip(every[..., 0], -REACH, REACH)
    apart = middle - middle.mean(axis=0)
    variance = np.exp(np.clip(every[..., 1], -12, 6)).mean(axis=0) + (apart**2).mean(axis=0)
    correlation = (apart[:, 0] * apart[:, 1]).mean(axis=0) / np.sqrt(variance[0] * variance[1])
    return middle.mean(axis=0), np.sqrt(variance), np.clip(correlation, -0.95, 0.95)


def detection_table(rows: list[dict]) -> Table:
    """Return rows of the search as a table with units, with all columns even if there is no row."""
    return Table(
        {
            name: Column([row[name] for row in rows], dtype=int if name == "cube" else float, unit=UNITS.get(name))
            for name in COLUMNS
        }
    )
