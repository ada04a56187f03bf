"""Estimate what planned jobs cost, from the benchmark files of earlier ones."""

import heapq
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

from .benchmarks import Benchmark
from .dry_run import PlannedJob

START = 3.0
"""Seconds that a job takes to begin, however little it has to do: Python and its imports."""

NETWORK = ("query_archive", "download_fits")
"""Of another archive, these say nothing."""
PER_CHUNK = ("download_fits", "crop", "infer")
OF_THE_SEARCH = ("acknowledge", "build_catalog", "plot_candidates", "plot_sky")


@dataclass(frozen=True)
class Run:
    """The configuration of a run and the size of its archives.

    Attributes
    ----------
    config : dict
        Resolved configuration.
    files : callable
        From case and archive (``local``, ``alma``) to the number of files in it, None if it is not known.
    """

    config: Mapping
    files: Callable[[str, str], float | None]

    def work(self, rule: str, wildcards: Mapping[str, str]) -> float | None:
        """Return how much a job has to do, in fields (times epochs where it trains), None if that is not known.

        Only ratios of it mean something.
        """
        if "case" not in wildcards:
            parts = [self.work("build_catalog", {"case": case}) for case in self.config["cases"]]
            return None if None in parts else sum(parts)
        name = wildcards["case"]
        case = self.config["cases"].get(name)
        if case is None:
            return None
        if rule == "simulate_archive":
            return case["embedded"]["fields"] / case["embedded"]["shards"]
        if "archive" in wildcards:
            archives = [wildcards["archive"]]
        else:
            archives = [case["archive"]["service"]] if rule in OF_THE_SEARCH else case["training_archives"]
        counts = [
            case["embedded"]["fields"] if archive == "embedded" else self.files(name, archive) for archive in archives
        ]
        if None in counts:
            return None
        return sum(counts) * _epochs(rule, case, wildcards) / (self.config["run"]["chunks"] if rule in PER_CHUNK else 1)


def _epochs(rule: str, case: Mapping, wildcards: Mapping[str, str]) -> float:
    """Return how many times a job goes through the training set; 1 if it does not train."""
    if rule == "train" and wildcards["model"] in case["models"]:
        return case["models"][wildcards["model"]]["epochs"]
    if rule == "tune":
        return case["tune"]["trials"] * case["tune"]["epochs"]
    if rule == "ablate":
        ablation = case["ablation"]
        return ablation["repeats"] * (ablation["epochs"] or case["models"][case["catalog_model"]]["epochs"])
    return 1


@dataclass(frozen=True)
class Estimate:
    """Seconds that a job will take, and where the number comes from: `history`, `unscaled` or `request`."""

    seconds: float
    source: str


def estimate(
    job: PlannedJob, history: Sequence[Benchmark], run: Run, runs: Mapping[str, Run], size_mb: float | None
) -> Estimate:
    """Return what a job will take.

    Parameters
    ----------
    job : PlannedJob
    history : sequence of Benchmark
        Earlier jobs of all runs.
    run : Run
        The run that is planned.
    runs : mapping of str to Run
        The earlier ones, by name.
    size_mb : float or None
        Size of the job's inputs [MiB]; None if some are not made yet.

    Returns
    -------
    Estimate
        From the earlier jobs of the rule that are most alike (case, model and dataset, then archive, then with a GPU
        or without), scaled by the work that the configurations say, or else by the size of the inputs; `unscaled` if
        neither is known. Without an earlier job, the time that the rule asks for.
    """
    archive = job.wildcards.get("archive")
    alike = [
        other
        for other in history
        if other.rule == job.rule and (job.rule not in NETWORK or other.wildcards.get("archive") == archive)
    ]
    if not alike:
        return Estimate(job.runtime * 60, "request")
    for same in (
        lambda other: all(other.wildcards.get(key) == job.wildcards.get(key) for key in ("case", "model", "dataset")),
        lambda other: other.wildcards.get("archive") == archive,
        lambda other: bool(other.gpu) == bool(job.gpu),
    ):
        alike = [other for other in alike if same(other)] or alike
    before = [runs[other.run].work(other.rule, other.wildcards) if other.run in runs else None for other in alike]
    work = run.work(job.rule, job.wildcards)
    if not work or not any(before):
        work, before = size_mb, [other.input_mb for other in alike]
    points = [(done, other.seconds) for done, other in zip(before, alike, strict=True) if done]
    if not work or not points:
        return Estimate(median(other.seconds for other in alike), "unscaled")
    return Estimate(scaled(points, work), "history")


def scaled(points: Sequence[tuple[float, float]], work: float) -> float:
    """Return the seconds for so much work, from what was done before.

    Work that differs by a factor of two or more tells the time to begin from the time for the work, by a straight
    line; otherwise all but `START` is taken to grow with the work.

    Parameters
    ----------
    points : sequence of (float, float)
        Work and seconds of each earlier job.
    work : float
    """
    done = [point[0] for point in points]
    if max(done) >= 2 * min(done):
        slope, begin = linear_regression(done, [point[1] for point in points])
        if slope > 0 and begin > 0:
            return begin + slope * work
    return median(min(seconds, START) + max(seconds - START, 0.0) * work / before for before, seconds in points)


