"""Copy scores of a finished run into a page, and a case's table into docs/scores.md and its figure into images/."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--page", nargs="+", required=True, help="all that the page of scores holds (Markdown)")
    parser.add_argument("--page-copy", required=True, help="where the page goes")
    shown = parser.add_argument_group("of a case, all or none")
    shown.add_argument("--name", help="of the case, whose table stands between <!-- NAME:begin --> and :end")
    shown.add_argument("--shown", help="table for the page of all cases (Markdown)")
    shown.add_argument("--figure", help="the case's picture (PNG)")
    shown.add_argument("--figure-copy", help="where the figure goes")
    parser.add_argument("--scores", default="docs/scores.md", help="page of all cases (default: %(default)s)")
    args = parser.parse_args(argv)
    given = [value is not None for value in (args.name, args.shown, args.figure, args.figure_copy)]
    if any(given) and not all(given):
        parser.error("--name, --shown, --figure and --figure-copy go together")

    from pathlib import Path

    from skyloom.errors import UserError
    from skyloom.files import existing, written_whole

    page = "\n".join(existing(path, "the scores").read_text() for path in args.page)
    copies = {args.page_copy: page.encode()}
    if args.name:
        begin, end = f"<!-- {args.name}:begin -->", f"<!-- {args.name}:end -->"
        table = existing(args.shown, "the table").read_text().strip()
        text = Path(args.scores).read_text()
        if begin not in text or end not in text:
            raise UserError(f"{args.scores}: has no line `{begin}` or `{end}`; put them where the scores belong.")
        head, tail = text.split(begin)[0], text.split(end)[1]
        copies[args.scores] = f"{head}{begin}\n{table}\n{end}{tail}".encode()
        copies[args.figure_copy] = existing(args.figure, "the figure").read_bytes()
    for path, content in copies.items():
        with written_whole(path) as part:
            part.write_bytes(content)
    say(f"written: {', '.join(copies)}")


if __name__ == "__main__":
    run(main)
