"""Compare rule by rule what jobs asked for with what their benchmark files say they used.

One row (CSV) a rule: memory, time, threads and GPUs asked for; memory, seconds and CPU seconds used; the largest share
of a request that a job used. `remarks` names what is tight (more than 80 %) or far too much (less than 10 %), and the
files that could not be used.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Read the benchmark files of one run and write the table."""
    parser = step_parser(__doc__)
    parser.add_argument("--benchmarks", required=True, help="folder of the run's benchmark files")
    parser.add_argument("--table", required=True, help="the table (CSV)")
    args = parser.parse_args(argv)

    import csv
    from pathlib import Path

    from skyloom.errors import UserError
    from skyloom.files import written_whole
    from skyloom.workflow.benchmarks import COLUMNS, compare, read_benchmarks

    if not Path(args.benchmarks).is_dir():
        raise UserError(f"{args.benchmarks}: no such folder; it should hold the benchmark files of a run.")
    jobs, unusable = read_benchmarks(args.benchmarks)
    with written_whole(args.table) as part, part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(compare(jobs, unusable))
    for path, reason in unusable.items():
        say(f"warning: {path}: {reason}")
    say(f"{args.table}: {len(jobs)} jobs of {len({job.rule for job in jobs})} rules, {len(unusable)} files not used")


if __name__ == "__main__":
    run(main)
