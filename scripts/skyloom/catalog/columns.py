"""The one definition of the catalog's columns, read from ``resources/columns.yaml``."""

import difflib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import numpy as np
import yaml
from astropy import units
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn

from ..errors import UserError
from ..files import existing

DTYPES = {"text": np.str_, "bool": np.bool_, "int": np.int32, "float": np.float64}
INT_NULL = np.iinfo(np.int32).min
"""What stands under the mask of an integer, and in FITS as TNULL; no count or code is as low."""
COMMON = "common"


@dataclass(frozen=True)
class Column:
    """One column of a catalog.

    Attributes
    ----------
    name, group, dtype, unit, ucd, description, format, error : str
        As ``resources/columns.yaml`` explains.
    source : str
        Where the value comes from; the key ``from`` in the file.
    nullable : bool
        Whether the value may be masked.
    """

    name: str
    group: str
    source: str
    dtype: str
    ucd: str
    description: str
    nullable: bool
    unit: str | None = None
    format: str = ""
    error: str = ""

    def filled(self, values) -> MaskedColumn:
        """Return values in the column's type and unit, rounded to its format, with masks where nothing is known.

        Parameters
        ----------
        values : array-like or astropy.table.Column, shape (n,)
            Converted if it has a unit, else taken to be in the column's unit. Masked, not finite and empty values
            become masked.

        Raises
        ------
        UserError
            If the unit of the values is of another kind than the column's.
        """
        mask = np.array(np.ma.getmaskarray(np.ma.asarray(values)), dtype=bool)
        data = np.array(np.ma.getdata(values))
        if self.dtype == "float":
            data = np.where(mask, np.nan, data).astype(np.float64) * self._factor(values)
            mask |= ~np.isfinite(data)
            # 0.0 + turns a rounded -0.0 into 0.0, which is one number to all readers.
            data = np.array([0.0 + float(f"{value:{self.format}}") for value in np.where(mask, 0.0, data)])
        elif self.dtype == "text":
            data = np.where(mask, "", data.astype(str)).astype(str)
            mask |= data == ""
        data = data.astype(DTYPES[self.dtype])
        if self.dtype == "int":
            data[mask] = INT_NULL
        column = MaskedColumn(data, name=self.name, mask=mask, unit=self.unit or None, description=self.description)
        column.meta["ucd"] = self.ucd
        return column

    def empty(self, length: int) -> MaskedColumn:
        """Return a column of `length` masked values."""
        return self.filled(np.ma.masked_all(length, dtype="U1" if self.dtype == "text" else DTYPES[self.dtype]))

    def _factor(self, values) -> float:
        given = getattr(values, "unit", None)
        try:
            return 1.0 if given is None else units.Unit(given).to(self.unit)
        except units.UnitConversionError as error:
            raise UserError(f"column `{self.name}` is in {given}, which is no unit like {self.unit!r}.") from error


def read_columns(path: str | Path) -> list[Column]:
    """Return the columns of the catalog in order.

    Raises
    ------
    UserError
        If a column lacks a key, has an unknown one, a wrong unit, UCD, type or format, or names an error column that
        is not there.
    """
    path = existing(path, "the definition of the catalog's columns")
    try:
        entries = yaml.safe_load(path.read_text())["columns"]
        columns = [_column(entry, path) for entry in entries]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path}: should hold a list `columns:` of `name: value` entries; compare with Git.") from error
    names = [column.name for column in columns]
    for column in columns:
        if names.count(column.name) > 1:
            raise UserError(f"{path}: the column `{column.name}` is there twice; rename or remove one.")
        if column.error and column.error not in names:
            raise UserError(f"{path}: `{column.name}` has its error in `{column.error}`, which is not there; add it.")
    return columns


def chosen(columns: list[Column], available: set[str]) -> list[Column]:
    """Return the columns of one case: the common ones and every group that the case's objects have.

    Parameters
    ----------
    columns : list of `Column`
        The whole definition.
    available : set of str
        Names of the columns of the case's objects.

    Raises
    ------
    UserError
        If the objects have a part of a group only, or lack a common column.
    """
    needed = {column: column.source.partition(".")[2] for column in columns if column.source.startswith("objects.")}
    groups = {column.group for column in columns} - {COMMON}
    present = {COMMON} | {
        group for group in groups if any(key in available for column, key in needed.items() if column.group == group)
    }
    for column, key in needed.items():
        if column.group in present and key not in available:
            raise UserError(f"the objects have no column `{key}` for the catalog's `{column.name}`; make them again.")
    return [column for column in columns if column.group in present]


def _column(entry: dict, path: Path) -> Column:
    name = entry.get("name", "(without a name)")
    keys = {"from" if field.name == "source" else field.name: field.default is MISSING for field in fields(Column)}
    for key in entry:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(keys)}."
            raise UserError(f"{path}: column `{name}` has an unknown key `{key}`; {hint}")
    for key, required in keys.items():
        if required and key not in entry:
            raise UserError(f"{path}: column `{name}` has no `{key}`; add it.")
    column = Column(**{"source" if key == "from" else key: value for key, value in entry.items()})
    problem = _problem(column)
    if problem:
        raise UserError(f"{path}: column `{name}`: {problem}.")
    return column


def _problem(column: Column) -> str:
    if column.dtype not in DTYPES:
        return f"the dtype {column.dtype!r} should be one of {', '.join(DTYPES)}"
    if not check_ucd(column.ucd, check_controlled_vocabulary=True):
        return f"{column.ucd!r} is no valid UCD1+"
    if column.source != "made" and column.source.partition(".")[0] not in ("objects", "predictions"):
        return f"from {column.source!r} should be objects.<column>, predictions.<column> or made"
    if column.dtype == "bool" and column.nullable:
        return "a bool cannot be masked in every format; use an int"
    if column.dtype in ("int", "float"):
        try:
            units.Unit(column.unit if column.unit is not None else "(none)")
        except ValueError:
            return f"the unit {column.unit!r} is none that astropy knows; a pure number has the unit ''"
    if column.dtype == "float":
        try:
            float(format(1.5, column.format or "none"))
        except ValueError:
            return f"{column.format!r} is no number format such as .4g"
    return ""
