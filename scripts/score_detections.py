"""Measure a calibrated chain on the test cubes, which nothing was chosen by.

Writes every score with its interval (JSON), matched pairs with their residuals (ECSV), and a summary (CSV, Markdown).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections, truth and calibration, match, measure, and write the scores."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--detections", nargs="+", required=True, help="of the test cubes (ECSV)")
    parser.add_argument("--truths", nargs="+", required=True, help="their truth (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--scores", required=True, help="every score (JSON)")
    parser.add_argument("--residuals", required=True, help="one row a matched source (ECSV)")
    parser.add_argument("--table", required=True, help="the summary (CSV)")
    parser.add_argument("--text", required=True, help="the summary (Markdown)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.catalog.tables import read_chunks
    from skyloom.detect.match_sources import accepted, match_sources
    from skyloom.files import write_json, write_table, written_whole
    from skyloom.learn import chains, detection_calibration, detection_scores, detection_summary
    from skyloom.seeds import generator

    calibration = chains.read_calibration(args.calibration)
    columns = ["cube", "x", "y", "score", "snr"]
    detections = read_chunks(args.detections, "detections", columns, ["beam_fwhm"])
    detections = detection_calibration.apply(calibration, detections)
    truth = read_chunks(args.truths, "truth", ["cube", "x", "y", "snr"])
    threshold = calibration["threshold"]
    scores = detection_scores.detector_scores(
        truth,
        detections,
        threshold,
        beam_fwhm=detections.meta["beam_fwhm"],
        random=generator(args.seed, args.case, "score_detections"),
        confidence=settings.confidence,
    )
    write_json(args.scores, {"identity": calibration["identity"], "threshold": threshold, **scores})
    kept = accepted(match_sources(truth, detections, spectral=True), detections, threshold)
    write_table(args.residuals, detection_scores.residuals(truth, detections, kept))
    rows = detection_summary.summary(scores)
    write_table(args.table, rows)
    with written_whole(args.text) as part:
        part.write_text(detection_summary.as_markdown(rows, len(set(truth["cube"])), len(truth), settings.confidence))
    found = scores["3d"]["detectable"]
    say(
        f"{args.case}: {len(truth)} sources; of those with S/N of at least 5 completeness "
        f"{found['completeness']['value'] or 0:.3f}, purity {found['purity']['value'] or 0:.3f}"
    )


if __name__ == "__main__":
    run(main)
