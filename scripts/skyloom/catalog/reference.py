"""The page of the documentation that says what is in a catalog."""

from .columns import COMMON, Column

_PAGE = """\
# The catalog

<!-- Made by `make docs` from resources/columns.yaml; edit that file, not this page. -->

`results/catalog.*` holds the rows of all cases, `results/<case>/catalog.*` those of one, in every format alike:

| file | format | units, UCDs, descriptions | masked value |
|---|---|---|---|
| `catalog.csv` | CSV, names in the first line | in the table below | empty |
| `catalog.ecsv` | ECSV of astropy | in its header | empty |
| `catalog.vot` | VOTable 1.4 | in its fields | empty; -2147483648 for integers, declared as null |
| `catalog.fits` | FITS binary table | TUNIT, TUCD, TCOMM | NaN for floats, TNULL for integers, empty text |
| `catalog.reg` | DS9 regions in ICRS | | |
| `catalog.moc.fits` | the searched area as a MOC in FITS | | |

- Numbers are rounded once, by the format in `resources/columns.yaml`, so that all formats hold the same values.
- Rows are ordered by case, right ascension, declination and id. The same commit, settings and kind of CPU give the
  same bytes.
- An object is left out if its label trained or calibrated a network, or if it lies in an image that did.
- A row flagged `duplicate` is from an image that the archive holds under another name too.
- The name is made of truncated coordinates, as the IAU asks, and so says in which cell of the sky the source lies; the
  same source in two images has the same name or a neighbour's, but two ids.
- The region of an object is the ellipse of its full widths at half maximum, magenta for candidates, cyan for the rest.
- The MOC covers, for every image that was searched, the disc with the centre and the area of its observed pixels.

A column with a group in brackets belongs to the cases that measure it, and is masked in the rows of other cases. To add
a column, add it to `resources/columns.yaml` and let the step named under *from* make it.

| column | unit | type | what it is | error in | UCD | may be masked | from |
|---|---|---|---|---|---|---|---|
"""


def page(columns: list[Column]) -> str:
    """Return the page as Markdown, with one row of its table a column."""
    rows = []
    for column in columns:
        group = "" if column.group == COMMON else f" ({column.group})"
        error = f"`{column.error}`" if column.error else ""
        rows.append(
            f"| `{column.name}`{group} | {column.unit or ''} | {column.dtype} | {column.description} | {error} "
            f"| `{column.ucd}` | {'yes' if column.nullable else 'no'} | {column.source} |\n"
        )
    return _PAGE + "".join(rows)
