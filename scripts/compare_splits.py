"""Put the scores of a chain on its test observations beside those in other settings, such as none has trained on.

Writes a table (CSV, Markdown).
"""

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the scores and write the table."""
    parser = step_parser(__doc__)
    parser.add_argument("--case", required=True, help="science case")
    parser.add_argument("--names", nargs="+", required=True, help="of the splits")
    parser.add_argument("--scores", nargs="+", required=True, help="of score_detections.py (JSON), in the same order")
    parser.add_argument("--residuals", nargs="+", required=True, help="of score_detections.py (ECSV), in this order")
    parser.add_argument("--table", required=True, help="one row a split (CSV)")
    parser.add_argument("--text", required=True, help="the same (Markdown)")
    args = parser.parse_args(argv)

    from skyloom.errors import UserError
    from skyloom.files import read_json, read_table, write_table, written_whole
    from skyloom.learn import chains

    for name, paths in (("scores", args.scores), ("residuals", args.residuals)):
        if len(paths) != len(args.names):
            raise UserError(f"--{name}: {len(paths)} files for {len(args.names)} --names; give one for each.")
    parts = hook(args.case, "table_needs")()["scores"]
    scores = {
        name: chains.with_entries(read_json(path), parts, path, "the scores of a search")
        for name, path in zip(args.names, args.scores, strict=True)
    }
    residuals = {name: read_table(path, "residuals") for name, path in zip(args.names, args.residuals, strict=True)}
    table, text = hook(args.case, "compare_splits")(scores, residuals)
    write_table(args.table, table)
    with written_whole(args.text) as part:
        part.write_text(text)
    say(f"{args.table}: {len(table)} splits")


if __name__ == "__main__":
    run(main)
