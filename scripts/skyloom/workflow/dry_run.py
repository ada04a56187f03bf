"""Ask Snakemake what it would run: its own command line, with a logger of ours in place of the one that prints."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

from ..errors import UserError

REASONS = {
    "Missing output files": "output missing",
    "Incomplete output files": "output incomplete",
    "Updated input files": "input updated",
    "Input files updated by another job": "after other jobs",
    "Set of input files has changed since last execution": "set of inputs changed",
    "Code has changed since last execution": "rule changed",
    "Params have changed since last execution": "settings changed",
    "Software environment definition has changed since last execution": "environment changed",
    "Forced execution": "forced",
}
"""How Snakemake's reasons begin, and what they are called here. Of another one, its own words are kept."""


@dataclass(frozen=True)
class PlannedJob:
    """A job that Snakemake would run.

    Attributes
    ----------
    rule : str
    wildcards : dict of str to str
    threads : int
        Cores asked for.
    gpu : int
    runtime : float
        Time asked for [min].
    inputs, outputs : list of str
    reasons : dict of str to str
        Why, in the words of `REASONS`, with what Snakemake says more of it.
    """

    rule: str
    wildcards: dict[str, str]
    threads: int
    gpu: int
    runtime: float
    inputs: list[str]
    outputs: list[str]
    reasons: dict[str, str]


@dataclass
class DryRun:
    """The jobs that a command would run, and what the command says of the machine and the configuration."""

    jobs: list[PlannedJob] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cores: int | None = None
    slots: int | None = None
    configfiles: list = field(default_factory=list)
    overrides: dict = field(default_factory=dict)


def dry_run(arguments: Sequence[str]) -> DryRun:
    """Return what `snakemake` with these arguments would do. Nothing is run.

    Raises
    ------
    UserError
        With Snakemake's own words, if it refuses the arguments, the configuration or the targets.
    """
    from snakemake.cli import args_to_api, parse_args, parse_config
    from snakemake_interface_logger_plugins.base import LogHandlerBase
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    result = DryRun()

    class LogHandler(LogHandlerBase):
        writes_to_stream = True
        writes_to_file = needs_rulegraph = False
        has_filter = has_formatter = True

        def emit(self, record):
            if getattr(record, "event", None) == "job_info":
                result.jobs.append(planned_job(vars(record)))
            elif record.levelno >= logging.ERROR:
                result.errors.append(str(record.msg))

    registry = LoggerPluginRegistry()
    registry.plugins.pop("plan", None)
    registry.register_plugin("snakemake_logger_plugin_plan", SimpleNamespace(LogHandler=LogHandler))
    parser, args = parse_args(["--dry-run", *arguments])
    for path in args.configfile or []:
        if not path.is_file():
            raise UserError(f"{path}: no such file; --configfile should name config files.")
    args.logger, args.quiet = ["plan"], None
    if not args_to_api(args, parser):
        raise UserError(_sentence(result.errors))
    # Not `all`: it has no output and nothing to do.
    result.jobs = [job for job in result.jobs if job.outputs]
    result.cores, result.slots = args.cores, args.jobs
    result.configfiles, result.overrides = args.configfile or [], parse_config(args.config)
    return result


def planned_job(event: dict) -> PlannedJob:
    """Return the job of one of Snakemake's `job_info` events."""
    # What a profile computes from inputs that are not made yet is a text, `<TBD>`; it is taken for nothing.
    numbers = {key: value for key, value in event["resources"].items() if isinstance(value, int | float)}
    return PlannedJob(
        rule=event["rule_name"],
        wildcards={key: str(value) for key, value in event["wildcards"].items()},
        threads=max(event["threads"], numbers.get("cpus_per_task", 0)),
        gpu=numbers.get("gpu", 0),
        runtime=numbers.get("runtime", 0),
        inputs=list(event["input"]),
        outputs=list(event["output"]),
        reasons=split_reasons(event["reason"]),
    )


def split_reasons(text: str) -> dict[str, str]:
    """Return the reasons that Snakemake gives in one line, each with its details.

    >>> split_reasons("Missing output files: a, b; Updated input files: c")
    {'output missing': 'a, b', 'input updated': 'c'}
    """
    starts = "|".join(map(re.escape, REASONS))
    found = list(re.finditer(rf"(?:^|; )({starts})(?:: )?", text))
    if not found or found[0].start():
        return {text: ""}
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {REASONS[match[1]]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def _sentence(errors: list[str]) -> str:
    """Return Snakemake's message without the lines that say where in the rules it came up."""
    lines = [line.strip() for error in errors for line in error.splitlines()]
    said = [line for line in lines if line and not re.match(r'\w+(Error|Exception)\b.*:$|File ".*", line \d+', line)]
    return " ".join(said) or "Snakemake refused the plan without saying why; run it with -n to see more."
