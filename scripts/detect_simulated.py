"""Search one shard of simulated observations with a chain of networks. The truth is not read.

Writes one row a detection (ECSV), not calibrated, and the time of each stage (CSV), which no two runs have alike.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every observation of the shard and write the detections."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--observations", required=True, help="simulated ones (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    parser.add_argument("--times", help="seconds an observation of each stage, and of all of them (CSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    import time

    from astropy.table import Table

    from skyloom.files import write_table
    from skyloom.learn import chains, store

    files = chains.chain_files(args.models, hook(args.case, "searching_roles")())
    networks = {role: store.load_model(path) for role, path in files.items()}
    observations, search = hook(args.case, "store")(), hook(args.case, "search_observation")
    rows, seconds, stages = [], 0.0, {}
    total = observations.count(args.observations)
    for number, observation in progress(observations.read(args.observations), total, "observations"):
        start = time.perf_counter()
        found = search(observation, networks, settings, stages)
        seconds += time.perf_counter() - start
        rows += [{"cube": number, **row} for row in found]
    table = hook(args.case, "detection_table")(rows, observation)
    table.meta = {"cubes": total, **table.meta}
    write_table(args.output, table)
    if args.times:
        times = {**stages, "all": seconds}
        each = [round(value / total, 4) for value in times.values()]
        write_table(args.times, Table({"stage": list(times), "seconds": each}))
    each = ", ".join(f"{name} {value / total:.2f} s" for name, value in stages.items())
    say(f"{args.output}: {len(table)} detections in {total} observations, {seconds / total:.2f} s each ({each})")


if __name__ == "__main__":
    run(main)
