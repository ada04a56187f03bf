"""The cluster profiles: known options only, all of Slurm in them and none in the rules, and somebody who pays."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm
from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake.profiles import ProfileConfigFileParser
from snakemake.resources import Resource
from workflow.conftest import environment, fresh

from skyloom.workflow.account import check_account

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "profiles/default/config.yaml"
CLUSTERS = [ROOT / f"profiles/{name}/config.yaml" for name in ("slurm", "leonardo")]
VARIABLES = ("SLURM_ACCOUNT", "SLURM_ACCOUNT_DCGP", "SLURM_GPU_QOS", "WORK")
OF_RULES = {"gpu", "mem_mb", "runtime"}


@pytest.fixture(autouse=True)
def without_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def content(path):
    with path.open() as stream:
        return ProfileConfigFileParser().parse(stream)


def resources(path) -> dict[str, dict[str, str]]:
    """Return what a profile sets, rule by rule; what all rules get stands under the empty name."""
    profile, found = content(path), {}
    for line in profile.get("default-resources", []):
        name, value = line.split("=", 1)
        found.setdefault("", {})[name] = value
    for line in profile.get("set-resources", []):
        rule, name, value = re.fullmatch(r"(\w+):(\w+)=(.*)", line).groups()
        found.setdefault(rule, {})[name] = value
    return found


def test_every_profile_is_looked_at():
    assert sorted(ROOT.glob("profiles/*/config.yaml")) == sorted([DEFAULT, *CLUSTERS])


@pytest.mark.parametrize("path", [DEFAULT, *CLUSTERS], ids=lambda path: path.parent.name)
def test_every_key_is_an_option_of_snakemake(path):
    known = {option.lstrip("-") for action in get_argument_parser()._actions for option in action.option_strings}
    assert set(content(path)) <= known
    get_argument_parser(profiles=[str(path.parent)]).parse_args([])


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.parent.name)
def test_the_default_profile_overrides_nothing_of_a_cluster_profile(path):
    assert set(content(path)).isdisjoint(content(DEFAULT))


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.parent.name)
def test_a_cluster_profile_does_what_the_pages_say(path):
    # in the order in which Snakemake reads them
    args = get_argument_parser(profiles=[str(path.parent), str(DEFAULT.parent)]).parse_args([])
    assert args.executor == "slurm"
    assert args.retries > 0
    assert args.rerun_incomplete
    assert args.show_failed_logs
    assert args.slurm_efficiency_report
    assert args.slurm_logdir == Path("logs/slurm")
    assert args.slurm_status_command == "squeue"
    assert {trigger.name for trigger in args.rerun_triggers} == {"MTIME", "PARAMS", "INPUT", "CODE"}
    assert os.path.isabs(args.conda_prefix)
    assert ROOT not in Path(args.conda_prefix).parents


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.parent.name)
def test_rules_and_resources_of_a_profile_exist(path):
    rules = set(re.findall(r"^rule (\w+):", "\n".join(file.read_text() for file in ROOT.glob("rules/*.smk")), re.M))
    plugin = "\n".join(file.read_text() for file in Path(snakemake_executor_plugin_slurm.__file__).parent.glob("*.py"))
    for rule, values in resources(path).items():
        assert rule in rules | {""}
        for name in values.keys() - {"cpus_per_task"}:
            assert f'resources.get("{name}")' in plugin, name


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.parent.name)
def test_only_the_steps_that_can_use_a_gpu_get_one(path):
    with_gpu = {rule for rule, values in resources(path).items() if "gpu" in values}
    asking = {
        re.match(r"\w+", block)[0]
        for file in ROOT.glob("rules/*.smk")
        for block in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]
        if "--gpus {resources.gpu}" in block
    }
    assert with_gpu == asking == {"train", "infer"}


def test_the_account_comes_from_the_environment(monkeypatch):
    slurm, leonardo = CLUSTERS
    assert "slurm_account" not in resources(slurm)[""]
    assert all("slurm_account" not in values for values in resources(leonardo).values())
    monkeypatch.setenv("SLURM_ACCOUNT", "0815")  # a name that looks like a number stays a name
    assert resources(slurm)[""]["slurm_account"] == "'0815'"
    monkeypatch.setenv("SLURM_ACCOUNT", "booster")
    monkeypatch.setenv("SLURM_ACCOUNT_DCGP", "dcgp")
    assert resources(leonardo)[""]["slurm_account"] == "dcgp"
    assert resources(leonardo)["train"]["slurm_account"] == "booster"


def test_leonardo_asks_for_what_the_machine_has(monkeypatch):
    rules = resources(CLUSTERS[1])
    train = rules["train"]
    assert (train["slurm_partition"], train["gpu"], train["cpus_per_task"]) == ("boost_usr_prod", "1", "8")
    assert int(train["mem_mb"]) <= 512_000 / 4
    assert rules[""]["slurm_partition"] == "dcgp_usr_prod"
    for name in ("query_archive", "download_fits", "acknowledge", "fetch_irfs"):
        assert (rules[name]["slurm_partition"], rules[name]["runtime"]) == ("lrd_all_serial", "240")
    assert "qos" not in train
    monkeypatch.setenv("SLURM_GPU_QOS", "boost_qos_dbg")
    assert (resources(CLUSTERS[1])["train"]["qos"], resources(CLUSTERS[1])["train"]["runtime"]) == (
        "boost_qos_dbg",
        "30",
    )


def evaluated(name, value, **job):
    """Return what Snakemake makes of a profile's value for a job."""
    return Resource.from_cli_expression(name, value).evaluate(None, attempt=1, rulename="", async_run=None, **job).value


