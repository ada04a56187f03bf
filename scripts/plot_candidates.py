"""Draw the best candidates of a catalog, or the network's mistakes, as a gallery of cutouts.

The palette shows S/N, linear near the noise and logarithmic above; grey is not observed. A white ellipse is the beam;
a coloured frame marks a candidate.
"""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError
from skyloom.images import VIEWS

NEEDED = ("id", "name", "probability", "candidate", "known", "flags")


def main(argv=None) -> None:
    """Read a catalog and its cutouts and draw the gallery."""
    parser = step_parser(__doc__)
    parser.add_argument("--catalog", required=True, help="catalog of one case (ECSV)")
    parser.add_argument("--cutouts", nargs="+", required=True, help="cutouts of each chunk (HDF5)")
    parser.add_argument("--pick", choices=["best", "mistakes"], default="best", help="which rows (default: best)")
    parser.add_argument("--view", choices=VIEWS, default="scaled", help="which cutout (default: scaled)")
    parser.add_argument("--columns", type=int, default=6, help="panels in a row (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=4, help="rows of panels at most (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)
    if min(args.columns, args.rows) < 1:
        raise UserError("--columns and --rows should be at least 1.")

    import numpy as np

    from skyloom.files import read_table
    from skyloom.images.store import joined, read_cutouts
    from skyloom.plots import gallery, style

    catalog = read_table(args.catalog, "a catalog")
    missing = [name for name in NEEDED if name not in catalog.colnames]
    if missing:
        raise UserError(f"{args.catalog}: has no column `{missing[0]}`; make it again with build_catalog.")
    pick = {"best": gallery.best, "mistakes": gallery.mistakes}[args.pick]
    rows = pick(catalog, args.columns * args.rows)
    wanted = set(map(str, rows["id"]))
    parts = []
    for path in args.cutouts:
        part, _ = read_cutouts(path)
        parts.append(part.take(np.isin(part.id, sorted(wanted))))
    cutouts = joined(parts)
    lost = sorted(wanted - set(cutouts.id))
    if lost:
        raise UserError(f"{args.catalog}: `{lost[0]}` is in none of the files of cutouts; give those of all chunks.")
    shown = gallery.panels(rows, cutouts, args.view)
    empty = {"best": "the catalog is empty", "mistakes": "every labelled row is right"}[args.pick]
    style.save(args.output, gallery.gallery(shown, args.columns, args.rows, empty))
    say(f"{args.output}: {len(shown)} cutouts")


if __name__ == "__main__":
    run(main)
