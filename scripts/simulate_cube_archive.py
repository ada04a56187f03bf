"""Simulate one shard of the embedded archive of a case that searches observations: FITS, ObsCore rows, the truth.

The files come as an observatory would give them; the observations are others than those that train, calibrate and test
the networks. Shard K of N has the observations K, K + N, K + 2N, ...
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser
from skyloom.errors import UserError


def main(argv=None):
    """Simulate one shard."""
    parser = step_parser(__doc__, section="embedded", seed=True)
    parser.add_argument("--all-settings", help="simulate and embedded settings of the case (JSON)")
    parser.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--products", required=True, help="output: the product files, a tar")
    parser.add_argument("--obscore", required=True, help="output: the archive's table, ECSV")
    parser.add_argument("--truth", required=True, help="output: what was simulated, ECSV")
    args = parser.parse_args(argv)

    from skyloom.config.load import parts_settings

    settings = parts_settings(args.case, ("simulate", "embedded"), args.all_settings)
    embedded = settings.embedded
    if not 0 <= args.shard < embedded.shards or embedded.fields < embedded.shards:
        raise UserError(
            f"--shard {args.shard}: should be from 0 to {embedded.shards - 1}, and embedded.fields at least the shards."
        )

    from skyloom.files import write_table, written_whole
    from skyloom.instruments import products

    numbers = range(args.shard, embedded.fields, embedded.shards)
    archived = hook(args.case, "archived")(settings, numbers, args.seed, args.instruments)
    obscore, truth = [], []
    with written_whole(args.products) as part, products.Tar(part) as tar:
        for number, files, searched, entries, rows in progress(archived, len(numbers), "observations"):
            for name in sorted(files):
                tar.add(name, files[name])
            obscore += entries
            names = {"filename": searched, "target_name": entries[0]["target_name"]}
            truth += [{**names, "cube": number, **row} for row in rows]
    write_table(args.obscore, products.as_table(obscore, products.OBSCORE_UNITS))
    write_table(args.truth, hook(args.case, "truth_table")(truth))
    say(f"{len(numbers)} observations: {tar.count} files, {len(obscore)} archive rows, {len(truth)} sources")


if __name__ == "__main__":
    run(main)
