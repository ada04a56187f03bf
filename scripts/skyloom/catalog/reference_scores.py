"""A catalog of what was found beside one of known sources: completeness, purity, and what chance would match."""

import math

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..learn.detection_scores import with_masks
from ..learn.metrics import Interval, proportion

LATITUDE = 20.0
"""Galactic latitude that divides the sky in two [deg], as published catalogs of gamma-ray sources are told."""
WANTED = 0.9
"""Completeness at which the lowest flux is told."""
EXTENT = 1.0
"""What is within this of an extended source counts as a part of it [deg]."""
BINS = 4
"""Bins of the flux for each factor of ten."""
_SHIFT, _SHIFTS = 3.0, 8
"""How far positions are moved to see what chance matches [deg], and in how many directions."""
PARTS = {
    "all": (0.0, 90.1),
    f"beyond {LATITUDE:g} deg": (LATITUDE, 90.1),
    f"within {LATITUDE:g} deg": (0.0, LATITUDE),
}
"""Parts of the sky by the Galactic latitude without its sign [deg]; how far they lie from the plane, for people."""


def match(found: SkyCoord, known: SkyCoord, radius: float, order: np.ndarray | None = None) -> np.ndarray:
    """Return the known source of each that was found, -1 for none; each is taken once.

    Parameters
    ----------
    found, known : astropy.coordinates.SkyCoord, shape (n,), (m,)
    radius : float
        [deg]
    order : numpy.ndarray, shape (m,)
        Known sources in the order in which they take the nearest that is left, such as the brightest first; else the
        nearest pairs come first.
    """
    result = np.full(len(found), -1)
    if not len(found) or not len(known):
        return result
    one, other, apart, _ = known.search_around_sky(found, radius * u.deg)
    rank = np.zeros(len(known)) if order is None else np.empty(len(known))
    if order is not None:
        rank[order] = np.arange(len(known))
    taken = set()
    for pair in np.lexsort((apart.deg, rank[other])):
        if result[one[pair]] < 0 and other[pair] not in taken:
            result[one[pair]] = other[pair]
            taken.add(other[pair])
    return result


def compare(found: Table, known: Table, area, radius: float, confidence: float) -> dict:
    """Compare what was found with known sources.

    Parameters
    ----------
    found : astropy.table.Table
        ``ra``, ``dec`` [deg], ``probability``, and ``flux`` if there is one: the candidates.
    known : astropy.table.Table
        Of `skyloom.catalog.counterparts.read_reference`.
    area : mocpy.MOC
        Where was searched; the rest of the known sources does not count.
    radius : float
        Of a match [deg].
    confidence : float
        Level of the intervals.

    Returns
    -------
    dict
        ``rows``, a table with one row a part of the sky (`PARTS`) and bin of the flux, the first of each being that of
        all fluxes; ``above``, by part, the lowest end of a bin above which `WANTED` of the sources are found, None if
        there is none; ``found`` and ``known``, the tables with what they are matched to (``matched``: found sources
        have the number of the known one or -1, known ones whether they are found).
    """
    places = SkyCoord(known["ra"], known["dec"], unit="deg")
    known = known[area.contains_skycoords(places)] if len(known) else known
    found, known = found.copy(), known.copy()
    at, there = (SkyCoord(table["ra"], table["dec"], unit="deg") for table in (found, known))
    fluxes = np.asarray(known["flux"], float) if "flux" in known.colnames else None
    order = None if fluxes is None else np.argsort(-np.nan_to_num(fluxes, nan=0.0), kind="stable")
    matched = match(at, there, radius, order)
    extended = np.asarray(known["extended"], bool) if "extended" in known.colnames else np.zeros(len(known), bool)
    near = _near_extended(at, there, extended, np.flatnonzero(matched < 0))
    found["matched"] = matched
    found["part_of_extended"] = near
    known["matched"] = np.isin(np.arange(len(known)), matched)
    latitudes = [np.abs(place.galactic.b.deg) if len(place) else np.zeros(0) for place in (at, there)]
    for table, latitude in zip((found, known), latitudes, strict=True):
        table["latitude"] = latitude
    chance = _by_chance(at, there, area, radius, order)
    edges = _edges(fluxes)
    given = np.asarray(found["flux"], float) if "flux" in found.colnames else None
    rows, above = [], {}
    for part, (low, high) in PARTS.items():
        of_found = (latitudes[0] >= low) & (latitudes[0] < high)
        of_known = (latitudes[1] >= low) & (latitudes[1] < high) & ~extended
        for first, last in [(0.0, math.inf), *zip(edges[:-1], edges[1:], strict=True)]:
            whole = last == math.inf
            sources = of_known if whole else of_known & (fluxes >= first) & (fluxes < last)
            some = of_found if whole else np.zeros(len(found), bool)
            if not whole and given is not None:
                some = of_found & (given >= first) & (given < last)
            rows.append(_row(part, (first, last), found, known, sources, some, chance, confidence))
        above[part] = _lowest(fluxes, np.asarray(known["matched"], bool), of_known, edges)
    return {"rows": with_masks(rows), "above": above, "found": found, "known": known, "confidence": confidence}


