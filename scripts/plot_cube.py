"""Draw one simulated cube with what was found in it: image, spectra, and each source in its own channels (PNG)."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the first cube of a shard, its detections and its truth, and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--cubes", required=True, help="simulated cubes (HDF5)")
    parser.add_argument("--truth", required=True, help="their truth (ECSV)")
    parser.add_argument("--detections", required=True, help="what was found in them (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_table
    from skyloom.images import cube_store
    from skyloom.learn import chains, detection_calibration
    from skyloom.plots import detections, style

    calibration = chains.read_calibration(args.calibration)
    found = detection_calibration.apply(calibration, read_table(args.detections, "detections"))
    truth = read_table(args.truth, "truth")
    number, cube = next(cube_store.read(args.cubes))
    found = found[(found["cube"] == number) & found["candidate"]]
    figure = detections.example(cube, found, truth[truth["cube"] == number], f"test cube {number}")
    style.save(args.output, figure)
    say(f"{args.output}: cube {number}, {len(found)} sources found")


if __name__ == "__main__":
    run(main)
