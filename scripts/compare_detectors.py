"""Put the chain of networks and its classical peers side by side on the same test cubes, with the same matching.

The threshold of each is chosen on the validation cubes for the same purity. Writes a table (CSV), and a figure of
completeness and purity against S/N (PNG).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections and truth, choose thresholds, measure, and write table and figure."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--names", nargs="+", required=True, help="the detectors, the chain first")
    parser.add_argument("--validation", nargs="+", required=True, help="detections (ECSV), all shards of each in turn")
    parser.add_argument("--test", nargs="+", required=True, help="the same of the test cubes")
    parser.add_argument("--validation-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--test-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--calibration", required=True, help="of the chain (JSON)")
    parser.add_argument("--table", required=True, help="one row a detector (CSV)")
    parser.add_argument("--figure", required=True, help="completeness and purity against S/N (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.catalog.tables import read_chunks
    from skyloom.detect.match_sources import match_sources
    from skyloom.errors import UserError
    from skyloom.files import read_json, read_table, write_table
    from skyloom.learn import detection_calibration, detection_scores
    from skyloom.plots import detections, style
    from skyloom.seeds import generator

    shards = len(args.test_truths)
    if len(args.test) != shards * len(args.names) or len(args.validation) != len(args.names) * len(
        args.validation_truths
    ):
        raise UserError("--validation, --test: should have all shards of each of --names; give every file once.")
    calibration = read_json(args.calibration)
    needed = ["cube", "x", "y", "score", "snr"]
    truth = read_chunks(args.test_truths, "truth", needed[:3])
    known = read_chunks(args.validation_truths, "truth", needed[:3])
    results = {}
    for number, name in enumerate(args.names):
        paths = args.test[number * shards : (number + 1) * shards]
        count = len(args.validation_truths)
        found = read_chunks(paths, "detections", needed)
        chosen = read_chunks(args.validation[number * count : (number + 1) * count], "detections", needed)
        if number == 0:
            found = detection_calibration.apply(calibration, found)
            threshold = calibration["threshold"]
        else:
            threshold = detection_scores.choose_threshold(
                known,
                chosen,
                match_sources(known, chosen, spectral=True),
                settings.purity,
                detection_calibration.CERTAINTY,
            ).score
        metas = [read_table(path, "detections").meta for path in paths]
        seconds = [meta["seconds_per_cube"] for meta in metas if "seconds_per_cube" in meta]
        results[name] = detection_scores.detector_scores(
            truth,
            found,
            threshold,
            beam_fwhm=metas[0]["beam_fwhm"],
            random=generator(args.seed, args.case, "compare_detectors", name),
            seconds_per_cube=sum(seconds) / len(seconds) if seconds else None,
            confidence=settings.confidence,
        )
    table = detection_scores.comparison_table(results)
    write_table(args.table, table)
    style.save(args.figure, detections.completeness_purity(results))
    for row in table:
        say(f"{row['detector']}: completeness {row['completeness_3d']:.3f}, purity {row['purity_3d']:.3f} in the cube")


if __name__ == "__main__":
    run(main)
