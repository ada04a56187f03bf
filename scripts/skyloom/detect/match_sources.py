"""Which detection in a cube is which true source."""

import numpy as np
from astropy.table import Table
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

DISTANCE, IOU = 3.0, 0.8
"""Largest distance of centres [pixel] and smallest overlap of boxes of a match, as in DeepFocus."""
BOX = ("x0", "x1", "y0", "y1")


def values(table: Table, name: str) -> np.ndarray:
    """Return a column as float, NaN where it is masked and everywhere where the table has none; shape (n,)."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan))


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box of `a` with every box of `b`.

    Parameters
    ----------
    a, b : numpy.ndarray, shape (n, 4) and (m, 4)
        Half-open boxes x0, x1, y0, y1 [pixel].

    Returns
    -------
    numpy.ndarray, shape (n, m)
        From 0 to 1; a box without area overlaps nothing.
    """
    a, b = (np.asarray(boxes, dtype=float).reshape(-1, 4) for boxes in (a, b))
    low, high = np.array([0, 2]), np.array([1, 3])
    corner = np.maximum(a[:, None, low], b[None, :, low])
    sides = np.minimum(a[:, None, high], b[None, :, high]) - corner
    shared = np.prod(np.clip(sides, 0, None), axis=-1)
    area_a, area_b = (np.prod(np.clip(boxes[:, high] - boxes[:, low], 0, None), axis=-1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def match_sources(
    truth: Table,
    detections: Table,
    distance: float = DISTANCE,
    iou: float | None = IOU,
    spectral: bool = False,
) -> np.ndarray:
    """Return for each true source the index of its detection, or -1.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        One row a source: cube, x, y [pixel], boxes where `iou` is given, z [channel] where `spectral`; truth also
        line_fwhm [channel], detections also score.
    distance : float
        Largest distance of the centres [pixel].
    iou : float, optional
        Smallest intersection over union of the boxes in the image; None to ask for none.
    spectral : bool
        Whether the detection's z must also be within half a line's true FWHM; a source without a line, whose z is
        NaN, asks for no z.

    Returns
    -------
    numpy.ndarray of int, shape (len(truth),)

    Raises
    ------
    ValueError
        If one table names its cubes by numbers and the other one by texts, so that nothing could match.

    Notes
    -----
    A source and a detection belong to one pair at most, so a second detection of a source is a false one. Among all
    one-to-one pairings of a cube that one is chosen which first takes the surest detections, and then has the least
    sum of distances. Detections that can be paired at once are the independent sets of a matroid, in which weights
    that only grow with the score give the best set for every threshold of the score at once: the pairs above a
    threshold are as many as if the detections below it had never been made. By distances alone a faint duplicate
    would take the source of a sure detection, and taking the surest first without looking back would lose sources.
    """
    matched = np.full(len(truth), -1)
    if not len(truth) or not len(detections):
        return matched
    true_cube, found_cube = _cubes(truth), _cubes(detections)
    if (true_cube.dtype.kind == "U") != (found_cube.dtype.kind == "U"):
        raise ValueError("truth and detections name their cubes differently: one by numbers, one by texts")
    names = ("x", "y", "z", "line_fwhm", "score", *BOX)
    true, found = ({name: values(table, name) for name in names} for table in (truth, detections))
    order = np.lexsort([found[name] for name in ("z", "y", "x", "score")])
    for cube in np.intersect1d(true_cube, found_cube):
        rows, columns = np.flatnonzero(true_cube == cube), order[found_cube[order] == cube]
        some = {name: column[columns] for name, column in found.items()}
        apart, allowed = _possible({name: column[rows] for name, column in true.items()}, some, distance, iou, spectral)
        row, column = _pairs(apart, allowed, some["score"], distance)
        matched[rows[row]] = columns[column]
    return matched


def match_brightest(truth: Table, detections: Table, distance: float) -> np.ndarray:
    """Return for each true source the index of its detection, or -1, where a detection is of the brightest in reach.

    Parameters
    ----------
    truth, detections : astropy.table.Table
        One row a source: cube, x, y [pixel]; truth also flux, detections also score.
    distance : float
        Largest distance of a detection from its source [pixel].

    Returns
    -------
    numpy.ndarray of int, shape (len(truth),)

    Notes
    -----
    From the surest detection on, each takes the brightest source in reach that none has taken. Detections below a
    threshold of the score therefore change nothing above it, and a second detection of a source is a false one.
    """
    matched = np.full(len(truth), -1)
    true_cube, found_cube = np.asarray(truth["cube"]), np.asarray(detections["cube"])
    true, found = (np.stack([values(table, axis) for axis in "xy"], axis=1) for table in (truth, detections))
    rank_true = np.lexsort([true[:, 1], true[:, 0], -values(truth, "flux"), true_cube])
    rank_found = np.lexsort([found[:, 1], found[:, 0], -values(detections, "score"), found_cube])
    for cube in np.intersect1d(true_cube, found_cube):
        rows = _of(cube, true_cube, rank_true)
        columns = _of(cube, found_cube, rank_found)
        near = np.hypot(*np.moveaxis(found[columns, None] - true[None, rows], -1, 0)) <= distance
        free = np.ones(len(rows), bool)
        for column, reach in zip(columns, near, strict=True):
            some = np.flatnonzero(reach & free)
            if len(some):
                free[some[0]] = False
                matched[rows[some[0]]] = column
    return matched


def _of(cube, cubes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the part of an order by cubes that is of one cube."""
    ordered = cubes[order]
    return order[np.searchsorted(ordered, cube) : np.searchsorted(ordered, cube, side="right")]


def accepted(matched: np.ndarray, detections: Table, threshold: float) -> np.ndarray:
    """Return matches without those whose detection's score is below a threshold; shape (len(matched),)."""
    matched = np.asarray(matched, dtype=int)
    kept = np.append(values(detections, "score") >= threshold, False)
    return np.where(kept[matched], matched, -1)


def _cubes(table: Table) -> np.ndarray:
    """Return the cube of each row, texts as str however the table was read."""
    cubes = np.asarray(table["cube"])
    if cubes.dtype.kind == "S":
        return np.char.decode(cubes)
    return cubes.astype(str) if cubes.dtype.kind == "O" else cubes


def _possible(
    true: dict[str, np.ndarray], found: dict[str, np.ndarray], distance: float, iou: float | None, spectral: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of the sources and detections of one cube [pixel] and which may be a pair, both (n, m)."""

    def apart(name: str) -> np.ndarray:
        return found[name][None, :] - true[name][:, None]

    between = np.hypot(apart("x"), apart("y"))
    allowed = between <= distance
    if iou is not None:
        allowed &= box_iou(*(np.stack([side[name] for name in BOX], axis=1) for side in (true, found))) >= iou
    if spectral:
        near = np.abs(apart("z")) <= true["line_fwhm"][:, None] / 2
        allowed &= near | np.isnan(true["z"])[:, None]
    return between, allowed


def _pairs(apart: np.ndarray, allowed: np.ndarray, score: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the best pairs; `apart` and `allowed` are of shape (rows, columns)."""
    rank = rankdata(np.where(np.isnan(score), -np.inf, score), method="dense")
    # All distances together, each at most one in these units, weigh less than one step of rank.
    step = min(apart.shape) + 1
    cost = np.where(allowed, apart / max(distance, 1e-9) - step * rank, 0)
    row, column = linear_sum_assignment(cost)
    kept = allowed[row, column]
    return row[kept], column[kept]
