"""Search one shard of simulated counts maps by other means than networks, to compare these with.

The estimators are told the instrument's response, and a likelihood fit the true background as well; none is told the
sources. Writes one row a candidate (ECSV), with the number of maps and the seconds a map in its header.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every map of the shard and write the candidates."""
    parser = step_parser(__doc__, section="simulate", seed=True)
    parser.add_argument("--estimator", required=True, help="excess_map, ts_map, likelihood_fit or aperture_photometry")
    parser.add_argument("--maps", required=True, help="simulated counts maps (HDF5) of simulate.py")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--output", required=True, help="one row a candidate (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import time

    from astropy.table import vstack

    from skyloom.detect.gamma_peers import ESTIMATORS, Known
    from skyloom.errors import UserError
    from skyloom.files import write_table
    from skyloom.images import map_store

    if args.estimator not in ESTIMATORS:
        raise UserError(f"--estimator: there is no `{args.estimator}`; there are {', '.join(ESTIMATORS)}.")
    find = ESTIMATORS[args.estimator]
    known = {
        name: Known(response, energies=settings.observation.energy)
        for name, response in hook(args.case, "responses_of")(settings.observation, args.instruments).items()
    }
    drawn = hook(args.case, "drawn_field")
    split, total = map_store.split_of(args.maps), map_store.count(args.maps)
    tables, seconds = [], 0.0
    for number, observed in progress(map_store.read(args.maps), total, "maps"):
        field, _ = drawn(settings, split, number, args.seed, list(known))
        told = known[field.response]
        background = told.response.expected_background(field.background, field.time)
        start = time.perf_counter()
        found = find(observed, told, background)
        seconds += time.perf_counter() - start
        found.add_column([number] * len(found), name="cube", index=0)
        tables.append(found)
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = {"cubes": total, "pixel": observed.pixel, "seconds_per_map": round(seconds / total, 5)}
    write_table(args.output, table)
    say(f"{args.output}: {len(table)} candidates in {total} maps, {1e3 * seconds / total:.1f} ms a map")


if __name__ == "__main__":
    run(main)
