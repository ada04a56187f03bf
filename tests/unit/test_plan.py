"""The plan of a run: Snakemake's reasons, costs from benchmark files, and how long jobs take together."""

import pytest
from benchmark_fixtures import HEADER, line, written

from skyloom.workflow.benchmarks import OLD_FORM, Benchmark, compare, read_all, read_benchmarks
from skyloom.workflow.dry_run import PlannedJob, planned_job, split_reasons
from skyloom.workflow.plan import Run, causes, changed_settings, estimate, report, scaled, table_rows, wall_seconds


def job(rule="train", seconds=60.0, run="", **changes):
    values = {
        "wildcards": {"case": "disk_winds", "model": "windnet"},
        "threads": 1,
        "gpu": 0,
        "mem_mb": 2000,
        "runtime": 10,
        "rss_mb": 1000.0,
        "cpu_seconds": 45.0,
        "input_mb": 10.0,
    } | changes
    return Benchmark(run=run, rule=rule, seconds=seconds, **values)


def planned(rule="train", **changes):
    values = {
        "wildcards": {"case": "disk_winds", "model": "windnet"},
        "threads": 1,
        "gpu": 0,
        "runtime": 30,
        "inputs": [],
        "outputs": ["x"],
        "reasons": {"output missing": "x"},
    } | changes
    return PlannedJob(rule=rule, **values)


def config(fields=100, epochs=10, service="embedded", chunks=4):
    model = {"epochs": epochs}
    case = {
        "archive": {"service": service},
        "training_archives": ["embedded"],
        "embedded": {"fields": fields, "shards": 4},
        "models": {"windnet": model},
        "catalog_model": "windnet",
        "tune": {"trials": 3, "epochs": 2},
        "ablation": {"repeats": 2, "epochs": None},
    }
    return {"run": {"name": "", "chunks": chunks}, "cases": {"disk_winds": case}}


def run_of(files=None, **changes):
    return Run(config(**changes), lambda case, archive: files)


def test_a_benchmark_file_says_what_was_asked_for_and_used(tmp_path):
    written(tmp_path, "train.tsv", line(), line(max_rss="NA", cpu_time="NA"))
    (one, two), unusable = read_benchmarks(tmp_path, "tiny")
    assert unusable == {}
    assert (one.run, one.rule, one.wildcards["member"], one.threads, one.gpu) == ("tiny", "train", "0", 1, 1)
    assert (one.mem_mb, one.runtime, one.seconds, one.cpu_seconds, one.input_mb) == (2000, 10, 60, 45, 15)
    assert one.rss_mb == pytest.approx(1048.576)  # MiB in the file, MB in the request
    assert two.rss_mb is None


def test_files_that_say_too_little_are_named(tmp_path):
    written(tmp_path / "benchmarks", "a.tsv", "\t".join(["1.0"] * len(HEADER)), header=HEADER)
    written(tmp_path / "benchmarks", "b.tsv", line(resources="{'mem_mb': "))
    written(tmp_path / "benchmarks", "c.tsv")
    written(tmp_path / "std/benchmarks", "d.tsv", line())
    jobs, unusable = read_all(tmp_path)
    assert [one.run for one in jobs] == ["std"]
    reasons = {path.rsplit("/", 1)[1]: reason for path, reason in unusable.items()}
    assert reasons["a.tsv"] == OLD_FORM
    assert reasons["b.tsv"].startswith("cannot be read (SyntaxError")
    assert reasons["c.tsv"].startswith("empty")
    rows = compare(jobs, unusable)
    assert [(row["rule"], row["jobs"]) for row in rows] == [("train", 1), ("", 1), ("", 1), ("", 1)]
    assert rows[1]["remarks"].endswith(f"a.tsv: {OLD_FORM}")


@pytest.mark.parametrize(
    ("changes", "remarks"),
    [
        ({}, ""),
        ({"rss_mb": 1700.0}, "memory: 85% used, ask for more"),
        ({"rss_mb": 100.0}, "memory: 5.0% used, ask for less"),
        ({"rss_mb": 50.0, "mem_mb": 1000}, ""),
        ({"seconds": 590.0}, "time: 98% used, ask for more"),
        ({"seconds": 30.0, "runtime": 60}, "time: 0.8% used, ask for less"),
        ({"seconds": 1.0}, ""),
        ({"rss_mb": None, "cpu_seconds": None}, "1 of 1 jobs were over before their memory was looked at"),
    ],
)
def test_requests_that_are_tight_or_far_too_large_get_a_remark(changes, remarks):
    (row,) = compare([job(**({"seconds": 120.0} | changes))], {})
    assert row["remarks"] == remarks


def test_shares_are_those_of_the_job_that_came_nearest_to_its_own_request():
    # The larger job asked for more, so the smaller one came nearer.
    (row,) = compare([job(rss_mb=1500.0), job(rss_mb=1800.0, mem_mb=4000)], {})
    assert (row["jobs"], row["mem_mb"], row["rss_mb_max"], row["mem_used"]) == (2, "4000", "1800", "0.750")
    assert (row["cpu_seconds"], row["cpu_used"]) == ("90.0", "0.75")


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("Missing output files: a, b", {"output missing": "a, b"}),
        (
            "Missing output files: a; Input files updated by another job: b, c",
            {"output missing": "a", "after other jobs": "b, c"},
        ),
        (
            "Params have changed since last execution: before: 'a; b' now: 'c'",
            {"settings changed": "before: 'a; b' now: 'c'"},
        ),
        ("Code has changed since last execution", {"rule changed": ""}),
        ("A reason that nobody knows: of what", {"A reason that nobody knows: of what": ""}),
    ],
)
def test_reasons(text, reasons):
    assert split_reasons(text) == reasons


