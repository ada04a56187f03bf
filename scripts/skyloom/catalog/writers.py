"""One catalog in every format, from the one column definition.

Equal catalogs give equal bytes: no writer puts a date, a path or a host name into its file.
"""

import unicodedata
from pathlib import Path

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable.tree import CooSys, Field, TableElement, VOTableFile
from astropy.io.votable.tree import Resource as VOTableResource
from astropy.table import Table
from regions import EllipseSkyRegion, PointSkyRegion, Regions, RegionVisual

from ..files import write_table, written_whole
from .columns import INT_NULL, Column

VOTABLE_TYPES = {"text": "unicodeChar", "bool": "boolean", "int": "int", "float": "double"}
FRAME = "ICRS"
CANDIDATE_COLOUR, OTHER_COLOUR = "magenta", "cyan"


def write_csv(path: str | Path, catalog: Table) -> None:
    """Write the catalog as CSV: plain names in the first line, masked values empty; units stand in the definition."""
    plain = catalog.copy()
    plain.meta.clear()
    write_table(path, plain)


def write_ecsv(path: str | Path, catalog: Table) -> None:
    """Write the catalog as ECSV, with units, descriptions and UCDs in its header."""
    write_table(path, catalog)


def write_votable(path: str | Path, catalog: Table, columns: list[Column]) -> None:
    """Write the catalog as VOTable 1.4, with UCDs, units, descriptions and the coordinate system."""
    file = VOTableFile(version="1.4")
    resource = VOTableResource(type="results")
    file.resources.append(resource)
    resource.coordinate_systems.append(CooSys(ID=FRAME.lower(), system=FRAME))
    element = TableElement(file, name="catalog")
    resource.tables.append(element)
    written = [column for column in columns if column.name in catalog.colnames]
    element.fields.extend(_field(file, column) for column in written)
    element.create_arrays(len(catalog))
    for column in written:
        values = np.ma.asarray(catalog[column.name])
        mask = np.ma.getmaskarray(values)
        data = np.ma.getdata(values)
        element.array[column.name] = data.astype(object) if column.dtype == "text" else data
        element.array.mask[column.name] = mask
    with written_whole(path) as part:
        file.to_xml(str(part))


def write_fits(path: str | Path, catalog: Table, columns: list[Column]) -> None:
    """Write the catalog as a FITS binary table, with TUNIT, TUCD and TCOMM of every column.

    Masked floats are NaN and masked integers TNULL, as the standard asks, and readers show both as masked. Masked
    text is empty. FITS text is ASCII, so that accents are dropped and other letters become ``?``.
    """
    arrays = []
    written = [column for column in columns if column.name in catalog.colnames]
    for column in written:
        values = np.ma.asarray(catalog[column.name])
        if column.dtype == "text":
            data = np.array([_ascii(text) for text in values.filled("")], dtype="S")
            length = max(data.dtype.itemsize, 1)
            arrays.append(fits.Column(column.name, f"{length}A", array=data))
        elif column.dtype == "int":
            arrays.append(fits.Column(column.name, "J", null=int(INT_NULL), array=values.filled(INT_NULL)))
        elif column.dtype == "bool":
            arrays.append(fits.Column(column.name, "L", array=values.filled(False)))
        else:
            unit = units.Unit(column.unit).to_string("fits") if column.unit else None
            arrays.append(fits.Column(column.name, "D", unit=unit, array=values.filled(np.nan)))
    hdu = fits.BinTableHDU.from_columns(arrays, name="CATALOG")
    hdu.header["RADESYS"] = (FRAME, "frame of ra and dec")
    for number, column in enumerate(written, 1):
        hdu.header.set(f"TUCD{number}", column.ucd, after=f"TFORM{number}")
        hdu.header.set(f"TCOMM{number}", column.description, after=f"TUCD{number}")
    with written_whole(path) as part:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(part, overwrite=True)


def write_regions(path: str | Path, catalog: Table) -> None:
    """Write the rows as DS9 regions in ICRS: ellipses of the full widths at half maximum where measured, else points.

    Candidates have another colour than the rest; the text is the name's coordinates and the probability.
    """
    shapes = [_region(row) for row in catalog]
    with written_whole(path) as part:
        part.write_text(Regions(shapes).serialize(format="ds9", precision=8) if shapes else "# no objects\n")


def _field(file: VOTableFile, column: Column) -> Field:
    unit = units.Unit(column.unit).to_string("vounit") if column.unit else None
    field = Field(
        file,
        ID=column.name,
        name=column.name,
        datatype=VOTABLE_TYPES[column.dtype],
        arraysize="*" if column.dtype == "text" else None,
        unit=unit,
        ucd=column.ucd,
        ref=FRAME.lower() if column.ucd.startswith("pos.eq") else None,
    )
    field.description = column.description
    if column.dtype == "int":
        field.values.null = int(INT_NULL)
    return field


def _ascii(text: str) -> bytes:
    """Return text without accents as ASCII, with ``?`` for what has no such letter."""
    decomposed = unicodedata.normalize("NFKD", str(text))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).encode("ascii", "replace")


def _region(row):
    centre = SkyCoord(row["ra"], row["dec"], unit="deg", frame="icrs")
    label = f"{str(row['name']).removeprefix('SKYL ')} p={row['probability']:.2f}"
    visual = RegionVisual(color=CANDIDATE_COLOUR if row["candidate"] else OTHER_COLOUR)
    axes = [row[name] if name in row.colnames else np.ma.masked for name in ("fwhm_major", "fwhm_minor", "pa")]
    if any(value is np.ma.masked for value in axes):
        return PointSkyRegion(centre, meta={"text": label}, visual=visual)
    major, minor, angle = axes
    # A region's height points North at angle 0 and turns to the East, as a position angle does.
    return EllipseSkyRegion(
        centre,
        width=minor * units.arcsec,
        height=major * units.arcsec,
        angle=angle * units.deg,
        meta={"text": label},
        visual=visual,
    )


def write_catalog(paths: dict[str, str | Path], catalog: Table, columns: list[Column]) -> None:
    """Write the catalog in every format.

    Parameters
    ----------
    paths : dict of str to path
        By format: ``csv``, ``ecsv``, ``votable``, ``fits``, ``regions``.
    catalog : astropy.table.Table
        The rows, made by `skyloom.catalog.rows`.
    columns : list of `Column`
        The whole definition.
    """
    write_csv(paths["csv"], catalog)
    write_ecsv(paths["ecsv"], catalog)
    write_votable(paths["votable"], catalog, columns)
    write_fits(paths["fits"], catalog, columns)
    write_regions(paths["regions"], catalog)