def wall_seconds(jobs: Sequence[PlannedJob], seconds: Sequence[float], cores: int | None, slots: int | None) -> float:
    """Return how long the jobs take together: each starts as soon as its inputs are there and a place is free.

    Parameters
    ----------
    jobs : sequence of PlannedJob
    seconds : sequence of float
        Of each job.
    cores : int or None
        A job takes as many of these as it has threads.
    slots : int or None
        Jobs at the same time.
    """
    maker = {path: number for number, job in enumerate(jobs) for path in job.outputs}
    waits = [{maker[path] for path in job.inputs if path in maker} for job in jobs]
    followers: list[list[int]] = [[] for _ in jobs]
    for number, before in enumerate(waits):
        for other in before:
            followers[other].append(number)
    most = cores if slots is None else slots
    need = [min(job.threads, most) if slots is None else 1 for job in jobs]
    ready = sorted((number for number in range(len(jobs)) if not waits[number]), key=lambda n: -seconds[n])
    running: list[tuple[float, int]] = []
    free, now = most, 0.0
    while ready or running:
        for number in [*ready]:
            if need[number] <= free:
                free -= need[number]
                ready.remove(number)
                heapq.heappush(running, (now + seconds[number], number))
        now, done = heapq.heappop(running)
        free += need[done]
        for follower in followers[done]:
            waits[follower].discard(done)
            if not waits[follower]:
                ready.append(follower)
        ready.sort(key=lambda n: -seconds[n])
    return now


def causes(job: PlannedJob) -> list[str]:
    """Return what set a job off, in short, where that is more than that its output or an earlier job was missing."""
    found = []
    for reason, detail in job.reasons.items():
        if reason in ("output missing", "after other jobs"):
            continue
        said = changed_settings(detail) if reason == "settings changed" else detail
        found.append(f"{reason}: {said}" if said else reason)
    return found


def changed_settings(detail: str) -> str:
    """Return which settings changed, from Snakemake's words on a job's parameters.

    >>> changed_settings("... before: '{\\"view\\": 24, \\"size\\": 100}' now: '{\\"view\\": 5, \\"size\\": 100}'")
    'view 24 -> 5'
    """
    pair = re.search(r"before: '?(\{.*\})'? now: '?(\{.*\})'?", detail)
    try:
        before, now = (_flat(json.loads(text)) for text in pair.groups()) if pair else ({}, {})
    except ValueError:
        return ""
    nothing = object()
    keys = [key for key in {**before, **now} if before.get(key, nothing) != now.get(key, nothing)]
    shown = [f"{key} {before.get(key, 'unset')} -> {now.get(key, 'unset')}" for key in keys[:3]]
    return ", ".join(shown) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _flat(node: Mapping, path: str = "") -> dict:
    flat = {}
    for key, value in node.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return flat


def report(jobs: Sequence[PlannedJob], estimates: Sequence[Estimate]) -> list[str]:
    """Return the lines of the plan: one a rule with jobs, core-hours, GPU-hours, source and reasons, then the sum."""
    lines = [f"{'rule':<20}{'jobs':>6}{'core-hours':>12}{'GPU-hours':>11}  {'from':<10}why"]
    total = [0.0, 0.0]
    for rule in dict.fromkeys(job.rule for job in jobs):
        chosen = [(job, est) for job, est in zip(jobs, estimates, strict=True) if job.rule == rule]
        core = sum(est.seconds * job.threads for job, est in chosen) / 3600
        gpu = sum(est.seconds * job.gpu for job, est in chosen) / 3600
        why = Counter(reason for job, _ in chosen for reason in job.reasons)
        reasons = ", ".join(f"{reason} ({count})" if len(chosen) > 1 else reason for reason, count in why.items())
        sources = "/".join(sorted({est.source for _, est in chosen}))
        lines.append(f"{rule:<20}{len(chosen):>6}{core:>12.3f}{gpu:>11.3f}  {sources:<10}{reasons}")
        total = [total[0] + core, total[1] + gpu]
    lines.append(f"{'total':<20}{len(jobs):>6}{total[0]:>12.3f}{total[1]:>11.3f}")
    set_off = Counter(f"{job.rule}: {cause}" for job in jobs for cause in causes(job))
    if set_off:
        lines += ["", "What set it off:"]
        lines += [f"  {cause}" + (f" ({count} jobs)" if count > 1 else "") for cause, count in set_off.items()]
    return lines


def duration(seconds: float) -> str:
    """Return a time for reading: seconds, minutes or hours.

    >>> duration(5000)
    '1.4 h'
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table_rows(path: str | Path) -> int:
    """Return the number of rows of an ECSV table, without reading what is in them."""
    with open(path) as stream:
        return max(sum(not line.startswith("#") for line in stream) - 1, 0)
