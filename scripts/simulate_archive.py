"""Simulate one shard of a case's embedded archive: image products in a tar, their ObsCore rows, and the truth.

Every field is observed through ALMA as the case describes it. What a field holds depends on its number and the run's
seed, not on the shards: shard K of N has the fields K, K + N, K + 2N, ...
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser, step_settings
from skyloom.errors import UserError


def main(argv=None):
    """Simulate one shard."""
    parser = step_parser(__doc__, section="embedded", seed=True)
    parser.add_argument("--shard", type=int, required=True, help="number of this shard, from 0")
    parser.add_argument("--shards", type=int, required=True, help="number of shards")
    parser.add_argument("--arrays", default="resources/arrays", help="folder of antenna tables (default: %(default)s)")
    parser.add_argument("--products", required=True, help="output: the product files, a tar")
    parser.add_argument("--obscore", required=True, help="output: the archive's table, ECSV")
    parser.add_argument("--truth", required=True, help="output: what was simulated, ECSV")
    args = parser.parse_args(argv)
    if not 0 <= args.shard < args.shards:
        raise UserError(f"--shard {args.shard}: should be from 0 to {args.shards - 1}, one less than --shards.")
    settings = step_settings(args)
    if settings.fields < args.shards:
        raise UserError(
            f"embedded.fields: {settings.fields} is less than the {args.shards} shards; lower embedded.shards."
        )
    if settings.smallest_image > settings.largest_image:
        raise UserError("embedded.smallest_image: should not be above embedded.largest_image; change one of the two.")

    from functools import cache

    from skyloom.files import write_table, written_whole
    from skyloom.instruments import alma, products, survey
    from skyloom.seeds import generator

    draw_target, draw_sky = hook(args.case, "draw_target"), hook(args.case, "draw_sky")
    antennas = cache(lambda configuration: alma.read_antennas(args.arrays, configuration))
    numbers = range(args.shard, settings.fields, args.shards)
    shard = survey.Shard()
    with written_whole(args.products) as part, products.Tar(part) as tar:
        for number in progress(numbers, len(numbers), "fields"):
            seeded = {
                name: generator(args.seed, args.case, "simulate_archive", name, number) for name in survey.STREAMS
            }
            target = draw_target(number, seeded["target"], settings, survey.wanted(number))
            survey.add_field(shard, number, target, draw_sky, settings, antennas, seeded, tar.add)
    write_table(args.obscore, products.as_table(shard.obscore, products.OBSCORE_UNITS))
    write_table(args.truth, products.as_table(shard.truth, survey.TRUTH_UNITS))
    positive = sum(row["is_wind"] for row in shard.truth)
    say(
        f"{len(numbers)} fields: {tar.count} files, {len(shard.obscore)} archive rows, "
        f"{len(shard.truth)} objects, {positive} of them positive."
    )


if __name__ == "__main__":
    run(main)
