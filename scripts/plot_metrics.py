"""Draw how good the networks are on the test set: confusion matrices, ROC and purity curves, reliability diagram."""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError

NEEDED = ("model", "threshold", "confusion", "values", "reliability", "roc", "pr")


def main(argv=None) -> None:
    """Read the metrics of the models and draw three figures."""
    parser = step_parser(__doc__)
    parser.add_argument("--metrics", nargs="+", required=True, help="metrics (JSON) of evaluate.py, one a model")
    parser.add_argument("--confusion", required=True, help="figure of the confusion matrices (PNG)")
    parser.add_argument("--curves", required=True, help="figure of the ROC and the purity-completeness curves (PNG)")
    parser.add_argument("--reliability", required=True, help="figure of the reliability diagram (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_json
    from skyloom.plots import scores, style

    models = [read_json(path) for path in args.metrics]
    for path, metrics in zip(args.metrics, models, strict=True):
        missing = [key for key in NEEDED if key not in metrics]
        if missing:
            raise UserError(f"{path}: has no `{missing[0]}`, so it is not a metrics file; make it by evaluate.py.")
    style.save(args.confusion, scores.confusion(models))
    style.save(args.curves, scores.curves(models))
    style.save(args.reliability, scores.reliability(models))
    say(f"{args.confusion}, {args.curves}, {args.reliability}: {len(models)} models")


if __name__ == "__main__":
    run(main)
