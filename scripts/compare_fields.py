"""Put searches for diffuse emission side by side on the same test fields, with the same scores.

Each is calibrated, and its thresholds are chosen, on its own detections in the validation fields. Writes a table (CSV,
Markdown) and a figure.
"""

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections and truth, calibrate, measure, and write the tables."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--names", nargs="+", required=True, help="the searches")
    parser.add_argument("--validation", nargs="+", required=True, help="detections (ECSV), all shards of each in turn")
    parser.add_argument("--test", nargs="+", required=True, help="the same of the test fields")
    parser.add_argument("--validation-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--test-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--times", nargs="*", default=[], help="seconds a field, all test shards of each in turn (CSV)")
    parser.add_argument("--table", required=True, help="one row a search (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--figure", help="accuracy, and overlap by surface brightness, of each (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom.catalog.tables import read_chunks
    from skyloom.errors import UserError
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.learn import field_calibration, field_scores
    from skyloom.seeds import generator

    count = len(args.names)
    for option, paths, shards in (
        ("--validation", args.validation, len(args.validation_truths)),
        ("--test", args.test, len(args.test_truths)),
        *([("--times", args.times, len(args.test_truths))] if args.times else []),
    ):
        if len(paths) != count * shards:
            raise UserError(f"{option}: should have all shards of each of --names; give every file once.")
    needed = hook(args.case, "table_needs")()
    known, truth = (
        read_chunks(paths, "truth", needed["truth"]) for paths in (args.validation_truths, args.test_truths)
    )
    results = {}
    for number, name in enumerate(args.names):
        given, found = (
            read_chunks(part(paths, number, count), "detections", needed["detections"])
            for paths in (args.validation, args.test)
        )
        # One that takes long has searched fewer fields.
        if field_calibration.are_real(given).any():
            calibration = field_calibration.calibrate(of_searched(known, given), given, settings)
            found = field_calibration.apply(calibration, found)
        else:
            # That is a result, too: probabilities may be low and still differ.
            say(f"{name}: no island of the validation fields is emission, so that R alone tells of a field")
            calibration, found = field_calibration.by_region(of_searched(known, given), given, found, settings)
        random = generator(args.seed, args.case, "compare_fields", name)
        own = of_searched(truth, found)
        scores, _ = field_scores.scores(
            own,
            found,
            calibration,
            settings.level,
            settings.confidence,
            random,
        )
        if args.times:
            times = [read_table(path, "times") for path in part(args.times, number, count)]
            scores["seconds"] = float(np.mean([float(one["seconds"][one["stage"] == "all"][0]) for one in times]))
            if "megapixels" in own.colnames and scores["seconds"] > 0:
                size = {int(row["cube"]): float(row["megapixels"]) for row in own}
                scores["megapixels_per_second"] = float(np.mean(list(size.values()))) / scores["seconds"]
        results[name] = scores
        say(f"{name}: {field_scores.said(scores)}")
    table = field_scores.comparison_table(results)
    write_table(args.table, table)
    with written_whole(args.text) as aside:
        aside.write_text(field_scores.comparison_markdown(table))
    if args.figure:
        from skyloom.plots import radio, style

        style.save(args.figure, radio.comparison(results))


def of_searched(truth, detections):
    """Return the truth of the fields that were searched."""
    import numpy as np

    return truth[np.isin(np.asarray(truth["cube"]), np.unique(np.asarray(detections["cube"])))]


def part(paths, number, count):
    """Return the files of one of `count` searches."""
    each = len(paths) // count
    return paths[number * each : (number + 1) * each]


if __name__ == "__main__":
    run(main)
