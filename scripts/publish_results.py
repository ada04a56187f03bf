"""Copy what the README shows of a case from a finished run: the scores into README.md, the gallery into images/."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--scores", required=True, help="scores.md of compare_models")
    parser.add_argument("--figure", required=True, help="gallery of candidates (PNG)")
    parser.add_argument("--readme", default="README.md", help="page to change (default: %(default)s)")
    parser.add_argument("--scores-copy", required=True, help="where the scores go, for the test that compares them")
    parser.add_argument("--figure-copy", required=True, help="where the figure goes")
    args = parser.parse_args(argv)

    from pathlib import Path

    from skyloom.errors import UserError
    from skyloom.files import existing, written_whole

    begin, end = "<!-- scores:begin -->", "<!-- scores:end -->"
    scores = existing(args.scores, "the scores of compare_models").read_text()
    readme = Path(args.readme)
    text = readme.read_text()
    if begin not in text or end not in text:
        raise UserError(f"{readme}: has no line `{begin}` or `{end}`; put them where the scores belong.")
    head, tail = text.split(begin)[0], text.split(end)[1]
    for path, content in (
        (readme, f"{head}{begin}\n{scores.strip()}\n{end}{tail}".encode()),
        (args.scores_copy, scores.encode()),
        (args.figure_copy, existing(args.figure, "the gallery").read_bytes()),
    ):
        with written_whole(path) as part:
            part.write_bytes(content)
    say(f"README.md shows {args.scores}")


if __name__ == "__main__":
    run(main)
