"""Merge the catalogs of the cases into one, and write it in every format.

The merged catalog has the columns of every case; what a case does not measure is masked in its rows.
"""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Read the cases' catalogs and areas and write one of each."""
    parser = step_parser(__doc__)
    parser.add_argument("--catalogs", nargs="+", required=True, help="catalog of each case (ECSV, by build_catalog)")
    parser.add_argument("--mocs", nargs="+", required=True, help="searched area of each case (MOC in FITS)")
    parser.add_argument("--columns", default="resources/columns.yaml", help="column definition (default: %(default)s)")
    for kind in ("csv", "ecsv", "votable", "fits", "regions", "moc"):
        parser.add_argument(f"--{kind}", required=True, help=f"the catalog to write as {kind}")
    args = parser.parse_args(argv)

    from functools import reduce

    from skyloom.catalog.check import check_catalog
    from skyloom.catalog.columns import COMMON, read_columns
    from skyloom.catalog.footprint import read_area, write_area
    from skyloom.catalog.rows import merge_catalogs
    from skyloom.catalog.writers import write_catalog
    from skyloom.files import read_table

    columns = read_columns(args.columns)
    catalogs = [read_table(path, "a catalog") for path in args.catalogs]
    for path, catalog in zip(args.catalogs, catalogs, strict=True):
        missing = [column.name for column in columns if column.group == COMMON and column.name not in catalog.colnames]
        if missing:
            raise UserError(f"{path}: has no column `{missing[0]}`; make it again with build_catalog.")
    merged = merge_catalogs(columns, catalogs)
    check_catalog(merged, columns)
    write_catalog(vars(args), merged, columns)
    write_area(args.moc, reduce(lambda one, other: one.union(other), [read_area(path) for path in args.mocs]))
    say(f"{len(merged)} rows of {len(catalogs)} cases, {sum(merged['candidate'])} candidates, in {args.csv}")


if __name__ == "__main__":
    run(main)
