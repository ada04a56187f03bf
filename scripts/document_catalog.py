"""Write the reference page of the catalog from the definition of its columns."""

from skyloom.cli import run, say, step_parser


def main(argv=None) -> None:
    """Write `docs/catalog.md`."""
    parser = step_parser(__doc__)
    parser.add_argument("--columns", default="resources/columns.yaml", help="column definition (default: %(default)s)")
    parser.add_argument("--output", default="docs/catalog.md", help="the page (default: %(default)s)")
    args = parser.parse_args(argv)

    from skyloom.catalog.columns import read_columns
    from skyloom.catalog.reference import page
    from skyloom.files import written_whole

    with written_whole(args.output) as part:
        part.write_text(page(read_columns(args.columns)), encoding="utf-8")
    say(f"{args.output}: written")


if __name__ == "__main__":
    run(main)
