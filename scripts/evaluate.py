"""Measure a calibrated network, or ensemble, on the test set, which nothing was chosen by.

Writes every measure with its interval, the confusion matrix in counts, the curves and the reliability diagram (JSON),
and one row a test object (CSV: object_id, label, probability, logit, spread, candidate, split).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read networks, calibration and test set, measure, and write metrics and predictions."""
    parser = step_parser(__doc__, section="calibrate", seed=True)
    parser.add_argument("--model", required=True, help="name of the model, for the table")
    parser.add_argument("--models", nargs="+", required=True, help="trained networks (.keras), one a member")
    parser.add_argument("--calibration", required=True, help="their calibration (JSON) of calibrate.py")
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--metrics", required=True, help="the measures (JSON)")
    parser.add_argument("--predictions", required=True, help="one row a test object (CSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    from dataclasses import asdict

    from astropy.table import Table

    from skyloom.errors import UserError
    from skyloom.files import write_json, write_table
    from skyloom.learn import calibration, metrics, predict, store
    from skyloom.learn.datasets import read_split
    from skyloom.seeds import generator

    calibrated = calibration.read(args.calibration)
    models = store.load_members(args.models, calibrated, args.calibration)
    samples = read_split(args.dataset, "test")
    label = samples.y
    if len(set(label)) < 2:
        raise UserError(f"{args.dataset}: the test set has one class only; label more objects.")
    member_logit = predict.member_logits(models, samples.x, calibrated["all_orientations"])
    result = calibration.apply(calibrated, member_logit)

    values = metrics.scores(
        label,
        result.probability,
        result.candidate,
        prevalence=settings.prevalence,
        confidence=settings.confidence,
        bins=settings.bins,
        random=generator(args.seed, args.case, "evaluate", args.model),
    )
    table = metrics.confusion(label, result.candidate)
    write_json(
        args.metrics,
        {
            "model": args.model,
            "identity": calibrated["identity"],
            "split": "test",
            "samples": len(label),
            "positives": int(label.sum()),
            "threshold": calibrated["threshold"],
            "confidence": settings.confidence,
            "prevalence": settings.prevalence,
            "confusion": asdict(table),
            "values": {name: asdict(interval) for name, interval in values.items()},
            "reliability": metrics.reliability(label, result.probability, settings.bins, settings.confidence),
            **metrics.curves(label, result.probability),
        },
    )
    rows = Table(
        {
            "object_id": samples.id,
            "label": label,
            "probability": result.probability.round(6),
            "logit": result.logit.round(6),
            "spread": result.spread.round(6),
            "candidate": result.candidate.astype(int),
            "split": ["test"] * len(label),
        }
    )
    write_table(args.predictions, rows)
    say(
        f"{args.model}: {table.true_positive} of {int(label.sum())} found with {table.false_positive} false among "
        f"{len(label)} test objects; F1 {values['f1'].value:.3f}, "
        f"calibration error {values['calibration_error'].value:.3f}"
    )


if __name__ == "__main__":
    run(main)
