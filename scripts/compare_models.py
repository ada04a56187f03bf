"""Set the measures of several models side by side: a table for programs (CSV) and one for people (Markdown)."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the metrics of each model and write the two tables."""
    parser = step_parser(__doc__)
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics (JSON) of evaluate.py, one a model")
    parser.add_argument("--table", required=True, help="scores with the ends of their intervals (CSV)")
    parser.add_argument("--text", required=True, help="the same to read (Markdown)")
    args = parser.parse_args(argv)

    from skyloom.files import read_json, write_table, written_whole
    from skyloom.learn import comparison

    models = [comparison.checked(read_json(path), path) for path in args.metrics]
    write_table(args.table, comparison.table(models))
    with written_whole(args.text) as part:
        part.write_text(comparison.text(models))
    say(f"{args.table}: {len(models)} models")


if __name__ == "__main__":
    run(main)
