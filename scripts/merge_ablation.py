"""Put the measures of all variants of the augmentation into one table.

One row (CSV) a variant and split, with the mean and the standard deviation of each measure over the repeats.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the measures of each variant and write the table."""
    parser = step_parser(__doc__)
    parser.add_argument("--results", nargs="+", required=True, help="measures (JSON) of ablate.py, one a variant")
    parser.add_argument("--table", required=True, help="the table (CSV)")
    args = parser.parse_args(argv)

    from skyloom.errors import UserError
    from skyloom.files import read_json, write_table
    from skyloom.learn import comparison

    results = [read_json(path) for path in args.results]
    for path, result in zip(args.results, results, strict=True):
        if "repeats" not in result:
            raise UserError(f"{path}: has no `repeats`, so ablate.py did not write it; make it again.")
    write_table(args.table, comparison.ablation_table(results))
    say(f"{args.table}: {len(results)} variants")


if __name__ == "__main__":
    run(main)
