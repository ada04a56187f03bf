"""Draw how complete, pure and exact the detections in the test cubes are (three figures, PNG)."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the scores and residuals and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--scores", required=True, help="scores of score_detections.py (JSON)")
    parser.add_argument("--residuals", required=True, help="matched pairs of score_detections.py (ECSV)")
    parser.add_argument("--completeness", required=True, help="figure: completeness and purity against S/N (PNG)")
    parser.add_argument("--differences", required=True, help="figure: what was measured against the truth (PNG)")
    parser.add_argument("--coverage", required=True, help="figure: whether the errors hold (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_json, read_table
    from skyloom.learn.chains import with_entries
    from skyloom.plots import detections, style

    parts = ("3d", "residuals")
    scores = with_entries(read_json(args.scores), parts, args.scores, "the scores of a chain")
    rows = read_table(args.residuals, "residuals")
    summary = scores["residuals"]
    style.save(args.completeness, detections.completeness_purity({"chain": scores}))
    style.save(args.differences, detections.residuals(rows, summary))
    style.save(args.coverage, detections.coverage(summary))
    say(f"{args.completeness}, {args.differences}, {args.coverage}")


if __name__ == "__main__":
    run(main)
