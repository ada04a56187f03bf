"""What the networks that search counts maps learn from."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from astropy.table import Table

from ..detect.simulated_maps import observe
from ..images.counts import BINNING, CountsMap, binned
from ..instruments.counts_maps import Response
from ..sky.transients import draw_field
from . import map_search as search
from .datasets import BLOCK, Samples

NEAR = 2.5
"""A candidate is a source's if it is this near along each axis [networks' pixel]."""


def map_examples(
    responses: Mapping[float, Response],
    sky,
    count: int,
    rng_of: Callable[[int], np.random.Generator],
    split: str,
    example: Callable[[CountsMap, list[dict]], Sequence[tuple[np.ndarray, np.ndarray]]],
) -> Iterator[Samples]:
    """Yield what a network is shown of simulated maps and what it shall say, some maps at a time.

    Parameters
    ----------
    responses : mapping of float to Response
        By the names that fields have for them.
    sky : object
        Settings of `skyloom.sky.transients.draw_field`.
    count : int
    rng_of : callable
        Gives the random numbers of a map by its number.
    split : str
        Part of the samples' names.
    example : callable
        Gives the examples of a map and its truth (`skyloom.detect.simulated_maps.observe`): inputs and targets.
    """
    for start in range(0, count, BLOCK):
        numbers = range(start, min(start + BLOCK, count))
        x, y, names = [], [], []
        for number in numbers:
            rng = rng_of(number)
            drawn = draw_field(rng, sky, list(responses))
            for given, wanted in example(*observe(drawn, responses[drawn.response], rng)):
                x.append(given)
                y.append(wanted)
                names.append(f"{split}.map_{number:06d}")
        yield Samples(np.stack(x), np.stack(y), np.array(names), np.array(names), np.full(len(names), "truth"))


def cleaned(observed: CountsMap, truth: list[dict]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a map in networks' pixels and its photons of sources, both (height, width, 1)."""
    return [(binned(observed.counts)[..., None], binned(observed.source_counts)[..., None])]


def predicted_positions(observed: CountsMap, truth: Table, networks, settings, name: str) -> Samples | None:
    """Return the candidates that the cleaner gives in a map, with the true offsets of those that are sources."""
    counts = binned(observed.counts)
    photons = search.clean(counts, networks["map"])
    images, targets = [], []
    shift = (BINNING - 1) / 2
    true = {axis: (np.asarray(truth[axis], float) - shift) / BINNING for axis in "xy"}
    for one in search.find_peaks(counts, photons, settings.lowest_score):
        dx, dy = true["x"] - one.x, true["y"] - one.y
        near = np.flatnonzero((np.abs(dx) < NEAR) & (np.abs(dy) < NEAR))
        if not len(near):
            continue
        best = near[np.argmin(np.hypot(dx[near], dy[near]))]
        for along_y, offset in ((False, dx[best]), (True, dy[best])):
            images.append(search.position_input(one, along_y))
            targets.append([offset])
    if not images:
        return None
    names = np.array([f"{name}.{number:02d}" for number in range(len(images))])
    return Samples(
        np.stack(images).astype(np.float32),
        np.array(targets, np.float32),
        names,
        np.full(len(names), name),
        np.full(len(names), "truth"),
    )
