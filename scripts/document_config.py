"""Write the reference page of the configuration from its schema."""

from pathlib import Path

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Write `docs/configuration.md`."""
    parser = step_parser(__doc__)
    parser.add_argument("--output", default="docs/configuration.md", help="the page (default: %(default)s)")
    args = parser.parse_args(argv)

    from skyloom.config.docs import reference
    from skyloom.files import written_whole

    with written_whole(args.output) as part:
        part.write_text(reference(), encoding="utf-8")
    say(f"{Path(args.output)}: written")


if __name__ == "__main__":
    run(main)
