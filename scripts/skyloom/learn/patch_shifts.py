"""What changes in gamma-ray sources if the diffuse emission is another one: the systematic errors of a catalog."""

import numpy as np
from astropy.table import Table

from ..detect.match_sources import values
from .patch_matching import ONE_SIGMA

FLUX_EDGES = (0.0, 3e-10, 1e-9, 3e-9, np.inf)
"""Of the bins of flux in which systematic errors are told [cm-2 s-1]."""
LATITUDE_EDGES = (0.0, 10.0, 20.0, 90.0)
"""Of those of the latitude without its sign [deg]."""
FEWEST = 20
"""Sources that a bin needs; with fewer it takes those of all fluxes at its latitude, or of all."""


def pairs(first: Table, second: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the same source in two tables of residuals (by cube and source), in the first one's order."""
    place = {key: row for row, key in enumerate(_keys(second))}
    both = [(row, place[key]) for row, key in enumerate(_keys(first)) if key in place]
    return tuple(np.array(rows, int) for rows in zip(*both, strict=True)) if both else (np.zeros(0, int),) * 2


def _keys(table: Table) -> list[tuple]:
    return list(zip(np.asarray(table["cube"]).tolist(), np.asarray(table["source"]).tolist(), strict=True))


def shifts(first: Table, second: Table) -> Table:
    """Return the change of what was measured of each source that is in two tables of residuals.

    Parameters
    ----------
    first, second : astropy.table.Table
        Of the same sources (`skyloom.learn.patch_matching.residuals`).

    Returns
    -------
    astropy.table.Table
        cube, source, lat [deg], flux (geometric mean of both [cm-2 s-1]); ``ln_flux`` with its statistical
        ``ln_flux_error``, ``dx`` and ``dy`` with ``dx_error`` and ``dy_error`` [deg], ``logit`` (of the probability):
        second less first.
    """
    one, other = (table[rows] for table, rows in zip((first, second), pairs(first, second), strict=True))
    table = Table({name: one[name] for name in ("cube", "source", "lat")})
    flux = [np.maximum(values(side, "found_flux"), 1e-30) for side in (one, other)]
    table["flux"] = np.sqrt(flux[0] * flux[1])
    table["ln_flux"] = np.log(flux[1] / flux[0])
    relative = [values(side, "flux_error") / given for side, given in zip((one, other), flux, strict=True)]
    table["ln_flux_error"] = np.hypot(*relative)
    for axis in "xy":
        table[f"d{axis}"] = values(other, f"d{axis}") - values(one, f"d{axis}")
        table[f"d{axis}_error"] = np.hypot(values(one, f"{axis}_error"), values(other, f"{axis}_error"))
    table["logit"] = log_odds(values(other, "probability")) - log_odds(values(one, "probability"))
    return table


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Return ln(p / (1 - p)) of probabilities, which are kept off 0 and 1 by 1e-6."""
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def excess(change: np.ndarray, error: np.ndarray) -> float:
    """Return the least error that, added in quadrature to the statistical ones, makes 68.27 % of the changes hold.

    |change|^2 <= error^2 + s^2 is true of as many where s^2 is that percentile of change^2 - error^2. A shift that is
    common to all counts, too.
    """
    return float(np.sqrt(max(np.percentile(np.square(change) - np.square(error), ONE_SIGMA), 0.0)))


def added(rows: Table) -> tuple[float, float]:
    """Return what must be added to the errors of fluxes (a share of them) and positions (along each axis [deg]).

    Parameters
    ----------
    rows : astropy.table.Table
        Residuals of at least one source.

    Notes
    -----
    What was measured is compared with the truth, not with what was measured under the other tracer: photons that both
    have in common would make the errors of their difference smaller than those of both.
    """
    found = np.maximum(values(rows, "found_flux"), 1e-30)
    flux = excess(1 - values(rows, "flux") / found, values(rows, "flux_error") / found)
    both = [np.concatenate([values(rows, name.format(axis)) for axis in "xy"]) for name in ("d{}", "{}_error")]
    return flux, excess(*both)


def systematic(rows: Table, changes: Table) -> dict | None:
    """Return the systematic errors by latitude and flux, or None without enough sources to tell.

    Parameters
    ----------
    rows : astropy.table.Table
        Residuals under the other tracer of the diffuse emission, with the errors that hold under that of the training.
    changes : astropy.table.Table
        Of `shifts`, from the training's tracer to the other one.

    Returns
    -------
    dict
        ``latitude_edges`` [deg] and the inner ``flux_edges`` [cm-2 s-1]; tables by latitude, then flux: ``sources`` and
        ``pairs`` (numbers), ``flux`` and ``position`` (`added`), ``logit`` (68 % of the changes of the probability's
        log odds, their noise included) and ``flux_shift`` (median change of the flux's logarithm).

    Notes
    -----
    What must be added to large statistical errors is not well known from few sources. It cannot be more than 68 % of
    the changes from one tracer to the other, noise included, nor less than a median change of all fluxes.
    """
    if min(len(rows), len(changes)) < FEWEST:
        return None
    result = {"latitude_edges": list(LATITUDE_EDGES), "flux_edges": list(FLUX_EDGES[1:-1])}
    tables = {name: [] for name in ("sources", "pairs", "flux", "position", "logit", "flux_shift")}
    for latitude in range(len(LATITUDE_EDGES) - 1):
        line = {name: [] for name in tables}
        for flux in range(len(FLUX_EDGES) - 1):
            part, source_count = _part(rows, "found_flux", latitude, flux)
            both, pair_count = _part(changes, "flux", latitude, flux)
            line["sources"].append(source_count)
            line["pairs"].append(pair_count)
            flux_error, position = added(part)
            shift = float(np.median(values(both, "ln_flux")))
            most = [_most(np.abs(values(both, name))) for name in ("ln_flux", "logit")]
            line["flux"].append(float(np.clip(flux_error, min(abs(shift), most[0]), most[0])))
            apart = np.concatenate([np.abs(values(both, name)) for name in ("dx", "dy")])
            line["position"].append(min(position, _most(apart)))
            line["logit"].append(most[1])
            line["flux_shift"].append(shift)
        for name, cells in line.items():
            tables[name].append(cells)
    return result | tables


def _most(change: np.ndarray) -> float:
    """Return what 68.27 % of the changes do not exceed."""
    return float(np.percentile(change, ONE_SIGMA))


def _part(table: Table, column: str, latitude: int, flux: int) -> tuple[Table, int]:
    """Return the rows of a bin, or of more where they are too few, and how many are in it."""
    at_latitude = np.digitize(np.abs(values(table, "lat")), LATITUDE_EDGES[1:-1]) == latitude
    inside = at_latitude & (np.digitize(values(table, column), FLUX_EDGES[1:-1]) == flux)
    every = np.ones(len(table), bool)
    return table[next(some for some in (inside, at_latitude, every) if some.sum() >= FEWEST)], int(inside.sum())


def looked_up(given: dict | None, name: str, latitude: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Return the systematic errors of a name for latitudes [deg] and fluxes [cm-2 s-1]; NaN where none are known."""
    if given is None:
        return np.full(len(latitude), np.nan)
    rows = np.digitize(np.abs(latitude), given["latitude_edges"][1:-1])
    return np.array(given[name], float)[rows, np.digitize(flux, given["flux_edges"])]
