"""Tables that were made chunk by chunk."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import MaskedColumn, Table, vstack

from ..errors import UserError
from ..files import read_table


def read_chunks(paths: list[str], what: str, needed: list[str], header: Sequence[str] = ()) -> Table:
    """Return the tables of all chunks as one, in the order given.

    Parameters
    ----------
    paths : list of path
        One ECSV file a chunk.
    what : str
        What they hold, for errors.
    needed : list of str
        Columns that each of them must have.
    header : sequence of str
        Entries of the metadata that each of them must have.

    Returns
    -------
    astropy.table.Table
        Its `meta` is that of the first chunk, but for the number of observations, `cubes`, which is that of all.

    Raises
    ------
    UserError
        If a file cannot be read or lacks a column or an entry.
    """
    tables = []
    for path in paths:
        table = read_table(path, what)
        missing = [name for name in needed if name not in table.colnames]
        if missing:
            raise UserError(f"{path}: has no column `{missing[0]}`, so it is no table of {what}; make it again.")
        missing = [name for name in header if name not in table.meta]
        if missing:
            raise UserError(f"{path}: has no `{missing[0]}` in its header, so it is no table of {what}; make it again.")
        tables.append(table)
    filled = [table for table in tables if len(table)] or tables[:1]
    joined = vstack(filled, metadata_conflicts="silent")
    joined.meta = dict(tables[0].meta)
    if all("cubes" in table.meta for table in tables):
        joined.meta["cubes"] = sum(int(table.meta["cubes"]) for table in tables)
    return joined


def fields_table(records: list[dict], counts: Sequence[str], units: Mapping) -> Table:
    """Return what became of each file of a chunk, one row a file; numbers that a dropped file lacks are masked.

    Parameters
    ----------
    records : list of dict
        ``product_id``, ``filename``, ``status``, ``reason``, and the numbers as far as they are known.
    counts : sequence of str
        Whole numbers that a file has.
    units : mapping of str to str or None
        Other numbers, and their units; `str` itself for a text.
    """
    kinds = dict.fromkeys(("product_id", "filename", "status", "reason"), str)
    kinds |= dict.fromkeys(counts, int) | {"data_sha256": str}
    kinds |= {name: str if unit is str else float for name, unit in units.items()}
    table = Table()
    for name, kind in kinds.items():
        values = np.array([record.get(name, kind()) for record in records], dtype=kind)
        table[name] = MaskedColumn(values, mask=[name not in record for record in records])
        table[name].unit = None if kind is str else units.get(name)
    return table
