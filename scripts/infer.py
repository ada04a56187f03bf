"""Classify the objects of one chunk of the archive.

Writes one row an object (ECSV: object_id, probability, spread, logit, candidate, model). The probability is
calibrated; the spread is the standard deviation of the members' probabilities, masked for a single network.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read networks, calibration and cutouts, classify, and write the predictions."""
    parser = step_parser(__doc__, section="models")
    parser.add_argument("--models", nargs="+", required=True, help="trained networks (.keras), one a member")
    parser.add_argument("--calibration", required=True, help="their calibration (JSON) of calibrate.py")
    parser.add_argument("--cutouts", required=True, help="cutouts of one chunk (HDF5) of crop.py")
    parser.add_argument("--output", required=True, help="one row an object (ECSV)")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that the job was given (default: %(default)s)")
    args = parser.parse_args(argv)

    from skyloom.learn import calibration

    calibrated = calibration.read(args.calibration)
    args.section = f"models.{calibrated['model']}"
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads, settings.device, args.gpus)

    from astropy.table import Column, MaskedColumn, Table

    from skyloom.files import write_table
    from skyloom.images.normalise import network_input
    from skyloom.images.store import read_cutouts
    from skyloom.learn import predict, store

    cutouts, _ = read_cutouts(args.cutouts)
    models = store.load_members(args.models, calibrated, args.calibration)
    images = network_input(cutouts.snr())
    result = calibration.apply(calibrated, predict.member_logits(models, images, calibrated["all_orientations"]))
    rows = Table(
        [
            Column(cutouts.id.astype(str), "object_id", description="Object, as in the table of objects"),
            Column(
                result.probability.round(6), "probability", description="Calibrated probability of the positive class"
            ),
            MaskedColumn(
                result.spread.round(6), "spread", description="Standard deviation of the members' probability"
            ),
            Column(result.logit.round(6), "logit", description="Mean log odds of the members, not calibrated"),
            Column(result.candidate, "candidate", description="Whether the probability reaches the threshold"),
            Column([calibrated["identity"]] * len(cutouts), "model", dtype=str, description="Model and its weights"),
        ]
    )
    rows.meta["threshold"] = calibrated["threshold"]
    write_table(args.output, rows)
    say(f"{args.output}: {int(result.candidate.sum())} candidates among {len(rows)} objects")


if __name__ == "__main__":
    run(main)
