"""Simulate one shard of a case's cubes, and their truth.

What a cube holds depends on its split, its number and the run's seed, not on the shards: shard K of N has the cubes
K, K + N, K + 2N, ... Writes the cubes (HDF5, in units of their noise) and one row a source (ECSV).
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings
from skyloom.errors import UserError

SPLITS = ("train", "validation", "test")


def main(argv=None):
    """Simulate one shard."""
    parser = step_parser(__doc__, section="simulate", seed=True)
    parser.add_argument("--split", required=True, choices=SPLITS, help="what the cubes are for")
    parser.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")
    parser.add_argument("--arrays", default="resources/arrays", help="folder of antenna tables (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the cubes (HDF5)")
    parser.add_argument("--truth", required=True, help="one row a source (ECSV)")
    args = parser.parse_args(argv)
    settings = step_settings(args)
    if not 0 <= args.shard < settings.shards:
        raise UserError(f"--shard {args.shard}: should be from 0 to {settings.shards - 1}, one less than `shards`.")

    from skyloom import __version__
    from skyloom.config.identity import settings_hash
    from skyloom.detect.simulated_cubes import truth_table
    from skyloom.files import write_table
    from skyloom.images.cube_store import write_cubes

    made = hook(args.case, "simulate")(settings, args.split, args.shard, args.seed, args.arrays)
    total = len(range(args.shard, getattr(settings, args.split), settings.shards))
    if not total:
        raise UserError(
            f"simulate.{args.split}: {getattr(settings, args.split)} cubes are fewer than the {settings.shards} "
            "shards; lower `simulate.shards`."
        )
    rows = []

    def cubes():
        for number, cube, truth in progress(made, total, "cubes"):
            rows.extend({"cube": number, **row} for row in truth)
            yield number, cube

    attrs = {"case": args.case, "seed": args.seed, "split": args.split, "version": __version__}
    count = write_cubes(args.output, cubes(), attrs | {"config_hash": settings_hash(settings)})
    write_table(args.truth, truth_table(rows))
    say(f"{args.output}: {count} cubes with {len(rows)} sources")


if __name__ == "__main__":
    run(main)
