"""Draw how sources are found in counts maps, how near and how unbiased, and one map with its sources (PNG)."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the scores, the residuals and the first maps of a shard, and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--scores", required=True, help="scores of score_detections.py (JSON)")
    parser.add_argument("--residuals", required=True, help="matched pairs of score_detections.py (ECSV)")
    parser.add_argument("--maps", required=True, help="simulated counts maps (HDF5)")
    parser.add_argument("--truth", required=True, help="their truth (ECSV)")
    parser.add_argument("--detections", required=True, help="what was found in them (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--location", required=True, help="figure: completeness, positions and probabilities (PNG)")
    parser.add_argument("--bias", required=True, help="figure: bias of the photons (PNG)")
    parser.add_argument("--sources", required=True, help="figure: maps with their sources (PNG)")
    args = parser.parse_args(argv)

    from skyloom.learn import backend

    backend.start(1)
    from itertools import islice

    from skyloom.files import read_json, read_table
    from skyloom.images import map_store
    from skyloom.images.counts import binned
    from skyloom.learn import chains, map_calibration, map_search, store
    from skyloom.plots import gamma, style

    calibration = chains.read_calibration(args.calibration)
    parts = ("found", "residuals", "bias", "probability")
    scores = chains.with_entries(read_json(args.scores), parts, args.scores, "the scores of a search of maps")
    network = store.load_model(chains.chain_files(args.models, ("map",))["map"])
    found = map_calibration.apply(calibration, read_table(args.detections, "detections"))
    found, truth = found[found["candidate"]], read_table(args.truth, "truth")
    shown = []
    for number, one in islice(map_store.read(args.maps), gamma.SHOWN):
        photons = map_search.clean(binned(one.counts), network)
        shown.append((one, photons, found[found["cube"] == number], truth[truth["cube"] == number]))
    style.save(args.location, gamma.location(scores, read_table(args.residuals, "residuals")))
    style.save(args.bias, gamma.bias(scores["bias"]))
    style.save(args.sources, gamma.sources(shown))
    say(f"{args.location}, {args.bias}, {args.sources}")


if __name__ == "__main__":
    run(main)
