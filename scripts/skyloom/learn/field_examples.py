"""What the networks that search radio images for diffuse emission learn from."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from astropy.table import Table

from ..images.radio_fields import RadioField, binned
from . import field_search as search
from .datasets import Samples
from .field_tables import KINDS

UNTOLD = 0.15
"""Share of the fields whose tiles do not tell where the cluster is, as networks must do without it, too."""
SHIFT, ZOOM = 0.15, 0.2
"""How far the places and sizes of clusters are off in the examples, standard deviations [R500, natural logarithm]:
a cluster's radius follows from its mass, which is known to some 20 %."""


def target(field: RadioField, one: search.Scaled) -> np.ndarray:
    """Return what a network shall say of each pixel, (height, width) of the networks' pixels, float32.

    It is the share of the pixel where the mask has emission: such as can be seen, at least in a smoothed image.
    """
    return binned((field.mask > 0).astype(np.float32), one.binning)


def tiles(field: RadioField, settings, side: int, empty: int, rng: np.random.Generator, name: str) -> Samples | None:
    """Return tiles of a field, or None if there is none.

    Parameters
    ----------
    field : RadioField
    settings : skyloom.cases.diffuse_radio.Search
        How the image is scaled and stretched.
    side : int
        Of a tile [networks' pixel].
    empty : int
        How many tiles without emission are kept at most, those with the most light first: what is bright there is what
        must not be taken for diffuse emission. All tiles with emission are kept.
    rng : numpy.random.Generator
        For tiles, and for how well the cluster is known.
    name : str
        Of the field.
    """
    one = search.scaled(field, settings)
    one = replace(one, cluster=_as_if_listed(one.cluster, rng))
    wanted = target(field, one)
    kept, without = [], []
    for rows, columns in search.tiles_of(one, side):
        part = wanted[rows, columns]
        if part.sum() >= settings.least_area * max(one.beam_area, 1):
            kept.append((rows, columns))
        else:
            light = np.nan_to_num(one.image[rows, columns] / one.noise.of(*_inside(rows, columns, one)))
            without.append((float((light > search.COMPACT).sum()), rows, columns))
    without.sort(key=lambda entry: -entry[0])
    # Half of them are those with the most light, the others any.
    rest = without[(empty + 1) // 2 :]
    chosen = without[: (empty + 1) // 2] + [rest[k] for k in rng.permutation(len(rest))[: empty // 2]]
    kept += [(rows, columns) for _, rows, columns in chosen]
    if not kept:
        return None
    # Half precision is a 2000th, far below the noise.
    x = np.stack([search.network_input(one, *place, settings.stretch) for place in kept]).astype(np.float16)
    y = np.zeros((len(kept), side, side, 1), np.float32)
    for number, (rows, columns) in enumerate(kept):
        part = wanted[rows, columns]
        y[number, : part.shape[0], : part.shape[1], 0] = part
    names = np.array([f"{name}.{number:02d}" for number in range(len(kept))])
    return Samples(x, y, names, np.full(len(kept), name), np.full(len(kept), "truth"))


def _as_if_listed(
    cluster: tuple[float, float, float] | None, rng: np.random.Generator
) -> tuple[float, float, float] | None:
    """Return a cluster's x, y and R500 [networks' pixel] as a catalog may have them, or None."""
    told, shift, zoom = rng.random() >= UNTOLD, rng.normal(0, SHIFT, 2), np.exp(rng.normal(0, ZOOM))
    if cluster is None or not told:
        return None
    x, y, r500 = cluster
    return x + shift[0] * r500, y + shift[1] * r500, r500 * zoom


def _inside(rows: slice, columns: slice, one: search.Scaled) -> tuple[slice, slice]:
    height, width = one.image.shape
    return slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))


def kinds_of(truth: Table | Iterable[dict]) -> np.ndarray:
    """Return which of `field_tables.OUTPUTS` there are in a field to be seen, (4,), float32."""
    seen = [int(row["kind"]) for row in truth if row["visible"] and int(row["kind"]) >= 0]
    known = [min(kind, 2) for kind in seen]
    return np.array([bool(seen), *(number in known for number in range(len(KINDS)))], np.float32)


def field_examples(
    field: RadioField, truth: Table, networks: dict, settings, turns: int, rng: np.random.Generator, name: str
) -> Samples:
    """Return the surroundings of a field's cluster as the networks so far see them, and what is there.

    Parameters
    ----------
    field : RadioField
    truth : astropy.table.Table
        Of the field.
    networks : dict
        ``map``.
    settings : skyloom.cases.diffuse_radio.Search
    turns : int
        Examples that are made of it: the first as it is, the others turned and mirrored, with the cluster's place and
        radius a little off (`SHIFT`, `ZOOM`).
    rng : numpy.random.Generator
    name : str
    """
    one = search.scaled(field, settings)
    probability = search.probability_map(one, networks["map"], settings)
    x, y, r500 = search.place_of(field, one, [])
    given = []
    for turn in range(turns):
        shift, zoom = (rng.normal(0, SHIFT, 2), np.exp(rng.normal(0, ZOOM))) if turn else (np.zeros(2), 1.0)
        seen = search.kind_input(one, probability, x + shift[0] * r500, y + shift[1] * r500, r500 * zoom)
        seen = np.rot90(seen, turn % 4)
        given.append(seen[:, ::-1] if turn % 8 >= 4 else seen)
    names = np.array([f"{name}.{turn:02d}" for turn in range(turns)])
    wanted = np.repeat(kinds_of(truth)[None], turns, axis=0)
    return Samples(np.stack(given), wanted, names, np.full(turns, name), np.full(turns, "truth"))


def simulated_tiles(
    fields: Iterable[tuple[int, RadioField]], split: str, make: Callable[[RadioField, int, str], Samples | None]
) -> Iterable[Samples]:
    """Yield the tiles of simulated fields, one field in memory at a time.

    Parameters
    ----------
    fields : iterable of (int, RadioField)
        Numbered.
    split : str
        Part of the samples' names.
    make : callable
        Gives the tiles of a field, its number and its name (`tiles`).
    """
    for number, field in fields:
        made = make(field, number, f"{split}.field_{number:06d}")
        if made is not None:
            yield made
