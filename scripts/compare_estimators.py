"""Put a chain of networks and other estimators side by side on the same maps, with the same matching.

The threshold of each is chosen on the validation maps for the same number of false candidates a map. Writes a table for
the test maps and the maps of the published setting (CSV, Markdown), and a figure (PNG).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read candidates and truth, choose thresholds, measure, and write table and figure."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--names", nargs="+", required=True, help="the estimators, first the chain of networks")
    for split in ("validation", "test", "published"):
        parser.add_argument(
            f"--{split}", nargs="+", required=True, help="candidates (ECSV), all shards of each in turn"
        )
        parser.add_argument(f"--{split}-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--shards", type=int, nargs="+", help="first shards of each of --names (default: all)")
    parser.add_argument("--times", nargs="+", required=True, help="of all test shards of the chain (CSV)")
    parser.add_argument("--table", required=True, help="one row an estimator (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--figure", required=True, help="completeness and positions of each (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom.catalog.tables import read_chunks
    from skyloom.errors import UserError
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.learn import map_calibration, map_comparison
    from skyloom.plots import gamma, style
    from skyloom.seeds import generator

    splits = ("validation", "test", "published")
    shards = args.shards or [len(args.test_truths)] * len(args.names)
    for split in splits:
        if len(shards) != len(args.names) or len(getattr(args, split)) != sum(shards):
            raise UserError(f"--{split}, --shards: should have the shards of each of --names; give every file once.")
    seconds = [float(row["seconds"]) for path in args.times for row in read_table(path) if row["stage"] == "all"]
    results = {}
    for number, name in enumerate(args.names):
        first, count = sum(shards[:number]), shards[number]
        truth = {
            split: read_chunks(getattr(args, f"{split}_truths")[:count], "truth", ["cube", "x", "y", "snr"])
            for split in splits
        }
        found = {
            split: read_chunks(
                getattr(args, split)[first : first + count], "candidates", ["cube", "x", "y", "score"], ["pixel"]
            )
            for split in splits
        }
        if number == 0:
            calibration = map_calibration.calibrate(truth["validation"], found["validation"], settings)
            found = {split: map_calibration.apply(calibration, table) for split, table in found.items()}
            threshold, time = calibration["threshold"], float(np.mean(seconds))
        else:
            threshold = map_calibration.threshold_of(truth["validation"], found["validation"], settings.false_rate)
            time = found["test"].meta["seconds_per_map"]
        random = generator(args.seed, args.case, "compare_estimators", name)
        results[name] = map_comparison.results(truth, found, threshold, time, settings.confidence, random)
    table = map_comparison.table(results)
    write_table(args.table, table)
    with written_whole(args.text) as part:
        part.write_text(map_comparison.as_markdown(table, results, settings.false_rate))
    style.save(args.figure, gamma.comparison(results))
    for row in table:
        median = row["published_median"]
        say(f"{row['name']}: completeness {row['completeness']:.3f}, published median {median:.4f} deg")


if __name__ == "__main__":
    run(main)
