"""Compare optimisers and learning rates for a network, as the thesis did, by a seeded search (Optuna's TPE).

Each trial trains the model for a few epochs and is scored by its lowest validation loss. The table (CSV) has one row
a trial: trial, optimizer, learning_rate, val_loss, accuracy, epoch, state; the best row comes first.
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read the training set, search, and write the table of trials."""
    parser = step_parser(__doc__, section="tune", seed=True)
    parser.add_argument(
        "--model-settings", help="the tuned model's settings as JSON text or a YAML file (default: the case's)"
    )
    parser.add_argument("--dataset", required=True, help="training set (HDF5) of build_dataset.py")
    parser.add_argument("--table", required=True, help="one row a trial (CSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.config.load import section_settings

    name = settings.model or section_settings(args.case, "catalog_model", None)
    model = section_settings(args.case, f"models.{name}", args.model_settings)

    from skyloom.learn import backend

    backend.start(model.threads)

    from skyloom.files import write_table
    from skyloom.learn import tuning
    from skyloom.learn.datasets import open_split

    with open_split(args.dataset, "train") as train, open_split(args.dataset, "validation") as validation:
        table = tuning.search(model, settings, train, validation, (args.seed, args.case, "tune", name))
    write_table(args.table, table)
    best = table[0]
    say(
        f"{args.table}: best of {len(table)} trials is {best['optimizer']} at {best['learning_rate']:.2g} "
        f"(validation loss {best['val_loss']:.4f})"
    )


if __name__ == "__main__":
    run(main)
