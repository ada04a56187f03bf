"""Simulated counts maps with their truth, and how well any search could do on them."""

import numpy as np
from astropy.table import Column, Table

from ..images.counts import CountsMap
from ..instruments.counts_maps import Response
from ..sky.transients import Field

TRUTH_UNITS = {
    "ra": "deg",
    "dec": "deg",
    "x": "pix",
    "y": "pix",
    "lon": "deg",
    "lat": "deg",
    "offset": "deg",
    "radius_bound": "deg",
    "time": "s",
}


def observe(field: Field, response: Response, rng: np.random.Generator) -> tuple[CountsMap, list[dict]]:
    """Return the counts map of an observation, and one row of truth a source.

    Parameters
    ----------
    field : Field
    response : Response
        The one that the field names.
    rng : numpy.random.Generator

    Returns
    -------
    CountsMap
    list of dict
        x, y [pixel], lon, lat, offset [deg], flux [Crab], index, counts (drawn, in the map), expected (in the map or
        not), snr (`significance` of the source upon the true background and the other sources), radius_bound
        (`position_bound` [deg]), response, time [s].
    """
    background = response.expected_background(field.background, field.time)
    seen = [response.expected_source(source, field.time) for source in field.sources]
    drawn = [rng.poisson(one) for one in seen]
    photons = sum(drawn, np.zeros(background.shape, int))
    counts = photons + rng.poisson(background)
    found = CountsMap(counts.astype(np.uint16), response.frame.pixel, photons.astype(np.uint16))
    return found, truth_rows(field, response, background, seen, [int(some.sum()) for some in drawn])


def truth_rows(
    field: Field, response: Response, background: np.ndarray, seen: list[np.ndarray], counts: list[int]
) -> list[dict]:
    """Return one row of truth a source (see `observe`).

    Parameters
    ----------
    field : Field
    response : Response
    background : numpy.ndarray, shape (side, side)
        Its expected counts.
    seen : list of numpy.ndarray, shape (side, side)
        Expected counts of each source.
    counts : list of int
        Counts of each source that were drawn.
    """
    total = background + sum(seen)
    rows = []
    for number, (source, one, some) in enumerate(zip(field.sources, seen, counts, strict=True)):
        x, y = response.frame.pixel_of(source.lon, source.lat)
        rows.append(
            {
                "source": number,
                "x": float(x),
                "y": float(y),
                "lon": source.lon,
                "lat": source.lat,
                "offset": source.offset,
                "flux": source.flux,
                "index": source.index,
                "counts": some,
                "expected": response.expected_counts(source, field.time),
                "snr": significance(one, total - one),
                "radius_bound": position_bound(one, total - one) * response.frame.pixel,
                "response": field.response,
                "time": field.time,
            }
        )
    return rows


def significance(source: np.ndarray, background: np.ndarray) -> float:
    """Return the significance that a source is expected to have upon a background that is known.

    The likelihood ratio of the expected counts, the Asimov data set of Cowan et al. 2011 (Eur. Phys. J. C 71, 1554),
    summed over the pixels: the most that any search can reach on average.
    """
    used = (source > 0) & (background > 0)
    s, b = source[used].astype(float), background[used].astype(float)
    return float(np.sqrt(max(2 * np.sum((s + b) * np.log1p(s / b) - s), 0.0)))


def position_bound(source: np.ndarray, background: np.ndarray) -> float:
    """Return the Cramer-Rao bound of a source's position, the standard deviation along one axis [pixel].

    From the Fisher information of Poisson counts about a shift, for known shapes of source and background: the
    geometric mean over the two axes; NaN for a source that leaves no counts.
    """
    slope_y, slope_x = np.gradient(source.astype(float))
    weight = 1 / np.maximum(source + background, 1e-12)
    xx, yy, xy = (np.sum(a * b * weight) for a, b in ((slope_x, slope_x), (slope_y, slope_y), (slope_x, slope_y)))
    determinant = xx * yy - xy**2
    return float(determinant**-0.25) if determinant > 0 else float("nan")


def truth_table(rows: list[dict]) -> Table:
    """Return rows of truth as a table with units, with all columns even if no map has a source.

    What rows have besides, such as names of files and positions on the sky, comes last.
    """
    names = ("cube", "source", "x", "y", "lon", "lat", "offset", "flux", "index", "counts", "expected", "snr")
    names += ("radius_bound", "response", "time")
    whole = ("cube", "source", "counts")
    columns = {name: np.array([row[name] for row in rows], int if name in whole else float) for name in names}
    columns |= {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ()) if name not in names}
    return Table({name: Column(values, unit=TRUTH_UNITS.get(name)) for name, values in columns.items()})
