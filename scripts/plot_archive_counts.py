"""Draw what each filter of the archive search leaves, by science keyword."""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Read the counts and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--counts", required=True, help="rows after every filter (CSV, by query_archive)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_table
    from skyloom.plots import style
    from skyloom.plots.counts import filter_counts

    counts = read_table(args.counts, "counts of an archive search")
    missing = [name for name in ("step", "keyword", "observations", "files") if name not in counts.colnames]
    if missing or not len(counts):
        what = f"has no column `{missing[0]}`" if missing else "is empty"
        raise UserError(f"{args.counts}: {what}; make it again with query_archive.")
    style.save(args.output, filter_counts(counts))
    say(f"{args.output}: {len(set(counts['step']))} filters")


if __name__ == "__main__":
    run(main)
