"""Write the acknowledgement that ALMA asks for, with the project codes of all files that were used."""

from skyloom.cli import run, say, step_parser


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--manifests", nargs="+", required=True, metavar="ECSV", help="lists of fetched files")
    parser.add_argument("--output", required=True, help="the text")
    args = parser.parse_args(argv)

    from skyloom.archive.acknowledge import acknowledgement, project_codes
    from skyloom.archive.manifest import FETCHED, read_manifest
    from skyloom.files import written_whole

    manifests = [read_manifest(path) for path in args.manifests]
    manifests = [table[table["status"] == FETCHED] for table in manifests]
    with written_whole(args.output) as part:
        part.write_text(acknowledgement(manifests))
    codes = {code for table in manifests for code in project_codes(table)}
    say(f"{sum(map(len, manifests))} files, {len(codes)} ALMA projects")


if __name__ == "__main__":
    run(main)
