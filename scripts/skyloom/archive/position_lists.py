"""Lists of positions on the sky that the user has: tables in FITS, VOTable, ECSV or CSV."""

import difflib
import warnings
from pathlib import Path

import numpy as np
from astropy import units
from astropy.table import Table

from ..errors import UserError
from ..files import existing


def read_table(path: str | Path, what: str) -> Table:
    """Return a table in FITS (packed or not), VOTable, ECSV or CSV; `what` says what it should hold.

    Raises
    ------
    UserError
        If the file is missing or is no such table.
    """
    path = existing(path, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units and names that astropy does not know, of other columns
            return Table.read(path)
    except Exception as error:  # readers raise many kinds
        text = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: cannot be read as {what} ({text}); give FITS, VOTable, ECSV or CSV.") from error


def need(table: Table, column: str, path: str | Path, key: str) -> None:
    """Make sure that a table has a column, which the setting `key` names.

    Raises
    ------
    UserError
        If it has not.
    """
    if column not in table.colnames:
        near = difflib.get_close_matches(column, table.colnames, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(table.colnames[:8])}."
        raise UserError(f"{path}: has no column `{column}` (`{key}`); {hint}")


def numbers(table: Table, column: str, unit: str, path: str | Path, plain: float = 1.0) -> np.ndarray:
    """Return a column in a unit, NaN where it is masked, and everywhere if there is no such column.

    Parameters
    ----------
    table : astropy.table.Table
    column : str
    unit : str
        That is wanted; empty for a pure number.
    path : path
        Of the file, for messages.
    plain : float
        What the numbers of a column without a unit count, in the unit that is wanted.

    Raises
    ------
    UserError
        If it holds something else.
    """
    if column not in table.colnames:
        return np.full(len(table), np.nan)
    given = table[column]
    try:
        values = np.ma.filled(np.ma.asarray(given).astype(float), np.nan)
        factor = units.Unit(given.unit).to(unit) if given.unit and unit else plain
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UserError(f"{path}: `{column}` should hold numbers{f' in {unit}' if unit else ''}.") from error
    return np.asarray(values * factor, float)


def names(table: Table, column: str) -> np.ndarray:
    """Return a column of names as texts; the numbers of the rows if there is no such column."""
    given = table[column] if column in table.colnames else range(len(table))
    return np.array([str(value).strip() for value in given], dtype=str)
