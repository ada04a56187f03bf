"""Search one shard of simulated cubes as DECORAS does, with two autoencoders that have to agree. No truth is read.

Writes one row a detection (ECSV), with the number of cubes and the seconds a cube in its header.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Search every cube of the shard and write the detections."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs=2, required=True, help="the two autoencoders (.keras)")
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5) of simulate.py")
    parser.add_argument("--output", required=True, help="one row a detection (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    from skyloom.detect.line_search import map_input
    from skyloom.detect.peers import decoras_detections
    from skyloom.detect.timed import detections_in
    from skyloom.files import existing, write_table
    from skyloom.learn import store
    from skyloom.learn.predict import outputs

    networks = [store.load_model(existing(path, "the autoencoder")) for path in args.models]

    def find(cube, number):
        given = map_input(cube.integrated())[None]
        return decoras_detections(*(outputs(network, given, 1)[0, ..., 0] for network in networks), cube, number)

    table = detections_in(args.cubes, find)
    write_table(args.output, table)
    found, cubes, seconds = len(table), table.meta["cubes"], table.meta["seconds_per_cube"]
    say(f"{args.output}: {found} detections in {cubes} cubes by decoras, {seconds:.2f} s a cube")


if __name__ == "__main__":
    run(main)
