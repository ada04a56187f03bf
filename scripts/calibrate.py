"""Calibrate a network, or an ensemble, on the validation set.

Fits the temperature and bias that make probabilities of logits, and chooses the lowest threshold with the wanted
purity. The result (JSON) holds all that is needed to apply the networks, and the hash of the weights it belongs to.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read the networks and the validation set, calibrate, and write the calibration."""
    parser = step_parser(__doc__, section="calibrate")
    parser.add_argument("--models", nargs="+", required=True, help="trained networks (.keras), one a member")
    parser.add_argument("--model", help="what to call the model (default: the first file's name, less the member)")
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--output", required=True, help="the calibration (JSON)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    import re
    from dataclasses import asdict
    from pathlib import Path

    from skyloom.errors import UserError
    from skyloom.files import write_json
    from skyloom.learn import calibration, metrics, predict, store
    from skyloom.learn.datasets import read_split

    models = [store.load_model(path) for path in args.models]
    hashes = [store.weights_sha256(model) for model in models]
    name = args.model or re.sub(r"_\d+$", "", Path(args.models[0]).stem)
    samples = read_split(args.dataset, "validation")
    label = samples.y
    if len(set(label)) < 2:
        raise UserError(f"{args.dataset}: the validation set has one class only; label more objects.")

    logit = predict.member_logits(models, samples.x, settings.all_orientations).mean(axis=0)
    scale = calibration.fit_scale(logit, label)
    probability = scale.probability(logit)
    threshold = calibration.choose_threshold(probability, label, settings.purity, settings.confidence)

    raw = calibration.Scale(1.0, 0.0).probability(logit)
    write_json(
        args.output,
        {
            "model": name,
            "identity": store.identity(name, hashes),
            "weights_sha256": hashes,
            "all_orientations": settings.all_orientations,
            "temperature": scale.temperature,
            "bias": scale.bias,
            "threshold": threshold.probability,
            "wanted_purity": settings.purity,
            "reached": threshold.reached,
            "confidence": settings.confidence,
            "validation": {
                "samples": len(label),
                "positives": int(label.sum()),
                "candidates": threshold.candidates,
                "purity": asdict(threshold.purity),
                "completeness": asdict(threshold.completeness),
                "calibration_error_before": metrics.calibration_error(label, raw, settings.bins),
                "calibration_error": metrics.calibration_error(label, probability, settings.bins),
                "reliability": metrics.reliability(label, probability, settings.bins, settings.confidence),
            },
        },
    )
    if not threshold.reached:
        say(f"warning: no threshold has a purity of {settings.purity} on the validation set; the purest is taken")
    say(
        f"{args.output}: temperature {scale.temperature:.3f}, bias {scale.bias:+.3f}, threshold "
        f"{threshold.probability:.3f} ({threshold.candidates} of {len(label)} are candidates)"
    )


if __name__ == "__main__":
    run(main)
