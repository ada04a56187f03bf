"""Whether every row of a catalog can be trusted: traced to its source, with units and errors."""

import re

import numpy as np
from astropy import units
from astropy.table import Table

from ..errors import UserError
from .columns import COMMON, Column

SHA256 = re.compile(r"[0-9a-f]{64}")


def check_catalog(catalog: Table, columns: list[Column]) -> None:
    """Raise unless every row of a catalog keeps what the column definition promises.

    Each row names its source file with the SHA-256 and its model; columns that may not be masked are not; numbers are
    in the defined unit; a number with an error column has a positive error wherever it has a value; probabilities
    are within 0 and 1 and positions on the sky; ids are unique in their case.

    Parameters
    ----------
    catalog : astropy.table.Table
        Of one case or of several; a row may lack a whole group of columns (that of another case), never a part.
    columns : list of `Column`
        The whole definition.

    Raises
    ------
    UserError
        With all problems in one sentence, the number of rows of each in brackets.
    """
    counts = {}
    for column in columns:
        if column.name in catalog.colnames:
            counts |= _column_problems(column, catalog, columns)
    counts |= _row_problems(catalog)
    problems = [f"{text} ({count} rows)" for text, count in counts.items() if count]
    if problems:
        raise UserError(f"the catalog is not what resources/columns.yaml promises: {'; '.join(problems)}.")


def _column_problems(column: Column, catalog: Table, columns: list[Column]) -> dict[str, int]:
    values = catalog[column.name]
    masked = _mask(values)
    problems = {}
    if (values.unit or units.dimensionless_unscaled) != units.Unit(column.unit or ""):
        problems[f"`{column.name}` is in {values.unit or 'no unit'} instead of {column.unit or 'none'}"] = len(catalog)
    if not column.nullable:
        problems[f"`{column.name}` is masked"] = int(np.sum(masked & ~_absent(column.group, catalog, columns)))
    if column.error in catalog.colnames:
        error = np.ma.filled(np.ma.asarray(catalog[column.error]), 0.0)
        problems[f"`{column.name}` has no positive `{column.error}`"] = int(np.sum(~masked & ~(error > 0)))
    return problems


def _absent(group: str, catalog: Table, columns: list[Column]) -> np.ndarray:
    """Return which rows have nothing of a group of columns, being of a case that does not measure it."""
    if group == COMMON:
        return np.zeros(len(catalog), dtype=bool)
    names = [column.name for column in columns if column.group == group and column.name in catalog.colnames]
    return np.all([_mask(catalog[name]) for name in names], axis=0)


def _row_problems(catalog: Table) -> dict[str, int]:
    ra, dec, probability = (np.ma.filled(np.ma.asarray(catalog[name]), 0.0) for name in ("ra", "dec", "probability"))
    keys = {(str(row["case"]), str(row["id"])) for row in catalog}
    return {
        "an id is not unique in its case": len(catalog) - len(keys),
        "a position is not on the sky": int(np.sum((ra < 0) | (ra >= 360) | (np.abs(dec) > 90))),
        "a probability is not within 0 and 1": int(np.sum((probability < 0) | (probability > 1))),
        "a sha256 has not 64 hexadecimal digits": sum(not SHA256.fullmatch(str(text)) for text in catalog["sha256"]),
    }


def _mask(values) -> np.ndarray:
    return np.ma.getmaskarray(np.ma.asarray(values))
