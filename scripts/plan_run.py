"""Print what a run would do, why, and what it will cost, before anything is submitted or run.

All arguments but --archive-files go to Snakemake, of which this is a dry run: targets, --configfile, --profile,
--cores, --jobs, --forcerun and so on. The cost comes from the benchmark files of all runs in logs/, scaled by the
configurations or by the size of the inputs; a rule without one is counted with the time that it asks for, which is an
upper bound.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Plan, estimate and print."""
    parser = step_parser(__doc__)
    parser.add_argument(
        "--archive-files", type=int, help="number of files of an archive that was not asked yet (local, alma)"
    )
    args, arguments = parser.parse_known_args(argv)

    from pathlib import Path

    import yaml

    from skyloom.config.load import load
    from skyloom.workflow import plan
    from skyloom.workflow.benchmarks import read_all
    from skyloom.workflow.dry_run import dry_run

    planned = dry_run(arguments)
    jobs = planned.jobs
    if not jobs:
        say("nothing to be done")
        return
    config, _ = load(planned.configfiles, planned.overrides)
    results = Path("results")

    def archive_of(name, given=None):
        """Return the function that counts the files of a run's archives."""

        def files(case, archive):
            snapshot = results / name / case / archive / "query/snapshot.ecsv"
            return plan.table_rows(snapshot) if snapshot.is_file() else given

        return files

    history, unusable = read_all("logs")
    runs = {}
    for name in {job.run for job in history}:
        known = results / name / "config.yaml"
        if known.is_file():
            runs[name] = plan.Run(yaml.safe_load(known.read_text()), archive_of(name))
    this = plan.Run(config, archive_of(config["run"]["name"], args.archive_files))
    estimates = [plan.estimate(job, history, this, runs, size_of(job.inputs)) for job in jobs]

    say("\n".join(plan.report(jobs, estimates)) + "\n")
    seconds = [estimate.seconds for estimate in estimates]
    wall = plan.wall_seconds(jobs, seconds, planned.cores, planned.slots)
    slots = f"{planned.slots} jobs at a time, without waiting in a queue"
    say(f"About {plan.duration(wall)} with {slots if planned.slots else f'--cores {planned.cores}'}.")
    say_what_is_not_known(jobs, estimates, history, unusable)


def size_of(paths):
    """Return the size of files in MiB, None if one is missing."""
    from pathlib import Path

    files = [Path(path) for path in paths]
    return sum(file.stat().st_size for file in files) / 2**20 if all(file.is_file() for file in files) else None


def say_what_is_not_known(jobs, estimates, history, unusable):
    """Print what the estimate does not rest on."""
    from_ = {
        source: sorted({job.rule for job, estimate in zip(jobs, estimates, strict=True) if estimate.source == source})
        for source in ("request", "unscaled")
    }
    if from_["request"]:
        say(
            f"No benchmark of {', '.join(from_['request'])}: counted with the time asked for, an upper bound (requests "
            "grow with inputs; those not made yet count as empty)."
        )
    if from_["unscaled"]:
        say(
            f"Size not known for {', '.join(from_['unscaled'])}: counted as long as before (a run of single targets "
            "leaves no config.yaml; --archive-files says how many files an archive has that was not asked yet)."
        )
    measured = {other.rule for other in history if other.gpu}
    guessed = sorted({job.rule for job in jobs if job.gpu} - measured - set(from_["request"]))
    if guessed:
        say(f"No benchmark of {', '.join(guessed)} with a GPU: their GPU-hours are the time without one.")
    if unusable:
        path, reason = next(iter(unusable.items()))
        say(f"{len(unusable)} benchmark files are not used, the first being {path}: {reason}.")


if __name__ == "__main__":
    run(main)
