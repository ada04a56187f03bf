"""Which known source a row of the catalog is, by a catalog of such sources."""

import difflib
import warnings
from pathlib import Path

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from ..errors import UserError
from ..files import existing


def read_reference(
    path: str | Path, name: str, ra: str, dec: str, flux: str | None = None, extended: str | None = None
) -> Table:
    """Return the known sources of a table in FITS (packed or not), VOTable, ECSV or CSV.

    Parameters
    ----------
    path : path
    name, ra, dec : str
        Columns of the names and the positions (ICRS); the latter in degrees where they have no unit.
    flux, extended : str or None
        Columns of the fluxes, and of what is empty, zero or false for a point source.

    Returns
    -------
    astropy.table.Table
        ``name``, and ``ra`` and ``dec`` [deg]; sources without a position are left out. With `flux` there is ``flux``
        in the unit of its column, NaN where it is not known, and with `extended` a truth value of this name.

    Raises
    ------
    UserError
        If the file is missing, is no such table, or lacks a column.
    """
    path = existing(path, "a catalog of known sources")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units and names that astropy does not know, of other columns
            table = Table.read(path)
    except Exception as error:  # readers raise many kinds
        text = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: cannot be read as a table of known sources ({text}); give FITS, VOTable or CSV."
        ) from error
    for column in filter(None, (name, ra, dec, flux, extended)):
        if column not in table.colnames:
            near = difflib.get_close_matches(column, table.colnames, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(table.colnames[:8])}."
            raise UserError(f"{path}: has no column `{column}`; {hint}")
    try:
        places = [_degrees(table[column]) for column in (ra, dec)]
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UserError(f"{path}: `{ra}` and `{dec}` should be angles as numbers, such as degrees.") from error
    known = np.isfinite(places[0]) & (np.abs(places[1]) <= 90)
    names = np.array([str(value).strip() for value in table[name]], dtype=str)
    result = Table({"name": names[known], "ra": places[0][known], "dec": places[1][known]})
    if flux:
        try:
            result["flux"] = np.ma.filled(np.ma.asarray(table[flux]).astype(float), np.nan)[known]
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: `{flux}` should be fluxes, numbers.") from error
        result["flux"].unit = table[flux].unit
    if extended:
        result["extended"] = np.array([_says(value) for value in table[extended]], dtype=bool)[known]
    return result


def counterparts(ra, dec, reference: Table, radius: float) -> tuple[MaskedColumn, MaskedColumn]:
    """Return the nearest known source of each position, masked where none is near.

    Parameters
    ----------
    ra, dec : array-like, shape (n,)
        [deg, ICRS]
    reference : astropy.table.Table
        Of `read_reference`.
    radius : float
        [deg]

    Returns
    -------
    names : astropy.table.MaskedColumn, shape (n,)
    distances : astropy.table.MaskedColumn, shape (n,)
        [arcsec]
    """
    names, distances = np.full(len(ra), "", dtype=object), np.full(len(ra), np.inf)
    if len(ra) and len(reference):
        known = SkyCoord(reference["ra"], reference["dec"], unit="deg")
        nearest, apart, _ = SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(known)
        names, distances = np.asarray(reference["name"])[nearest], apart.arcsec
    far = ~(distances <= radius * 3600)
    return (
        MaskedColumn(np.where(far, "", names).astype(str), mask=far),
        MaskedColumn(np.where(far, 0.0, distances), mask=far, unit="arcsec"),
    )


def _says(value) -> bool:
    """Return whether a value is neither masked nor an empty text, zero, NaN or false."""
    if value is np.ma.masked:
        return False
    if isinstance(value, str | bytes):
        return bool(value.strip())
    return bool(value) and bool(np.isfinite(value))


def _degrees(column) -> np.ndarray:
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    return values * units.Unit(column.unit or "deg").to("deg")
