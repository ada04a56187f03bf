"""Locate the source in one shard of simulated counts maps with the published networks, to compare others with them.

Writes one row a map (ECSV), with the significance within 0.2 deg of the place, and the number of maps and the seconds a
map in its header. A map is taken to have one source, as in the original.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every map of the shard and write the candidates."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of cleaner and regressor (.keras)")
    parser.add_argument("--maps", required=True, help="simulated counts maps (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a map (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    import time

    from astropy.table import vstack

    from skyloom.detect.gamma_peers import photometry_on_ring
    from skyloom.files import write_table
    from skyloom.learn import chains, heatmaps, store

    files = chains.chain_files(args.models, ("heatmap", "place"))
    networks = {role: store.load_model(path) for role, path in files.items()}
    observations = hook(args.case, "store")()
    total, tables, seconds = observations.count(args.maps), [], 0.0
    for number, observed in progress(observations.read(args.maps), total, "maps"):
        start = time.perf_counter()
        place = heatmaps.locate(observed, networks)
        seconds += time.perf_counter() - start
        found = photometry_on_ring(observed, *place)
        found.add_column([number] * len(found), name="cube", index=0)
        tables.append(found)
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = {"cubes": total, "pixel": observed.pixel, "seconds_per_map": round(seconds / total, 5)}
    write_table(args.output, table)
    say(f"{args.output}: {total} maps, {1e3 * seconds / total:.1f} ms a map")


if __name__ == "__main__":
    run(main)
