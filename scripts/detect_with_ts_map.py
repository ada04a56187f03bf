"""Search one shard of simulated gamma-ray patches with gammapy's maps of the test statistic, to compare networks with.

The search is told the instrument and the diffuse emission: with `ts_map` as it is in truth, with `ts_map_other_tracer`
as another tracer of the gas has it, scaled to the counts. Patches that are seen upon the other tracer already are left
out. Writes one row a source (ECSV), with the number of patches and the seconds a patch in its header.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings
from skyloom.errors import UserError

ESTIMATORS = ("ts_map", "ts_map_other_tracer")


def main(argv=None):
    """Search every patch of the shard and write what was found."""
    parser = step_parser(__doc__, section="simulate", seed=True)
    parser.add_argument("--estimator", required=True, help=" or ".join(ESTIMATORS))
    parser.add_argument("--patches", required=True, help="simulated patches (HDF5) of simulate.py")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--output", required=True, help="one row a source (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)
    if args.estimator not in ESTIMATORS:
        raise UserError(f"--estimator: there is no `{args.estimator}`; there are {', '.join(ESTIMATORS)}.")

    import time

    from astropy.table import vstack

    from skyloom.detect import lat_peers
    from skyloom.files import write_table

    survey = hook(args.case, "responses_of")(settings.observation, args.instruments)
    known, drawn = lat_peers.Known(survey), hook(args.case, "drawn_field")
    patches = hook(args.case, "store")()
    split, total = patches.split_of(args.patches), patches.count(args.patches)
    tables, seconds, patch = [lat_peers.table([])], 0.0, None
    searched = 0
    for number, patch in progress(patches.read(args.patches), total, "patches"):
        field, _ = drawn(settings, split, number, args.seed, survey)
        if field.tracer != settings.sky.tracer:
            continue
        if args.estimator == "ts_map":
            background = lat_peers.true_background(field, survey)
        else:
            background = lat_peers.other_background(field, survey, patch, settings.sky.other)
        start = time.perf_counter()
        found = lat_peers.ts_map(patch, known, background)
        seconds += time.perf_counter() - start
        searched += 1
        found["cube"] = [number] * len(found)
        tables.append(found)
    if not searched:
        raise UserError(f"{args.patches}: no patch is seen upon `sky.tracer`; give a shard of another split.")
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = {"cubes": searched, "pixel": patch.pixel, "seconds_per_patch": round(seconds / searched, 3)}
    write_table(args.output, table)
    say(f"{args.output}: {len(table)} sources in {searched} patches, {seconds / searched:.1f} s a patch")


if __name__ == "__main__":
    run(main)