def as_markdown(result: dict, names: tuple[str, str], radius: float) -> str:
    """Return the comparison for people.

    Parameters
    ----------
    result : dict
        Of `compare`.
    names : tuple of str
        Of the file of known sources, and of the unit of their fluxes.
    radius : float
        Of a match [deg].
    """
    rows = result["rows"]
    lines = [
        f"Candidates beside the known sources of {names[0]}, matched within {radius:g} deg, each once, the brightest",
        "known source first. Extended sources do not count as missed, and what lies within",
        f"{EXTENT:g} deg of one is not false. `by chance`: matches of candidates that are moved by {_SHIFT:g} deg.",
        "`expected false`: the sum of one less the probability over the candidates, and the share of the unmatched",
        f"ones that this explains. In brackets: intervals at {result['confidence']:.0%} confidence.",
        "",
    ]
    for part in PARTS:
        lowest = result["above"][part]
        flux = "nowhere" if lowest is None else f"above {lowest:.3g} {names[1]}".rstrip()
        lines.append(f"- {part}: {WANTED:.0%} of the known sources are found {flux}.")
    lines += [
        "",
        f"| part | flux [{names[1] or '-'}] | known | completeness | candidates | purity | by chance | unmatched "
        "| expected false |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        whole = row["flux_high"] == math.inf
        flux = "all" if whole else f"{row['flux_low']:.2e} to {row['flux_high']:.2e}"
        explained = f" ({min(row['expected_false'] / row['unmatched'], 1):.0%})" if row["unmatched"] else ""
        lines.append(
            f"| {row['part']} | {flux} | {row['known']} | {_cell(row, 'completeness')} | {row['candidates']} "
            f"| {_cell(row, 'purity')} | {row['by_chance']:.1f} | {row['unmatched']} "
            f"| {row['expected_false']:.1f}{explained} |"
        )
    return "\n".join(lines) + "\n"


def _row(part, ends, found: Table, known: Table, sources, some, chance, confidence: float) -> dict:
    """Return the row of one part of the sky and bin."""
    hit = np.asarray(known["matched"], bool) & sources
    true = (np.asarray(found["matched"]) >= 0) & some
    judged = some & ~np.asarray(found["part_of_extended"], bool)
    probability = np.asarray(found["probability"], float)
    row = {"part": part, "flux_low": ends[0], "flux_high": ends[1], "known": int(sources.sum()), "hit": int(hit.sum())}
    row |= _ends("completeness", proportion(int(hit.sum()), int(sources.sum()), confidence))
    row |= {"candidates": int(judged.sum()), "matched": int(true.sum())}
    row |= _ends("purity", proportion(int(true.sum()), int(judged.sum()), confidence))
    return row | {
        "by_chance": float(chance[some].sum()),
        "unmatched": int(judged.sum() - true.sum()),
        "expected_false": float(np.sum(1 - probability[judged])),
    }


def _ends(name: str, interval: Interval) -> dict:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _cell(row, name: str) -> str:
    if np.ma.is_masked(row[name]):
        return ""
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"


def _edges(fluxes: np.ndarray | None) -> np.ndarray:
    """Return the edges of bins of the flux, none if it is not known."""
    good = fluxes[np.isfinite(fluxes) & (fluxes > 0)] if fluxes is not None else np.zeros(0)
    if len(good) < 2:
        return np.zeros(0)
    low, high = (np.log10(np.percentile(good, share)) * BINS for share in (2, 99))
    return 10 ** (np.arange(math.floor(low), math.ceil(high) + 1) / BINS)


def _lowest(fluxes, hit: np.ndarray, sources: np.ndarray, edges: np.ndarray) -> float | None:
    """Return the lowest edge of a bin above which enough of the sources are found."""
    for edge in edges:
        some = sources & (fluxes >= edge)
        if some.any() and hit[some].mean() >= WANTED:
            return float(edge)
    return None


def _near_extended(found: SkyCoord, known: SkyCoord, extended: np.ndarray, unmatched: np.ndarray) -> np.ndarray:
    """Return which of the unmatched lie within `EXTENT` of an extended source."""
    result = np.zeros(len(found), bool)
    if extended.any() and len(unmatched):
        _, apart, _ = found[unmatched].match_to_catalog_sky(known[extended])
        result[unmatched[apart.deg < EXTENT]] = True
    return result


def _by_chance(found: SkyCoord, known: SkyCoord, area, radius: float, order) -> np.ndarray:
    """Return the probability of each found source to be matched by chance: the mean over shifts of all of them."""
    hits, tries = np.zeros(len(found)), np.zeros(len(found))
    if not len(found) or not len(known):
        return hits
    for number in range(_SHIFTS):
        angle = (number + 0.5) * 360 / _SHIFTS
        moved = found.directional_offset_by(angle * u.deg, _SHIFT * u.deg)
        inside = np.flatnonzero(area.contains_skycoords(moved))
        if len(inside):
            hits[inside] += match(moved[inside], known, radius, order) >= 0
            tries[inside] += 1
    return hits / np.maximum(tries, 1)
