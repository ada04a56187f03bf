"""Train a model with one part of the augmentation switched off, and measure what is lost.

The variant's augmented samples are made by augment.py with the variant's settings; here they take the place of those in
the training set. The training is repeated with other seeds, since one is mostly luck. Writes the measures (JSON).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read both sets, train and measure each repeat, and write the measures."""
    parser = step_parser(__doc__, section="calibrate", seed=True)
    parser.add_argument("--model", required=True, help="name of the model in the case's settings, e.g. windnet")
    parser.add_argument(
        "--model-settings", help="the model's settings as JSON text or a YAML file (default: the case's)"
    )
    parser.add_argument("--variant", required=True, help="name of the variant (skyloom/learn/variants.py)")
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--augmented", required=True, help="the variant's augmented samples (HDF5) of augment.py")
    parser.add_argument("--repeats", type=int, default=3, help="trainings with seeds apart (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="epochs of each training (default: the model's)")
    parser.add_argument("--output", required=True, help="the measures (JSON)")
    args = parser.parse_args(argv)
    calibrate = step_settings(args)

    import difflib

    from skyloom.config.load import section_settings
    from skyloom.errors import UserError
    from skyloom.learn.variants import VARIANTS, changed

    if args.variant not in VARIANTS:
        near = difflib.get_close_matches(args.variant, VARIANTS, n=1, cutoff=0)
        raise UserError(f"--variant: there is no variant `{args.variant}`; did you mean `{near[0]}`?")
    model = section_settings(args.case, f"models.{args.model}", args.model_settings)
    length = {"epochs": args.epochs} if args.epochs else {}
    model = model.model_validate({**changed(model.model_dump(), args.variant, "model"), **length})

    from skyloom.learn import backend

    backend.start(model.threads)

    from skyloom.files import write_json
    from skyloom.learn import ablation
    from skyloom.learn.datasets import read_split

    training = ablation.with_augmented(read_split(args.dataset, "train"), read_split(args.augmented, "train"))
    validation, test = read_split(args.dataset, "validation"), read_split(args.dataset, "test")
    repeats = []
    for repeat in range(args.repeats):
        # The variant is no part of the seed: variants differ by what is switched off only.
        keys = (args.seed, args.case, "ablate", args.model, repeat)
        repeats.append(ablation.measured(model, calibrate, training, validation, test, keys))
    write_json(args.output, {"variant": args.variant, "samples": len(training), "repeats": repeats})
    say(f"{args.output}: {args.variant}, {len(training)} samples, {args.repeats} trainings")


if __name__ == "__main__":
    run(main)
