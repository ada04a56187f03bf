"""The searched area of the sky as a multi-order coverage map (MOC)."""

from pathlib import Path

import numpy as np
from astropy import units
from astropy.table import Table
from mocpy import MOC

from ..errors import UserError
from ..files import existing, written_whole

FINEST = 20
"""Order of the smallest cells used, 0.2 arcsec wide."""
CELLS = 8
"""A field's radius is at least this many cells, so that its area is right to a few per cent."""


def searched_area(fields: Table) -> MOC:
    """Return the area of the sky that was searched.

    Parameters
    ----------
    fields : astropy.table.Table
        One row a file, with the columns ``status``, ``ra``, ``dec`` (centre of the observed pixels) and ``radius``
        (of the disc with their area), with units; only rows whose status is ``kept`` count. Where there is a column
        ``moc``, it tells the area instead (a MOC in ASCII), unless it is empty.

    Raises
    ------
    UserError
        If a column is missing.
    """
    missing = [name for name in ("status", "ra", "dec", "radius") if name not in fields.colnames]
    if missing:
        raise UserError(f"the fields have no column `{missing[0]}`; make them again with crop.")
    kept = fields[[str(status) == "kept" for status in fields["status"]]]
    area = MOC.new_empty(max_depth=0)
    if "moc" in kept.colnames:
        told = np.array([value is not np.ma.masked and bool(str(value)) for value in kept["moc"]], dtype=bool)
        for text in kept["moc"][told]:
            area = area.union(MOC.from_string(str(text), "ascii"))
        kept = kept[~told]
    if not len(kept):
        return area
    radius = _in(kept["radius"], "arcsec")
    orders = np.array([_order(value) for value in radius.to_value("deg")])
    for order in np.unique(orders):
        rows = orders == order
        cones = MOC.from_cones(
            lon=_in(kept["ra"][rows], "deg"),
            lat=_in(kept["dec"][rows], "deg"),
            radius=radius[rows],
            max_depth=int(order),
            union_strategy="small_cones",
        )
        area = area.union(cones)
    return area


def read_area(path: str | Path) -> MOC:
    """Return the area in a MOC file."""
    path = existing(path, "a MOC in FITS")
    try:
        return MOC.from_fits(path)
    except Exception as error:
        raise UserError(f"{path}: cannot be read as a MOC ({error}); make it again.") from error


def write_area(path: str | Path, area: MOC) -> None:
    """Write an area as a FITS file, by the IVOA's MOC standard, whole or not at all."""
    with written_whole(path) as part:
        area.save(part, format="fits", overwrite=True)


def _order(radius: float) -> int:
    """Return the order whose cells are `CELLS` times smaller than a radius [deg]; a cell is 58.6 deg / 2^order wide."""
    return int(np.clip(np.ceil(np.log2(np.degrees(np.sqrt(np.pi / 3)) * CELLS / radius)), 0, FINEST))


def _in(column, unit: str) -> units.Quantity:
    return units.Quantity(np.asarray(column, dtype=float), column.unit or unit).to(unit)
