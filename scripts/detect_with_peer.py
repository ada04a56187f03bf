"""Search one shard of simulated cubes with a classical source finder, to compare the networks with. No truth is read.

Writes one row a detection (ECSV), with the number of cubes and the seconds a cube in its header.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Search every cube of the shard and write the detections."""
    parser = step_parser(__doc__)
    parser.add_argument("--peer", required=True, help="photutils, pybdsf, matched_filter_3d or sofia")
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    args = parser.parse_args(argv)

    from skyloom.detect.peers import PEERS
    from skyloom.detect.timed import detections_in
    from skyloom.errors import UserError
    from skyloom.files import write_table

    if args.peer not in PEERS:
        raise UserError(f"--peer: there is no `{args.peer}`; there are {', '.join(PEERS)}.")
    table = detections_in(args.cubes, PEERS[args.peer])
    write_table(args.output, table)
    found, cubes, seconds = len(table), table.meta["cubes"], table.meta["seconds_per_cube"]
    say(f"{args.output}: {found} detections in {cubes} cubes by {args.peer}, {seconds:.2f} s a cube")


if __name__ == "__main__":
    run(main)
