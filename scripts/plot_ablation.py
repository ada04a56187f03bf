"""Draw what each part of the augmentation brings: how measures on the test set change where it is switched off."""

from skyloom.cli import run, say, step_parser
from skyloom.errors import UserError


def main(argv=None) -> None:
    """Read the table of variants and draw their differences."""
    parser = step_parser(__doc__)
    parser.add_argument("--table", required=True, help="measures of each variant (CSV, by merge_ablation)")
    parser.add_argument("--baseline", default="everything", help="variant to compare with (default: %(default)s)")
    parser.add_argument("--split", default="test", help="split that was measured (default: %(default)s)")
    parser.add_argument("--measures", nargs="+", default=["pr_auc", "f1"], help="measures (default: pr_auc f1)")
    parser.add_argument("--output", required=True, help="the figure (PNG)")
    args = parser.parse_args(argv)

    from skyloom.files import read_table
    from skyloom.learn.comparison import WORDS
    from skyloom.plots import style
    from skyloom.plots.ablation import ablation, changes

    table = read_table(args.table, "measures of an ablation")
    needed = ["variant", "split", "repeats", *[name + end for name in args.measures for end in ("", "_std")]]
    missing = [name for name in needed if name not in table.colnames]
    if missing:
        raise UserError(f"{args.table}: has no column `{missing[0]}`; make it again with merge_ablation.")
    measured = table[[str(split) == args.split for split in table["split"]]]
    variants = list(map(str, measured["variant"]))
    if args.baseline not in variants or len(variants) < 2:
        raise UserError(
            f"{args.table}: needs `{args.baseline}` and another variant on the split `{args.split}`, but has "
            f"{', '.join(variants) or 'none'}; run ablate for them."
        )
    found = {WORDS.get(name, name): changes(measured, name, args.baseline) for name in args.measures}
    style.save(args.output, ablation(found, args.baseline))
    say(f"{args.output}: {len(variants) - 1} variants against {args.baseline}")


if __name__ == "__main__":
    run(main)
