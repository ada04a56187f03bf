"""Draw how training went: loss, and accuracy or error, by epoch for every member of every model (PNG, Markdown)."""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError

NEEDED = ("epoch", "loss", "val_loss")


def main(argv=None) -> None:
    """Read the histories and draw them."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--histories", nargs="+", required=True, help="histories by train.py, named MODEL_MEMBER.history.csv"
    )
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    parser.add_argument("--text", help="error or accuracy after 1, 2, 4, ... passes (Markdown; default: none)")
    args = parser.parse_args(argv)

    import re
    from pathlib import Path

    from skyloom.files import read_table, written_whole
    from skyloom.learn import learning_curves
    from skyloom.plots import style
    from skyloom.plots.training import MEASURES, training

    histories = []
    for path in args.histories:
        history = read_table(path, "a training history")
        missing = [name for name in NEEDED if name not in history.colnames]
        missing += [] if any(name in history.colnames for name in MEASURES) else list(MEASURES)[:1]
        if missing:
            raise UserError(f"{path}: has no column `{missing[0]}`, so it is not a training history; train again.")
        if not len(history):
            raise UserError(f"{path}: has no epochs; train again.")
        histories.append((re.sub(r"_\d+$", "", Path(path).name.partition(".")[0]), history))
    style.save(args.output, training(histories))
    if args.text:
        with written_whole(args.text) as part:
            part.write_text(learning_curves.as_markdown(histories))
    say(f"{args.output}: {len(histories)} trainings")


if __name__ == "__main__":
    run(main)
