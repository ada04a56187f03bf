"""Search one shard of simulated cubes with a chain of networks. The truth is not read.

Writes one row a detection (ECSV), not calibrated, and the time of each stage (CSV), which no two runs have alike.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every cube of the shard and write the detections."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    parser.add_argument("--times", help="seconds a cube of each stage, and of all of them (CSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    import time

    from astropy.table import Table

    from skyloom.files import write_table
    from skyloom.images.cube_store import count_cubes, read_cubes
    from skyloom.learn import chains, store

    files = chains.chain_files(args.models, chains.SEARCHING)
    networks = {role: store.load_model(path) for role, path in files.items()}
    search, table_of = hook(args.case, "search_cube"), hook(args.case, "detection_table")
    rows, seconds, stages = [], 0.0, {}
    total = count_cubes(args.cubes)
    for number, cube in progress(read_cubes(args.cubes), total, "cubes"):
        start = time.perf_counter()
        found = search(cube, networks, settings, stages)
        seconds += time.perf_counter() - start
        rows += [{"cube": number, **row} for row in found]
    table = table_of(rows)
    beam = cube.beam
    table.meta = {"cubes": total, "beam_fwhm": float((beam[0] * beam[1]) ** 0.5)}
    write_table(args.output, table)
    if args.times:
        times = {**stages, "all": seconds}
        each = [round(value / total, 4) for value in times.values()]
        write_table(args.times, Table({"stage": list(times), "seconds": each}))
    each = ", ".join(f"{name} {value / total:.2f} s" for name, value in stages.items())
    say(f"{args.output}: {len(table)} detections in {total} cubes, {seconds / total:.2f} s a cube ({each})")


if __name__ == "__main__":
    run(main)
