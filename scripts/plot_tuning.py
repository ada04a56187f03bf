"""Draw the search for an optimiser and a learning rate: the validation loss of every trial."""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Read the trials and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument("--table", required=True, help="trials (CSV, by tune)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_table
    from skyloom.plots import style
    from skyloom.plots.tuning import tuning

    trials = read_table(args.table, "trials of a search")
    missing = [name for name in ("optimizer", "learning_rate", "val_loss", "state") if name not in trials.colnames]
    if missing or not len(trials):
        what = f"has no column `{missing[0]}`" if missing else "has no trials"
        raise UserError(f"{args.table}: {what}; make it again with tune.")
    style.save(args.output, tuning(trials))
    say(f"{args.output}: {len(trials)} trials")


if __name__ == "__main__":
    run(main)
