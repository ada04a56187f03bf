"""What rules ask for, the table of what they used, the plan before a run, and how many jobs a large archive makes."""

import csv
import re
import subprocess
import sys

import pytest

from .conftest import ROOT, TINY, environment
from .test_workflow import CASES, RESULTS, edited

TABLE = f"{RESULTS}/resources.csv"


def plan(project, *arguments, configs=()):
    """Return exit status, output and errors of the plan for the tiny preset."""
    command = [sys.executable, "scripts/plan_run.py", "--cores", "2", "--configfile", TINY, *map(str, configs)]
    done = subprocess.run(
        [*command, "--", *arguments], cwd=project.path, env=environment(), capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


def requests(text, rule):
    """Return memory and time that a dry run shows for the jobs of a rule."""
    blocks = re.findall(rf"^rule {rule}:\n((?:    .*\n)+)", text, re.M)
    return sorted(
        tuple(int(re.search(rf"\b{name}=(\d+)", block)[1]) for name in ("mem_mb", "runtime")) for block in blocks
    )


def test_every_rule_asks_for_more_at_each_attempt():
    for path in ROOT.glob("rules/*.smk"):
        text = path.read_text()
        count = len(re.findall(r"^rule ", text, re.M))
        assert count == len(re.findall(r"^        mem_mb=memory\(", text, re.M)), path.name
        assert count == len(re.findall(r"^        runtime=minutes\(", text, re.M)), path.name


def test_requests_grow_with_the_input_and_the_attempt(finished, clean_project):
    without = clean_project("without").snakemake("-n")
    first, second = (finished.snakemake("-n", "--forceall", "--attempt", attempt) for attempt in "12")
    for rule in ("augment", "build_dataset", "infer", "train"):
        # A case's smallest job may have next to no input.
        empty, one, two = (requests(text, rule)[-1] for text in (without, first, second))
        assert one[0] > empty[0], rule
        assert two == (2 * one[0], 2 * one[1])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("configs", [["alma_archive.yaml"], ["full.yaml", "alma_archive.yaml"]], ids="+".join)
def test_an_archive_of_50_000_files_makes_fewer_than_500_jobs(clean_project, tmp_path, configs, case):
    # Chunks and shards are fixed, so the number of jobs is that of any number of files.
    fields = tmp_path / "fields.yaml"
    fields.write_text(f"{{run: {{cases: [{case}]}}, cases: {{{case}: {{embedded: {{fields: 50000}}}}}}}}\n")
    given = [*(f"config/presets/{name}" for name in configs), str(fields)]
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", *given]
    done = subprocess.run(command, cwd=clean_project("large").path, capture_output=True, text=True, check=True)
    jobs = int(re.search(r"^total +(\d+)$", done.stdout, re.M)[1])
    assert 100 < jobs < 500


def test_the_table_compares_every_rule_and_makes_nothing_run(finished, tmp_path):
    project = finished.copy(tmp_path / "resources")
    assert project.planned(TABLE) == {"compare_resources": 1}
    project.snakemake("--cores", "1", TABLE)
    with (project.path / TABLE).open(newline="") as stream:
        rows = {row["rule"]: row for row in csv.DictReader(stream)}
    ran = set(re.findall(r"^(\w+) +\d+$", finished.output.split("Job stats:")[1].split("\n\n")[0], re.M))
    assert set(rows) == ran - {"all", "total"}
    assert (rows["crop"]["jobs"], rows["crop"]["threads"], rows["train"]["gpu"]) == ("2", "1", "0")
    assert [rule for rule, row in rows.items() if "ask for more" in row["remarks"]] == []
    assert project.planned() == project.planned(TABLE) == {}
    for path in (project.path / "logs/tiny/benchmarks").rglob("crop*.tsv"):
        path.unlink()
    assert project.planned() == project.planned(TABLE) == {}


def test_the_table_follows_the_results(finished, tmp_path):
    project = finished.copy(tmp_path / "follows")
    project.snakemake("--cores", "1", TABLE)
    with edited(project.path / "scripts/acknowledge.py", lambda text: text + "\n# edited\n"):
        assert "compare_resources" not in project.planned(TABLE)
    with edited(project.path / "scripts/infer.py", lambda text: text + "\n# edited\n"):
        assert {"infer", "merge_catalogs", "compare_resources"} <= set(project.planned(TABLE))
        assert "compare_resources" not in project.planned()


def test_a_plan_of_what_is_done_is_short(finished):
    status, said, _ = plan(finished)
    assert (status, said) == (0, "nothing to be done\n")


def test_a_plan_names_jobs_reasons_and_cost(finished, tmp_path):
    extra = tmp_path / "extra.yaml"
    extra.write_text("cases: {disk_winds: {crop: {view: 5.0}}}\n")
    with edited(finished.path / "scripts/acknowledge.py", lambda text: text + "\n# edited\n"):
        status, said, errors = plan(finished, configs=[extra])
        jobs = finished.planned(configs=[extra])
    assert status == 0, errors
    rows = {line.split()[0]: line.split() for line in said.split("\n\n")[0].splitlines()[1:]}
    assert {rule: int(row[1]) for rule, row in rows.items()} == jobs | {"total": sum(jobs.values())}
    assert rows["crop"][4:] == ["history", "settings", "changed", "(2)"]
    assert rows["train"][4:] == ["history", "after", "other", "jobs", "(2)"]
    assert 0 < float(rows["train"][2]) < float(rows["total"][2]) < 0.5
    assert "  crop: settings changed: view 24.0 -> 5.0 (2 jobs)\n" in said
    assert f"  acknowledge: input updated: scripts/acknowledge.py ({len(CASES)} jobs)\n" in said
    assert re.search(r"^About \d+ (s|min) with --cores 2\.$", said, re.M)


def test_a_plan_without_history_counts_requests_and_says_so(finished):
    status, said, _ = plan(finished, f"{RESULTS}/disk_winds/tune.csv")
    assert status == 0
    assert re.search(r"^tune +1 +\d+\.\d+ +0\.000 +request +output missing$", said, re.M)
    assert "No benchmark of tune: counted with the time asked for, an upper bound" in said


@pytest.mark.parametrize(
    ("targets", "config", "message"),
    [
        (["results/nothing.txt"], "run: {seed: 42}\n", "error: No rule to produce results/nothing.txt"),
        ([], "run: {chunkz: 3}\n", "`run.chunkz` is not a known key; did you mean `run.chunks`?"),
        ([], None, "extra.yaml: no such file; --configfile should name config files."),
    ],
)
def test_a_plan_that_cannot_be_says_why_in_one_sentence(finished, tmp_path, targets, config, message):
    extra = tmp_path / "extra.yaml"
    if config is not None:
        extra.write_text(config)
    status, said, errors = plan(finished, *targets, configs=[extra])
    assert (status, said) == (1, "")
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors
