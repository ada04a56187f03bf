"""Search one shard of simulated cubes with a classical source finder, to compare the networks with. No truth is read.

Writes one row a detection (ECSV), with the number of cubes and the seconds a cube in its header.
"""

from skyloom.cli import progress, run, say, step_parser


def main(argv=None):
    """Search every cube of the shard and write the detections."""
    parser = step_parser(__doc__)
    parser.add_argument("--peer", required=True, help="photutils, pybdsf, matched_filter_3d or sofia")
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    args = parser.parse_args(argv)

    import time

    from astropy.table import vstack

    from skyloom.detect.peers import PEERS
    from skyloom.errors import UserError
    from skyloom.files import write_table
    from skyloom.images.cube_store import count_cubes, read_cubes

    if args.peer not in PEERS:
        raise UserError(f"--peer: there is no `{args.peer}`; there are {', '.join(PEERS)}.")
    tables, seconds, total = [], 0.0, count_cubes(args.cubes)
    for number, cube in progress(read_cubes(args.cubes), total, "cubes"):
        start = time.perf_counter()
        tables.append(PEERS[args.peer](cube, number))
        seconds += time.perf_counter() - start
    table = vstack(tables, metadata_conflicts="silent")
    beam = float((cube.beam[0] * cube.beam[1]) ** 0.5)
    table.meta = {"cubes": total, "beam_fwhm": beam, "seconds_per_cube": round(seconds / total, 3)}
    write_table(args.output, table)
    say(f"{args.output}: {len(table)} detections in {total} cubes by {args.peer}, {seconds / total:.2f} s a cube")


if __name__ == "__main__":
    run(main)
