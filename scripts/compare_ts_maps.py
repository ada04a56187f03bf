"""Put a chain of networks and maps of the test statistic side by side on the same gamma-ray patches.

The threshold of each is chosen on the validation patches for the same purity. Writes a table for the test patches
(CSV), the same for people (two files in Markdown), and a figure (PNG).
"""

from skyloom.cli import run, say, step_parser, step_settings
from skyloom.errors import UserError


def main(argv=None):
    """Read what was found and the truth, choose thresholds, measure, and write table, text and figure."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--names", nargs="+", required=True, help="who searched, first the chain of networks")
    for split in ("validation", "test"):
        parser.add_argument(
            f"--{split}", nargs="+", required=True, help="what they found (ECSV), shards of each in turn"
        )
        parser.add_argument(f"--{split}-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--shards", type=int, nargs="+", help="first shards of each of --names (default: all)")
    parser.add_argument("--times", nargs="+", required=True, help="of all test shards of the chain (CSV)")
    parser.add_argument("--table", required=True, help="a row a way, region of the sky and bin of the flux (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--by-flux", required=True, help="completeness and purity of each by the flux (Markdown)")
    parser.add_argument("--figure", required=True, help="completeness and purity of each (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom.catalog.tables import read_chunks
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.learn import patch_calibration, patch_comparison
    from skyloom.plots import patch_peers, style

    splits = ("validation", "test")
    shards = args.shards or [len(args.test_truths)] * len(args.names)
    for split in splits:
        if len(shards) != len(args.names) or len(getattr(args, split)) != sum(shards):
            raise UserError(f"--{split}, --shards: should have the shards of each of --names; give every file once.")
    seconds = [float(row["seconds"]) for path in args.times for row in read_table(path) if row["stage"] == "all"]
    results = {}
    for number, name in enumerate(args.names):
        first, count = sum(shards[:number]), shards[number]
        truth, found = {}, {}
        for split in splits:
            needed = ["cube", "x", "y", "flux", "snr", "core", "tracer", "lat"]
            truth[split] = read_chunks(getattr(args, f"{split}_truths")[:count], "truth", needed)
            files = getattr(args, split)[first : first + count]
            found[split] = read_chunks(files, "sources", ["cube", "x", "y", "score", "flux", "lat"], ["pixel"])
        if number == 0:
            calibration = patch_calibration.calibrate(truth["validation"], found["validation"], settings)
            found["test"] = patch_calibration.apply(calibration, found["test"])
            threshold, time = calibration["threshold"], float(np.mean(seconds))
        else:
            own = patch_comparison.own_sky(truth["validation"], found["validation"])
            threshold = patch_comparison.threshold_of(*own, settings.purity)
            time = float(found["test"].meta["seconds_per_patch"])
        results[name] = patch_comparison.results(truth["test"], found["test"], threshold, time, settings.confidence)
        if number == 0 and min(shards) < count:
            # Beside those that have searched fewer patches, the chain is told for these alone, too.
            few = read_chunks(args.test[: min(shards)], "sources", [], ["pixel"])
            same = read_chunks(args.test_truths[: min(shards)], "truth", needed)
            few = patch_calibration.apply(calibration, few)
            results[f"{name}, same patches"] = patch_comparison.results(same, few, threshold, time, settings.confidence)
    write_table(args.table, patch_comparison.table(results))
    with written_whole(args.text) as part:
        part.write_text(patch_comparison.as_markdown(results, settings.purity, settings.confidence))
    with written_whole(args.by_flux) as part:
        part.write_text(patch_comparison.by_flux_markdown(results))
    style.save(args.figure, patch_peers.comparison(results))
    for name, one in results.items():
        whole = one["regions"]["all"]["bins"][0]
        shares = ", ".join(f"{key} {whole[key]['value'] or 0:.3f}" for key in ("completeness", "purity"))
        say(f"{name}: {shares}, {one['seconds']:.2f} s a patch")


if __name__ == "__main__":
    run(main)
