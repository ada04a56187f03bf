"""Search one shard of simulated radio images with a classical finder of diffuse emission. No truth is read by it.

Writes one row an island (ECSV), measured as those of the networks are, and the seconds a field (CSV).
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every field of the shard, or the first ones, and write the detections."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--finder", required=True, help="pybdsf, smoothed_residual or photutils")
    parser.add_argument("--observations", required=True, help="simulated fields (HDF5) of simulate.py")
    parser.add_argument("--most", type=int, help="search the first fields only, so many (default: all)")
    parser.add_argument("--output", required=True, help="one row an island (ECSV)")
    parser.add_argument("--times", required=True, help="seconds a field (CSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from itertools import islice

    from astropy.table import Table

    from skyloom.detect.radio_peers import FINDERS
    from skyloom.errors import UserError
    from skyloom.files import write_table
    from skyloom.learn import field_peers, field_tables

    if args.finder not in FINDERS:
        raise UserError(f"--finder: there is no `{args.finder}`; there are {', '.join(FINDERS)}.")
    store = hook(args.case, "store")()
    count = min(store.count(args.observations), args.most or store.count(args.observations))
    rows, total = [], 0.0
    for number, field in progress(islice(store.read(args.observations), count), count, "fields"):
        found, seconds = field_peers.search_with(FINDERS[args.finder], field, settings)
        total += seconds
        rows += [{"cube": number, **row} for row in field_tables.with_truth(found, field.mask)]
    table = field_tables.detection_table(rows)
    table.meta = {"cubes": count}
    write_table(args.output, table)
    write_table(args.times, Table({"stage": ["all"], "seconds": [round(total / max(count, 1), 4)]}))
    say(f"{args.output}: {len(rows) - count} islands in {count} fields by {args.finder}, {total / count:.2f} s a field")


if __name__ == "__main__":
    run(main)