def test_large_chunks_go_to_a_gpu_on_leonardo(monkeypatch):
    monkeypatch.setenv("SLURM_ACCOUNT", "booster")
    monkeypatch.setenv("SLURM_ACCOUNT_DCGP", "dcgp")
    infer = resources(CLUSTERS[1])["infer"]
    small, large = (
        {name: evaluated(name, value, input=SimpleNamespace(size_mb=size), threads=2) for name, value in infer.items()}
        for size in (10, 10_000)
    )
    assert small == {"slurm_partition": "dcgp_usr_prod", "slurm_account": "dcgp", "gpu": 0, "cpus_per_task": 2}
    assert large == {"slurm_partition": "boost_usr_prod", "slurm_account": "booster", "gpu": 1, "cpus_per_task": 8}


def test_no_rule_knows_of_partitions_accounts_or_other_requests():
    named = set()
    for file in ROOT.glob("rules/*.smk"):
        for block in re.findall(r"^    resources:\n((?:        .*\n)+)", file.read_text(), re.M):
            named |= set(re.findall(r"^        (\w+)=", block, re.M))
        assert not re.search(r"slurm_|sbatch|srun|\bqos\b|--gres|partition", file.read_text()), file.name
    assert named == OF_RULES


def started(executor="slurm", no_account=False, default_resources=None):
    return SimpleNamespace(
        executor_plugin=SimpleNamespace(name=executor),
        executor_settings=SimpleNamespace(no_account=no_account),
        resource_settings=SimpleNamespace(default_resources=default_resources),
    )


def test_an_account_is_wanted_for_slurm_only():
    check_account(started(executor="local"))
    check_account(started(executor="slurm-jobstep"))
    check_account(started(no_account=True))
    check_account(started(default_resources={"slurm_account": "skyloom"}))
    for nothing in (None, {"nodes": 1}):
        with pytest.raises(WorkflowError, match="SLURM_ACCOUNT"):
            check_account(started(default_resources=nothing))


def test_nothing_is_submitted_on_nobodys_account(tmp_path):
    project = fresh(tmp_path / "skyloom")
    env = {name: value for name, value in environment().items() if name not in VARIABLES} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "results/catalog.csv"]
    done = subprocess.run(command, cwd=project.path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.search(r"^SLURM_ACCOUNT: .* type `export SLURM_ACCOUNT=<project>` first, .*\.$", done.stderr, re.M)
    assert "has been submitted" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_plugin_is_one_that_runs_a_gpu_job_once():
    asked = re.search(r"^snakemake-executor-plugin-slurm==(\S+)", (ROOT / "requirements/base.in").read_text(), re.M)
    locked = re.search(r"^snakemake-executor-plugin-slurm==(\S+)", (ROOT / "requirements/run.txt").read_text(), re.M)
    assert asked[1] == locked[1]
    assert tuple(map(int, asked[1].split("."))) >= (2, 7, 1)
