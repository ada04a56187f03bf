"""Measure a calibrated chain on the test observations, which nothing was chosen by.

Writes every score with its interval (JSON), matched pairs with their residuals (ECSV), and a summary (CSV, Markdown).
"""

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections, truth and calibration, match, measure, and write the scores."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--detections", nargs="+", required=True, help="of the test observations (ECSV)")
    parser.add_argument("--truths", nargs="+", required=True, help="their truth (ECSV)")
    parser.add_argument("--calibration", required=True, help="of calibrate_detections.py (JSON)")
    parser.add_argument("--scores", required=True, help="every score (JSON)")
    parser.add_argument("--residuals", required=True, help="one row a matched source (ECSV)")
    parser.add_argument("--table", required=True, help="the summary (CSV)")
    parser.add_argument("--text", required=True, help="the summary (Markdown)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.catalog.tables import read_chunks
    from skyloom.files import write_json, write_table, written_whole
    from skyloom.learn import chains
    from skyloom.seeds import generator

    calibration = chains.read_calibration(args.calibration)
    needed = hook(args.case, "table_needs")()
    detections = read_chunks(args.detections, "detections", needed["detections"], needed["header"])
    truth = read_chunks(args.truths, "truth", needed["truth"])
    random = generator(args.seed, args.case, "score_detections")
    scores, residuals, table, text, said = hook(args.case, "score")(truth, detections, calibration, settings, random)
    write_json(args.scores, {"identity": calibration["identity"], "threshold": calibration["threshold"], **scores})
    write_table(args.residuals, residuals)
    write_table(args.table, table)
    with written_whole(args.text) as part:
        part.write_text(text)
    say(f"{args.case}: {said}")


if __name__ == "__main__":
    run(main)
