"""Make the examples that one network of a chain, or several of a kind, are trained on.

Most are simulated with the truth. Where networks come before in the chain, what they make of simulated observations is
added, for the fine-tuning. Writes a dataset (HDF5) with the groups train and validation, whose observations differ.
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser


def main(argv=None):
    """Simulate, search the observations with the networks given, and write the dataset."""
    parser = step_parser(__doc__, section="simulate", seed=True)
    parser.add_argument("--all-settings", help="simulate, examples and search settings of the case (JSON)")
    parser.add_argument("--dataset", required=True, help="name of the dataset, e.g. spectra")
    parser.add_argument("--models", nargs="*", default=[], help="ROLE=FILE of the networks that come before")
    parser.add_argument("--observations", nargs="*", default=[], help="simulated ones (HDF5), training ones first")
    parser.add_argument("--truths", nargs="*", default=[], help="their truth (ECSV), in the same order")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the dataset (HDF5)")
    args = parser.parse_args(argv)

    from skyloom.config.load import parts_settings

    settings = parts_settings(args.case, ("simulate", "examples", "search"), args.all_settings)

    from skyloom import __version__
    from skyloom.errors import UserError
    from skyloom.files import read_table
    from skyloom.learn import chains
    from skyloom.learn.datasets import write_dataset

    true_examples = hook(args.case, "true_examples")
    predicted_examples = hook(args.case, "predicted_examples")
    before = hook(args.case, "roles_before")(args.dataset)
    files = chains.chain_files(args.models, before if args.observations else ())
    shards, truths = args.observations, args.truths
    if len(shards) != len(truths):
        raise UserError(f"--truths: {len(truths)} for {len(shards)} files of --observations; give one for each.")
    observations = hook(args.case, "store")()
    splits = [observations.split_of(path) for path in shards]
    networks = {}
    if files:
        from skyloom.learn import backend

        backend.start(settings.search.threads)

        from skyloom.learn import store

        networks = {role: store.load_model(path) for role, path in files.items()}

    def samples_of(split):
        yield from true_examples(settings, args.dataset, split, args.seed, args.instruments, networks)
        for path, truth_path, purpose in zip(shards, truths, splits, strict=True):
            if purpose != split:
                continue
            truth = read_table(truth_path, "truth of observations")
            total = observations.count(path)
            for number, one in progress(observations.read(path), total, f"{split} observations"):
                name = f"{split}.cube_{number:06d}"
                found = predicted_examples(settings, args.dataset, one, truth[truth["cube"] == number], networks, name)
                if found is not None:
                    yield found

    targets = ",".join(hook(args.case, "example_targets")(args.dataset))
    attrs = {"case": args.case, "seed": args.seed, "version": __version__, "targets": targets}
    write_dataset(args.output, {split: samples_of(split) for split in ("train", "validation")}, attrs)
    say(f"{args.output}: examples of {args.dataset}, with {len(shards)} shards of observations for the fine-tuning")


if __name__ == "__main__":
    run(main)
