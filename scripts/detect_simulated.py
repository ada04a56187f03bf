"""Search one shard of simulated cubes with a chain of networks. The truth is not read.

Writes one row a detection (ECSV), not calibrated, with the time of each stage in its header.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings


def main(argv=None):
    """Search every cube of the shard and write the detections."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    import time

    from skyloom.files import write_table
    from skyloom.images.cube_store import count_cubes, read_cubes
    from skyloom.learn import store

    networks = {role: store.load_model(path) for role, _, path in (item.partition("=") for item in args.models)}
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
    each = ", ".join(f"{name} {value / total:.2f} s" for name, value in stages.items())
    say(f"{args.output}: {len(table)} detections in {total} cubes, {seconds / total:.2f} s a cube ({each})")


if __name__ == "__main__":
    run(main)
