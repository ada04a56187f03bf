"""Compare the lines of a case's catalog with the moments that spectral-cube finds in the same cubes.

Writes one row a source with a line (CSV), the same with the range of each file for people (Markdown), and a figure.
"""

from pathlib import Path

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError


def main(argv=None):
    """Read the catalog and the cubes, and write table, text and figure."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--catalog", required=True, help="the case's catalog (ECSV)")
    parser.add_argument("--manifests", nargs="+", required=True, help="tables of the downloaded files (download_fits)")
    parser.add_argument("--table", required=True, help="one row a source with a line (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--figure", required=True, help="the widths, by both (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.detect import cube_moments
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.plots import moments, style

    catalog = read_table(args.catalog, "a catalog")
    missing = [name for name in ("source_file", "line_width", "moment_width") if name not in catalog.colnames]
    if missing:
        raise UserError(f"{args.catalog}: has no column `{missing[0]}`; make it again with build_catalog.")
    table = cube_moments.compare(catalog, paths_of(args.manifests, catalog), settings.line_frequency)
    files = cube_moments.ranges(table)
    write_table(args.table, table)
    with written_whole(args.text) as part:
        part.write_text(cube_moments.as_markdown(table, files))
    style.save(args.figure, moments.widths(table))
    compared = sum(not reason for reason in table["reason"]) if len(table) else 0
    say(f"{args.table}: {compared} of {len(table)} lines compared, in {len(files)} files")


def paths_of(manifests: list[str], catalog) -> dict[str, Path]:
    """Return the path of every file that a catalog names."""
    from skyloom.archive.manifest import read_manifest
    from skyloom.files import existing

    paths = {}
    for manifest in manifests:
        for row in read_manifest(manifest):
            paths[str(row["filename"])] = Path(str(row["path"]))
    for name in sorted(set(map(str, catalog["source_file"]))):
        if name not in paths:
            raise UserError(f"{manifests[0]}: {name}, a file of the catalog, is not listed here; give all manifests.")
        existing(paths[name], f"the file {name} of the catalog; run download_fits.py again")
    return paths


if __name__ == "__main__":
    run(main)
