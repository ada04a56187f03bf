"""What the networks that search patches of the gamma-ray sky learn from."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from astropy.table import Table

from ..images.patches import SIDE, Patch, packed
from ..sky.gamma_sources import KINDS
from . import patch_search as search
from .datasets import BLOCK, Samples

NEAR = 0.3
"""A candidate is a source's if it is this near [deg], the brightest one's of several."""
FAINT, SURE = 1.2, 3.0
"""S/N at which a source begins to count in the map, and from which it counts as a whole."""
LOWEST_SNR = 2.0
"""A candidate is true if it is a source's of this S/N."""
INSIDE = 5.2
"""Candidates farther from a patch's middle along an axis are not learnt from, as nobody asks for them [deg]."""
TARGETS = ("real", *(f"kind_{kind}" for kind in KINDS), "flux", "position")


def map_examples(
    observed: Callable[[int], tuple[Patch, list[dict]]], numbers: Iterable[int], split: str
) -> Iterator[Samples]:
    """Yield packed patches with the maps of their sources, some at a time.

    Parameters
    ----------
    observed : callable
        Gives patch and truth by number.
    numbers : iterable of int
    split : str
        Part of the samples' names.
    """
    numbers = list(numbers)
    for start in range(0, len(numbers), BLOCK):
        some = numbers[start : start + BLOCK]
        x, y = [], []
        for number in some:
            patch, rows = observed(number)
            x.append(packed(patch.counts))
            y.append(wanted_map(rows)[..., None])
        names = np.array([f"{split}.patch_{number:06d}" for number in some])
        yield Samples(np.stack(x), np.stack(y), names, names, np.full(len(names), "truth"))


def wanted_map(rows: Iterable[dict] | Table) -> np.ndarray:
    """Return the map that a network shall give of a patch with these sources; (SIDE, SIDE), float32.

    Each source is a Gaussian of height 1, or less if it is hardly to be seen. Of two that overlap, the higher counts.
    """
    result = np.zeros((SIDE, SIDE), np.float32)
    line = np.arange(SIDE)
    for row in rows:
        height = np.clip((row["snr"] - FAINT) / (SURE - FAINT), 0, 1)
        if height > 0:
            along = [np.exp(-0.5 * ((line - row[axis]) / search.SIGMA) ** 2) for axis in "yx"]
            np.maximum(result, height * along[0][:, None] * along[1], out=result)
    return result


def predicted_candidates(
    patch: Patch, truth: Table, networks: dict, settings, name: str, rng: np.random.Generator
) -> Samples | None:
    """Return the candidates that the network ``map`` gives in a patch, with what is true of them; two samples each.

    The second sample is of the transposed patch, so that position is that along y. Each is mirrored at random. Targets
    are `TARGETS`: 1 or 0 for real, one of the kinds, the logarithm of the flux, and the offset along x [pixel]; but for
    the first they are NaN if the candidate is no source's.
    """
    sources = search.source_map(patch, networks["map"])
    found = search.measure(patch, sources, *search.find_peaks(sources, settings.lowest_score))
    offset = np.maximum(*(np.abs(one - (SIDE - 1) / 2) for one in (found.x, found.y))) * patch.pixel
    found = found.take(np.flatnonzero(offset <= INSIDE))
    if not len(found):
        return None
    targets = true_values(found, truth, patch.pixel)
    images, wanted = [], []
    for along_y in (False, True):
        mirrored = rng.random((len(found), 2)) < 0.5
        images.append(found.inputs(along_y, mirrored))
        sign = np.where(mirrored[:, 0], -1.0, 1.0)
        wanted.append(np.column_stack([targets[:, :-2], sign * targets[:, -2 + along_y]]))
    names = np.array([f"{name}.{number:03d}" for number in range(2 * len(found))])
    return Samples(
        np.concatenate(images),
        np.concatenate(wanted).astype(np.float32),
        names,
        np.full(len(names), name),
        np.full(len(names), "truth"),
    )


def true_values(found: search.Candidates, truth: Table, pixel: float) -> np.ndarray:
    """Return what is true of candidates, shape (n, 7): `TARGETS` but the last, and the offsets along x and y."""
    some = truth[np.asarray(truth["snr"], float) >= LOWEST_SNR]
    result = np.full((len(found), len(TARGETS) + 1), np.nan)
    result[:, 0] = 0
    if not len(some):
        return result
    place = {axis: np.asarray(some[axis], float) for axis in "xy"}
    flux, kind = np.asarray(some["flux"], float), np.asarray(some["kind"], int)
    dx, dy = place["x"] - found.x[:, None], place["y"] - found.y[:, None]
    near = np.hypot(dx, dy) * pixel <= NEAR
    best = np.argmax(np.where(near, flux, 0), axis=1)
    true = np.flatnonzero(near.any(axis=1))
    best = best[true]
    result[true, 0] = 1
    result[true[:, None], 1 + np.arange(len(KINDS))] = np.eye(len(KINDS))[kind[best]]
    result[true, -3] = np.log(flux[best] / search.UNIT)
    result[true, -2], result[true, -1] = dx[true, best], dy[true, best]
    return result
