"""Copy what the README shows of a case from a finished run: a table into README.md, a figure into images/."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--name", required=True, help="of the case, whose table stands between <!-- NAME:begin --> and :end"
    )
    parser.add_argument("--shown", required=True, help="table for the README (Markdown)")
    parser.add_argument("--page", nargs="+", required=True, help="all that the case's page of scores holds (Markdown)")
    parser.add_argument("--figure", required=True, help="the case's picture (PNG)")
    parser.add_argument("--readme", default="README.md", help="page to change (default: %(default)s)")
    parser.add_argument("--page-copy", required=True, help="where the page goes")
    parser.add_argument("--figure-copy", required=True, help="where the figure goes")
    args = parser.parse_args(argv)

    from pathlib import Path

    from skyloom.errors import UserError
    from skyloom.files import existing, written_whole

    begin, end = f"<!-- {args.name}:begin -->", f"<!-- {args.name}:end -->"
    shown = existing(args.shown, "the table").read_text().strip()
    page = "\n".join(existing(path, "the scores").read_text() for path in args.page)
    readme = Path(args.readme)
    text = readme.read_text()
    if begin not in text or end not in text:
        raise UserError(f"{readme}: has no line `{begin}` or `{end}`; put them where the scores belong.")
    head, tail = text.split(begin)[0], text.split(end)[1]
    for path, content in (
        (readme, f"{head}{begin}\n{shown}\n{end}{tail}".encode()),
        (args.page_copy, page.encode()),
        (args.figure_copy, existing(args.figure, "the figure").read_bytes()),
    ):
        with written_whole(path) as part:
            part.write_bytes(content)
    say(f"README.md shows {args.shown}")


if __name__ == "__main__":
    run(main)
