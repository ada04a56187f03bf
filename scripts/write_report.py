"""Make the Snakemake report of a finished run: every plot and table with its caption, as one zip file."""

from skyloom.cli import run, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--configfile", nargs="*", default=[], help="config files that the run was given")
    args = parser.parse_args(argv)

    import subprocess
    import sys
    from pathlib import Path

    from skyloom.config.load import load
    from skyloom.errors import UserError

    config, _ = load(args.configfile)
    folder = Path("results", config["run"]["name"])
    if not (folder / "catalog.csv").is_file():
        raise UserError(f"{folder}/catalog.csv: not made yet; run the workflow first (make run).")
    report = folder / "report.zip"
    aside = folder / "report.part.zip"
    options = ["--configfile", *args.configfile] if args.configfile else []
    try:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--report", str(aside), *options], capture_output=True, text=True
        )
        if done.returncode:
            raise UserError(f"{report}: Snakemake could not write it: {done.stderr.strip().splitlines()[-1]}")
        aside.replace(report)
    finally:
        aside.unlink(missing_ok=True)
    print(f"report   {report}")


if __name__ == "__main__":
    run(main)