def test_what_a_profile_cannot_compute_yet_counts_as_nothing():
    resources = {"gpu": "<TBD>", "runtime": 30, "cpus_per_task": 8, "mem": "2 GB"}
    event = {"rule_name": "infer", "wildcards": {"chunk": "000"}, "threads": 1, "resources": resources}
    found = planned_job(event | {"input": [], "output": ["x"], "reason": "Forced execution"})
    assert (found.gpu, found.runtime, found.threads, found.reasons) == (0, 30, 8, {"forced": ""})


def test_changed_settings_are_named():
    text = """Union of exclusive params: before: '{"a": 1, "b": {"c": 2}}' now: '{"a": 1, "b": {"c": 3}}' """
    assert changed_settings(text) == "b.c 2 -> 3"
    assert changed_settings("before: 42 now: 43") == ""
    assert causes(planned(reasons={"settings changed": text, "after other jobs": "x"})) == [
        "settings changed: b.c 2 -> 3"
    ]


def test_work_follows_the_preset():
    run = run_of(fields=100, epochs=10)
    case = {"case": "disk_winds"}
    assert run.work("simulate_archive", case | {"shard": "000"}) == 25
    assert run.work("crop", case | {"archive": "embedded", "chunk": "000"}) == 25
    assert run.work("train", case | {"model": "windnet"}) == 1000
    assert run.work("tune", case) == 600
    assert run.work("ablate", case) == 2000
    assert run.work("build_catalog", case) == run.work("merge_catalogs", {}) == 100
    alma = case | {"archive": "alma", "chunk": "000"}
    assert run.work("crop", alma) is None
    assert run_of(files=800, service="alma").work("crop", alma) == 200
    assert run_of(files=800, service="alma").work("label_objects", case) == 100
    assert run.work("crop", {"case": "gone", "archive": "embedded"}) is None


def test_one_size_is_scaled_in_proportion_and_two_by_a_line():
    assert scaled([(100, 13.0)], 200) == 3 + 20
    assert scaled([(100, 2.0)], 200) == 2
    assert scaled([(100, 20.0), (300, 40.0)], 500) == pytest.approx(60)


def test_estimates_come_from_the_jobs_that_are_most_alike():
    history = [
        job(seconds=103.0),
        job(seconds=999.0, wildcards={"case": "disk_winds", "model": "thesis_cnn"}),
        job(seconds=999.0, rule="tune"),
    ]
    runs = {"": run_of(fields=100)}
    found = estimate(planned(), history, run_of(fields=200), runs, None)
    assert (found.seconds, found.source) == (203, "history")
    with_gpu = [*history, job(seconds=13.0, gpu=1)]
    assert estimate(planned(gpu=1), with_gpu, run_of(fields=100), runs, None).seconds == 13
    assert estimate(planned(), with_gpu, run_of(fields=100), runs, None).seconds == 103


def test_where_the_preset_is_not_known_the_size_of_the_input_is_taken():
    history = [job(seconds=103.0, run="lost", input_mb=10.0)]
    assert estimate(planned(), history, run_of(), {}, 30.0).seconds == 303
    found = estimate(planned(), history, run_of(), {}, None)
    assert (found.seconds, found.source) == (103, "unscaled")


def test_without_history_the_request_counts():
    found = estimate(planned(), [], run_of(), {}, None)
    assert (found.seconds, found.source) == (1800, "request")


def test_downloads_from_elsewhere_are_no_history():
    of = {"case": "disk_winds", "archive": "embedded", "chunk": "000"}
    history = [job(rule="download_fits", wildcards=of)]
    wanted = planned(rule="download_fits", wildcards=of | {"archive": "alma"})
    assert estimate(wanted, history, run_of(), {"": run_of()}, None).source == "request"
    wanted = planned(rule="download_fits", wildcards=of)
    assert estimate(wanted, history, run_of(), {"": run_of()}, None).source == "history"


def test_jobs_wait_for_their_inputs_and_for_a_free_place():
    first = [planned(outputs=[f"a{number}"]) for number in range(3)]
    last = planned(inputs=["a0", "a1", "a2", "there"], outputs=["b"])
    jobs, seconds = [*first, last], [10.0, 10.0, 10.0, 5.0]
    assert wall_seconds(jobs, seconds, cores=3, slots=None) == 15
    assert wall_seconds(jobs, seconds, cores=2, slots=None) == 25
    assert wall_seconds(jobs, seconds, cores=1, slots=None) == 35
    assert wall_seconds(jobs, seconds, cores=None, slots=3) == 15
    wide = [planned(threads=8, outputs=["a"]), planned(threads=1, outputs=["b"])]
    assert wall_seconds(wide, [10.0, 10.0], cores=4, slots=None) == 20
    assert wall_seconds(wide, [10.0, 10.0], cores=None, slots=2) == 10


def test_the_report_sums_core_hours_and_gpu_hours():
    jobs = [planned(threads=8, gpu=1), planned(rule="crop", reasons={"input updated": "scripts/crop.py"})]
    found = [estimate(one, [job(seconds=1800.0), job("crop", 3600.0)], run_of(), {"": run_of()}, None) for one in jobs]
    lines = report(jobs, found)
    assert lines[3].split() == ["total", "2", "5.000", "0.500"]
    assert lines[-1] == "  crop: input updated: scripts/crop.py"


def test_rows_of_a_table_are_counted(tmp_path):
    path = tmp_path / "t.ecsv"
    path.write_text("# %ECSV 1.0\n# ---\nname\na\nb\n")
    assert table_rows(path) == 2
