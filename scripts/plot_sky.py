"""Draw a map of the sky: searched fields, objects and candidates."""

from skyloom.cli import run, say, step_parser


def main(argv=None) -> None:
    """Read fields and catalog and draw the map."""
    parser = step_parser(__doc__)
    parser.add_argument("--fields", nargs="+", required=True, help="searched files of each chunk (ECSV, by crop)")
    parser.add_argument("--catalog", required=True, help="catalog of one case (ECSV)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    from skyloom.catalog.tables import read_chunks
    from skyloom.plots import style
    from skyloom.plots.sky import sky_map

    fields = read_chunks(args.fields, "fields", ["status", "ra", "dec"])
    catalog = read_chunks([args.catalog], "catalog rows", ["ra", "dec", "candidate"])
    style.save(args.output, sky_map(fields, catalog))
    say(f"{args.output}: {len(fields)} fields, {len(catalog)} objects")


if __name__ == "__main__":
    run(main)
