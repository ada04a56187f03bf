"""Draw how gamma-ray sources are found in patches of the sky, measured and told apart, and some patches (PNG)."""

from skyloom.cli import run, say, step_parser

FIGURES = {
    "patches": "patches with their sources",
    "purity": "completeness and purity",
    "flux": "fluxes and their bias",
    "positions": "errors of the positions",
    "roc": "true or false, and the kinds",
    "tracers": "what changes with the model of the diffuse emission",
}
LATITUDES = (2.0, 15.0, 45.0)
"""The patches nearest to these latitudes, without their sign, are shown [deg]."""


def main(argv=None):
    """Read the scores, the residuals and a shard of patches, and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--scores", required=True, help="scores of score_detections.py (JSON)")
    parser.add_argument("--residuals", required=True, help="matched pairs of score_detections.py (ECSV)")
    parser.add_argument("--others", required=True, help="those of the same sky with the other tracer (ECSV)")
    parser.add_argument("--observations", required=True, help="a shard of simulated patches (HDF5)")
    parser.add_argument("--truth", required=True, help="their truth (ECSV)")
    parser.add_argument("--detections", required=True, help="what was found in them (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    for name, what in FIGURES.items():
        parser.add_argument(f"--{name}", required=True, help=f"figure: {what} (PNG)")
    args = parser.parse_args(argv)

    from skyloom.learn import backend

    backend.start(1)
    from skyloom.files import read_json, read_table
    from skyloom.images import patch_store as store_of_patches
    from skyloom.learn import chains, patch_calibration, patch_search, store
    from skyloom.plots import patches, style

    calibration = chains.read_calibration(args.calibration)
    parts = ("found", "real", "residuals", "flux", "kinds")
    scores = chains.with_entries(read_json(args.scores), parts, args.scores, "the scores of a search of patches")
    rows, others = (read_table(path, "residuals") for path in (args.residuals, args.others))
    network = store.load_model(chains.chain_files(args.models, ("map",))["map"])
    found = patch_calibration.apply(calibration, read_table(args.detections, "detections"))
    truth = read_table(args.truth, "truth")
    wanted = nearest(truth, LATITUDES)
    shown = {}
    for number, one in store_of_patches.read(args.observations):
        if number in wanted:
            sources = patch_search.source_map(one, network)
            shown[number] = one, sources, found[found["cube"] == number], truth[truth["cube"] == number]
    style.save(args.patches, patches.patches([shown[number] for number in wanted if number in shown]))
    style.save(args.purity, patches.purity(scores["found"]))
    style.save(args.flux, patches.flux(scores, rows))
    style.save(args.positions, patches.positions(scores, rows))
    style.save(args.roc, patches.roc(scores, calibration))
    style.save(args.tracers, patches.tracers(rows, others))
    say(", ".join(getattr(args, name) for name in FIGURES))


def nearest(truth, latitudes) -> list[int]:
    """Return the numbers of the patches whose sources lie nearest to some latitudes, without their sign [deg]."""
    import numpy as np

    numbers, place = np.unique(np.asarray(truth["cube"]), return_inverse=True)
    latitude = np.abs(np.bincount(place, np.asarray(truth["lat"], float)) / np.bincount(place)) if len(place) else []
    chosen = []
    for wanted in latitudes:
        order = np.argsort(np.abs(np.asarray(latitude) - wanted), kind="stable")
        chosen += [int(numbers[row]) for row in order if int(numbers[row]) not in chosen][:1]
    return chosen


if __name__ == "__main__":
    run(main)
