"""Simulate one shard of a case's observations, and their truth.

What an observation holds depends on its split, its number and the run's seed, not on the shards: shard K of N has the
observations K, K + N, K + 2N, ... Writes the observations (HDF5) and one row a source (ECSV).
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings
from skyloom.errors import UserError

SPLITS = ("train", "validation", "test")


def main(argv=None):
    """Simulate one shard."""
    parser = step_parser(__doc__, section="simulate", seed=True)
    parser.add_argument("--split", required=True, help="what the observations are for, e.g. train")
    parser.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the observations (HDF5)")
    parser.add_argument("--truth", required=True, help="one row a source (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)
    known = [*SPLITS, *hook(args.case, "other_splits")(settings)]
    if args.split not in known:
        raise UserError(f"--split {args.split}: should be one of {', '.join(known)}.")
    if not 0 <= args.shard < settings.shards:
        raise UserError(f"--shard {args.shard}: should be from 0 to {settings.shards - 1}, one less than `shards`.")

    from skyloom import __version__
    from skyloom.config.identity import settings_hash
    from skyloom.files import write_table

    made = hook(args.case, "simulate")(settings, args.split, args.shard, args.seed, args.instruments)
    total = len(range(args.shard, getattr(settings, args.split), settings.shards))
    if not total:
        raise UserError(
            f"simulate.{args.split}: {getattr(settings, args.split)} observations are fewer than the "
            f"{settings.shards} shards; lower `simulate.shards`."
        )
    rows = []

    def observations():
        for number, observation, truth in progress(made, total, "observations"):
            rows.extend({"cube": number, **row} for row in truth)
            yield number, observation

    attrs = {"case": args.case, "seed": args.seed, "split": args.split, "version": __version__}
    store = hook(args.case, "store")()
    count = store.write(args.output, observations(), attrs | {"config_hash": settings_hash(settings)})
    write_table(args.truth, hook(args.case, "truth_table")(rows))
    say(f"{args.output}: {count} observations with {len(rows)} sources")


if __name__ == "__main__":
    run(main)
