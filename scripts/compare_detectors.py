"""Put detectors side by side on the same test cubes, with the same matching.

The threshold of each is chosen on the validation cubes for the same purity, after those that are chains of networks are
calibrated there. Writes a table, another of completeness and purity against S/N (CSV, Markdown), and a figure (PNG).
"""

from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Read detections and truth, choose thresholds, measure, and write table and figure."""
    parser = step_parser(__doc__, section="search", seed=True)
    parser.add_argument("--names", nargs="+", required=True, help="the detectors")
    parser.add_argument("--chains", nargs="*", default=[], help="which of them are chains of networks")
    parser.add_argument("--validation", nargs="+", required=True, help="detections (ECSV), all shards of each in turn")
    parser.add_argument("--shards", type=int, nargs="+", help="validation shards of each of --names (default: all)")
    parser.add_argument("--test", nargs="+", required=True, help="the same of the test cubes")
    parser.add_argument("--validation-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--test-truths", nargs="+", required=True, help="truth of each shard (ECSV)")
    parser.add_argument("--times", nargs="*", default=[], help="of all test shards of each of --chains in turn (CSV)")
    parser.add_argument("--table", required=True, help="one row a detector (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--by-snr", required=True, help="completeness and purity against S/N (CSV)")
    parser.add_argument("--by-snr-text", required=True, help="the same for people (Markdown)")
    parser.add_argument("--figure", required=True, help="completeness and purity against S/N (PNG)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    import numpy as np

    from skyloom.catalog.tables import read_chunks
    from skyloom.detect.match_sources import match_sources
    from skyloom.errors import UserError
    from skyloom.files import read_table, write_table, written_whole
    from skyloom.learn import detection_calibration, detection_scores
    from skyloom.learn.detection_summary import comparison_markdown, snr_markdown
    from skyloom.plots import detections, style
    from skyloom.seeds import generator

    shards = len(args.test_truths)
    chosen_by = args.shards or [len(args.validation_truths)] * len(args.names)
    if len(chosen_by) != len(args.names):
        raise UserError(f"--shards: {len(chosen_by)} numbers for {len(args.names)} --names; give one for each.")
    if len(args.test) != shards * len(args.names) or len(args.validation) != sum(chosen_by):
        raise UserError("--validation, --test: should have all shards of each of --names; give every file once.")
    if len(args.times) != shards * len(args.chains):
        raise UserError("--times: should have all shards of each of --chains; give every file once.")
    if unknown := set(args.chains) - set(args.names):
        raise UserError(f"--chains: {', '.join(sorted(unknown))} is none of --names; name detectors that are compared.")
    needed = ["cube", "x", "y", "score", "snr"]
    truth = read_chunks(args.test_truths, "truth", needed[:3])
    results, times = {}, {}
    for number, name in enumerate(args.names):
        paths = args.test[number * shards : (number + 1) * shards]
        first, count = sum(chosen_by[:number]), chosen_by[number]
        found = read_chunks(paths, "detections", needed)
        chosen = read_chunks(args.validation[first : first + count], "detections", needed)
        known = read_chunks(args.validation_truths[:count], "truth", needed[:3])
        if name in args.chains and not (match_sources(known, chosen, spectral=True) >= 0).any():
            # Networks that have learnt nothing are a result: nothing is found.
            say(f"{name}: no source of the validation cubes was found, so that nothing is taken for one")
            found, threshold = detection_calibration.apply({}, found[:0]), 1.0
        elif name in args.chains:
            calibration = detection_calibration.calibrate(known, chosen, settings)
            found = detection_calibration.apply(calibration, found)
            threshold = calibration["threshold"]
        else:
            threshold = detection_scores.choose_threshold(
                known,
                chosen,
                match_sources(known, chosen, spectral=True),
                settings.purity,
                detection_calibration.CERTAINTY,
            ).score
        metas = [read_table(path, "detections").meta for path in paths]
        cubes = sum(meta["cubes"] for meta in metas)
        if name in args.chains:
            first = args.chains.index(name) * shards
            times[name] = [seconds_of(read_table(path, "times")) for path in args.times[first : first + shards]]
            seconds = [stages["all"] for stages in times[name]]
        else:
            seconds = [meta["seconds_per_cube"] for meta in metas]
        results[name] = detection_scores.detector_scores(
            truth,
            found,
            threshold,
            beam_fwhm=metas[0]["beam_fwhm"],
            random=generator(args.seed, args.case, "compare_detectors", name),
            seconds_per_cube=float(np.mean(seconds)),
            confidence=settings.confidence,
        )
    table = detection_scores.comparison_table(results)
    write_table(args.table, table)
    by_snr = detection_scores.snr_table(results)
    write_table(args.by_snr, by_snr)
    with written_whole(args.by_snr_text) as part:
        part.write_text(snr_markdown(by_snr))
    with written_whole(args.text) as part:
        part.write_text(comparison_markdown(table, cubes, len(truth), settings.purity, times.get(args.names[0])))
    style.save(args.figure, detections.completeness_purity(results))
    for row in table:
        shares = [f"{name} {float(np.ma.filled(row[f'{name}_3d'], np.nan)):.3f}" for name in ("completeness", "purity")]
        say(f"{row['detector']}: {', '.join(shares)} in the cube")


def seconds_of(times):
    """Return the seconds a cube of each stage, and of all of them."""
    return {str(row["stage"]): float(row["seconds"]) for row in times}


if __name__ == "__main__":
    run(main)
