"""What jobs asked for and what they used, from the benchmark files that Snakemake writes.

The extended form (`benchmark-extended: true` in the profile) is one line a run of the job: seconds, memory and CPU
time as measured, then rule, wildcards, parameters, threads, resources and the sizes of the inputs.
"""

import ast
import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Snakemake measures in MiB what rules ask for in MB.
MB_PER_MIB = 2**20 / 1e6
HIGH, LOW = 0.8, 0.1
"""A rule that uses more than the one share of what it asked for, or less than the other, gets a remark."""
LEAST_MEMORY, LEAST_MINUTES = 1000, 10
"""Nothing is gained by asking for less, so that using little of it gets no remark."""
OLD_FORM = "written without `benchmark-extended: true`, so what the job asked for is not in it; run the job again"

COLUMNS = (
    "rule",
    "jobs",
    "threads",
    "gpu",
    "mem_mb",
    "rss_mb_max",
    "rss_mb_median",
    "mem_used",
    "runtime_min",
    "seconds_max",
    "seconds_median",
    "runtime_used",
    "cpu_seconds",
    "cpu_used",
    "input_mb_max",
    "remarks",
)


@dataclass(frozen=True)
class Benchmark:
    """One job: what it was, what it asked for, what it used.

    Attributes
    ----------
    run : str
        Name of the run; empty for the one without a name.
    rule : str
    wildcards : dict
    threads : int
    gpu : int
        GPUs asked for.
    mem_mb, runtime : float
        Memory [MB] and time [min] asked for.
    seconds : float
        Time used.
    rss_mb, cpu_seconds : float or None
        Largest memory [MB] and CPU time seen; None if the job was over before the first look.
    input_mb : float
        Size of all inputs, code included [MiB].
    """

    run: str
    rule: str
    wildcards: dict
    threads: int
    gpu: int
    mem_mb: float
    runtime: float
    seconds: float
    rss_mb: float | None
    cpu_seconds: float | None
    input_mb: float


def read_benchmarks(folder: str | Path, run: str = "") -> tuple[list[Benchmark], dict[str, str]]:
    """Return the jobs of a folder of benchmark files, and of each file that cannot be used the reason.

    Parameters
    ----------
    folder : path
        Searched with its subfolders.
    run : str
        Name of the run that they are of.
    """
    jobs, unusable = [], {}
    for path in sorted(Path(folder).rglob("*.tsv")):
        try:
            with path.open(newline="") as stream:
                rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
            if rows and "rule_name" not in rows[0]:
                unusable[str(path)] = OLD_FORM
            elif rows:
                jobs += [_job(row, run) for row in rows]
            else:
                unusable[str(path)] = "empty; run the job again"
        except (KeyError, TypeError, ValueError, SyntaxError, OSError) as error:
            unusable[str(path)] = f"cannot be read ({type(error).__name__}: {error}); run the job again"
    return jobs, unusable


def read_all(logs: str | Path) -> tuple[list[Benchmark], dict[str, str]]:
    """Return the same as `read_benchmarks` for all runs below the folder of logs."""
    jobs, unusable = read_benchmarks(Path(logs, "benchmarks"))
    for folder in sorted(Path(logs).glob("*/benchmarks")):
        more, bad = read_benchmarks(folder, folder.parent.name)
        jobs += more
        unusable |= bad
    return jobs, unusable


def _job(row: dict[str, str], run: str) -> Benchmark:
    """Return one line of a file; all that is not a number is written as Python writes it."""
    resources = ast.literal_eval(row["resources"])
    return Benchmark(
        run=run,
        rule=row["rule_name"],
        wildcards=ast.literal_eval(row["wildcards"]),
        threads=int(row["threads"]),
        gpu=int(resources.get("gpu", 0)),
        mem_mb=float(resources["mem_mb"]),
        runtime=float(resources["runtime"]),
        seconds=float(row["s"]),
        rss_mb=_measured(row["max_rss"], MB_PER_MIB),
        cpu_seconds=_measured(row["cpu_time"]),
        input_mb=sum(ast.literal_eval(row["input_size_mb"]).values()),
    )


def _measured(text: str, factor: float = 1.0) -> float | None:
    return None if text in ("NA", "-") else float(text) * factor


def compare(jobs: Iterable[Benchmark], unusable: dict[str, str]) -> list[dict]:
    """Return one row a rule (`COLUMNS`), and one for each reason why files could not be used."""
    rules: dict[str, list[Benchmark]] = {}
    for job in jobs:
        rules.setdefault(job.rule, []).append(job)
    rows = [_compared(rule, members) for rule, members in sorted(rules.items())]
    reasons: dict[str, list[str]] = {}
    for path, reason in unusable.items():
        reasons.setdefault(reason, []).append(path)
    for reason, paths in reasons.items():
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        rows.append(dict.fromkeys(COLUMNS, "") | {"jobs": len(paths), "remarks": f"{paths[0]}{others}: {reason}"})
    return rows


def _compared(rule: str, jobs: list[Benchmark]) -> dict:
    seen = [job for job in jobs if job.rss_mb is not None]
    memory = max((job.rss_mb / job.mem_mb for job in seen), default=None)
    time = max(job.seconds / 60 / job.runtime for job in jobs)
    granted = sum(job.seconds * job.threads for job in seen)
    cpu_seconds = sum(job.cpu_seconds for job in seen) if seen else None
    remarks = [
        *_remarks("memory", memory, max(job.mem_mb for job in jobs) > LEAST_MEMORY),
        *_remarks("time", time, max(job.runtime for job in jobs) > LEAST_MINUTES),
    ]
    if len(seen) < len(jobs):
        remarks.append(f"{len(jobs) - len(seen)} of {len(jobs)} jobs were over before their memory was looked at")
    return {
        "rule": rule,
        "jobs": len(jobs),
        "threads": max(job.threads for job in jobs),
        "gpu": max(job.gpu for job in jobs),
        "mem_mb": _rounded(max(job.mem_mb for job in jobs)),
        "rss_mb_max": _rounded(max((job.rss_mb for job in seen), default=None)),
        "rss_mb_median": _rounded(median(job.rss_mb for job in seen) if seen else None),
        "mem_used": _rounded(memory, 3),
        "runtime_min": _rounded(max(job.runtime for job in jobs)),
        "seconds_max": _rounded(max(job.seconds for job in jobs), 1),
        "seconds_median": _rounded(median(job.seconds for job in jobs), 1),
        "runtime_used": _rounded(time, 3),
        "cpu_seconds": _rounded(cpu_seconds, 1),
        "cpu_used": _rounded(cpu_seconds / granted if granted else None, 2),
        "input_mb_max": _rounded(max(job.input_mb for job in jobs), 1),
        "remarks": "; ".join(remarks),
    }


def _remarks(what: str, share: float | None, more_than_least: bool) -> list[str]:
    if share is not None and share > HIGH:
        return [f"{what}: {share:.0%} used, ask for more"]
    if share is not None and share < LOW and more_than_least:
        return [f"{what}: {share:.1%} used, ask for less"]
    return []


def _rounded(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:.{digits}f}"
