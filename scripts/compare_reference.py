"""Compare a case's catalog with one of known sources: completeness, purity, and what chance matches.

The known sources are those that the settings name as `reference`. Writes a table (CSV), the same for people (Markdown)
and a figure (PNG).
"""

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError

CONFIDENCE = 0.68
FLUX = "photon_flux"


def main(argv=None):
    """Read both catalogs, match them, and write table, text and figure."""
    parser = step_parser(__doc__, section="reference")
    parser.add_argument("--catalog", required=True, help="the case's catalog (ECSV)")
    parser.add_argument("--moc", required=True, help="the area that was searched (FITS)")
    parser.add_argument("--table", required=True, help="one row a part of the sky and bin of the flux (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--figure", required=True, help="the sky, and completeness and purity against flux (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)
    if not settings.file:
        raise UserError(f"`cases.{args.case}.reference.file` is null; name a catalog of known sources to compare with.")

    from pathlib import Path

    import numpy as np

    from skyloom.catalog.counterparts import read_reference
    from skyloom.catalog.footprint import read_area
    from skyloom.catalog.reference_scores import as_markdown, compare
    from skyloom.config.schema import in_unit
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.plots import reference, style

    catalog = read_table(args.catalog, "a catalog")
    missing = [name for name in ("ra", "dec", "probability", "candidate") if name not in catalog.colnames]
    if missing:
        raise UserError(f"{args.catalog}: has no column `{missing[0]}`; make it again with build_catalog.")
    known = read_reference(settings.file, settings.name, settings.ra, settings.dec, settings.flux, settings.extended)
    flags = np.ma.filled(np.ma.asarray(catalog["flags"]).astype(object), "") if "flags" in catalog.colnames else None
    chosen = np.asarray(catalog["candidate"], bool)
    if flags is not None:
        chosen &= np.array(["duplicate" not in str(value).split(";") for value in flags], dtype=bool)
    found = catalog["ra", "dec", "probability"][chosen]
    if FLUX in catalog.colnames:
        found["flux"] = catalog[FLUX][chosen]
    radius = in_unit(settings.radius, "deg")
    result = compare(found, known, read_area(args.moc), radius, CONFIDENCE)
    unit = str(known["flux"].unit or "") if settings.flux else ""
    write_table(args.table, result["rows"])
    with written_whole(args.text) as part:
        part.write_text(as_markdown(result, (Path(settings.file).name, unit), radius))
    style.save(args.figure, reference.comparison(result, unit))
    for row in result["rows"]:
        if np.isinf(row["flux_high"]):
            say(
                f"{row['part']}: {row['hit']} of {row['known']} known sources found, {row['candidates']} candidates, "
                f"{row['unmatched']} unmatched, {row['expected_false']:.1f} expected to be false"
            )


if __name__ == "__main__":
    run(main)
